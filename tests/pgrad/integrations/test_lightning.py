"""Real fits of Lightning's Trainer against the plain loop, and the callback that evaluates at the anchor."""

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.precision import MixedPrecision

import pgrad
from pgrad import DomainBatchSampler, PGrad
from pgrad.integrations.lightning import EvaluateAtAnchor, ResumableLoader
from tests.pgrad.integrations.lightning_runs import (
    QUIET,
    Module,
    SaveAfter,
    StopAfter,
    same,
    schedule,
    trainer,
    validation,
    whole,
)
from tests.pgrad.integrations.problem import DOMAINS, dataset, loader, net, optimizer, plain, sampler, vector

pytestmark = QUIET


@pytest.mark.parametrize(
    ("options", "loop"),
    [
        ({}, {}),
        ({"precision": "bf16-mixed"}, {"dtype": torch.bfloat16}),
        ({"gradient_clip_val": 0.1}, {"clip": 0.1}),
    ],
)
def test_fit_is_the_plain_loop(tmp_path, options, loop):
    module, model = Module(scheduled=True), net()
    trainer(tmp_path, max_epochs=2, **options).fit(module, loader())
    opt = optimizer(model.parameters())
    same(module.points, plain(model, opt, 2, schedule(opt), **loop))


def test_accumulated_gradients_are_one_inner_step(tmp_path):
    module, model = Module(), net()
    trainer(tmp_path, accumulate_grad_batches=3, max_epochs=2).fit(module, loader())
    same(module.points[2::3], plain(model, optimizer(model.parameters()), 2, accumulate=3))


def test_16_mixed_skips_an_overflow_and_resumes_the_roll_out(tmp_path):
    """Lightning runs the closure before scaler.step: a skipped step is no point of the roll-out."""
    positions = []

    class Overflows(Module):
        def on_after_backward(self):
            if self.trainer.fit_loop.batch_idx == 1:
                next(self.parameters()).grad.fill_(torch.inf)

        def on_train_batch_end(self, *_):
            super().on_train_batch_end()
            positions.append(self.optimizers(use_pl_optimizer=False).rollout_position)

    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**8)
    module = Overflows()
    trainer(tmp_path, plugins=[MixedPrecision("16-mixed", "cpu", scaler)], gradient_clip_val=1.0).fit(module, loader())
    assert positions == [1, 1, 2, 0, 1, 2, 0, 1, 2]
    assert torch.equal(module.points[0], module.points[1])
    assert scaler.get_scale() == 2.0**7
    assert vector(module).isfinite().all()


@pytest.mark.filterwarnings("ignore:.*fork.*")
@pytest.mark.parametrize("callbacks", [[], [EvaluateAtAnchor]])
@pytest.mark.parametrize(
    ("stop", "workers"),
    [(3, 0), (4, 0), (14, 0), (14, 1)],  # at an anchor, in the middle of a roll-out, in the second epoch, with prefetch
)
def test_resume_goes_on_bit_for_bit(tmp_path, stop, callbacks, workers):
    def fit(module, *more, **options):
        made = [*(callback() for callback in callbacks), *more]
        data = ResumableLoader(dataset(), sampler(), num_workers=workers)
        trainer(tmp_path, callbacks=made, max_epochs=2).fit(module, data, **options)
        return module

    straight = fit(Module(scheduled=True))
    stopped = fit(Module(scheduled=True), StopAfter(stop, tmp_path / "x.ckpt"))
    same(stopped.points, straight.points[:stop])
    resumed = fit(Module(seed=1, scheduled=True), ckpt_path=tmp_path / "x.ckpt", weights_only=True)
    same(resumed.points, straight.points[stop:])


def test_methods_work_on_the_wrapper_that_modules_are_given(tmp_path):
    class Finishes(Module):
        def on_train_epoch_end(self):
            opt = self.optimizers()
            assert opt.rollout_position == 9 % 4
            with opt.at_anchor():
                assert torch.equal(vector(self.net), self.points[7])
            opt.finish_rollout()
            assert opt.rollout_position == opt.optimizer.rollout_position == 0
            assert len(opt.last_update.eigenvalues) == 1

    trainer(tmp_path).fit(Finishes(length=4), loader())


# ------------------------------------------------------------------------------------------------- EvaluateAtAnchor


def test_validation_sees_the_anchor_and_training_does_not_notice(tmp_path):
    _, without = validation(tmp_path, [])
    _, module = validation(tmp_path, [EvaluateAtAnchor()])
    same(module.points, without.points)
    start = vector(net())
    same(module.validated, [start, module.points[3], module.points[7]])
    same(without.validated, [without.points[2], without.points[5], without.points[8]])


def test_fit_leaves_the_anchor(tmp_path):
    _, module = validation(tmp_path, [EvaluateAtAnchor()])
    assert torch.equal(vector(module.net), module.points[7])
    assert not torch.equal(vector(module.net), module.points[8])


def test_a_checkpoint_is_the_anchor_for_its_readers(tmp_path):
    saves = ModelCheckpoint(tmp_path, every_n_train_steps=1, save_top_k=-1, filename="{step}")
    _, module = validation(tmp_path, [EvaluateAtAnchor(), saves], enable_checkpointing=True)
    anchors = [vector(net()), module.points[3], module.points[7]]
    for step in range(1, 10):
        path = tmp_path / f"step={step}.ckpt"
        loaded = Module.load_from_checkpoint(path, length=4, weights_only=True)
        assert torch.equal(vector(loaded), anchors[step // 4]), step
        file = torch.load(path, weights_only=True)
        assert ("pgrad_inner_iterate" in file) == (step % 4 > 0)


def test_testing_a_checkpoint_sees_the_anchor(tmp_path):
    class Tested(Module):
        def test_step(self, batch, batch_idx):
            self.validated.append(vector(self.net))

    saves = SaveAfter(6, tmp_path / "x.ckpt")
    _, module = validation(tmp_path, [EvaluateAtAnchor(), saves])
    tested = Tested(seed=1)
    fit = trainer(tmp_path, callbacks=[EvaluateAtAnchor()], limit_test_batches=1)
    fit.test(tested, whole(), ckpt_path=tmp_path / "x.ckpt", verbose=False)
    same(tested.validated, [module.points[3]])


def test_resuming_without_the_callback_warns(tmp_path):
    _, _ = validation(tmp_path, [EvaluateAtAnchor(), SaveAfter(6, tmp_path / "x.ckpt")])
    data = ResumableLoader(dataset(), sampler())
    with (
        pytest.warns(UserWarning, match="callbacks used .* need to be provided.*EvaluateAtAnchor"),
        pytest.warns(UserWarning, match=r"the weights are not those.*the 2 steps of its roll-out were dropped"),
    ):
        trainer(tmp_path, max_steps=7).fit(Module(length=4), data, ckpt_path=tmp_path / "x.ckpt")


def test_the_loader_is_that_of_the_library():
    assert ResumableLoader is pgrad.ResumableLoader


@pytest.mark.filterwarnings("ignore:.*fork.*")
@pytest.mark.parametrize("workers", [0, 1])
def test_a_checkpoint_in_the_middle_of_an_epoch_has_the_place_of_the_loop(tmp_path, workers):
    data = ResumableLoader(dataset(), sampler(), num_workers=workers)
    trainer(tmp_path, callbacks=[SaveAfter(4, tmp_path / "x.ckpt")]).fit(Module(), data)
    file = torch.load(tmp_path / "x.ckpt", weights_only=True)
    assert file["loops"]["fit_loop"]["state_dict"]["combined_loader"][0]["position"] == 4


def test_without_a_length_lightning_is_one_batch_ahead_and_no_wrong_place_is_saved(tmp_path):
    endless = DomainBatchSampler(DOMAINS, 4, generator=torch.Generator().manual_seed(3), mode="infinite")
    fit = trainer(tmp_path, max_steps=6, max_epochs=-1, callbacks=[SaveAfter(4, tmp_path / "x.ckpt")])
    with pytest.raises(RuntimeError, match="consumed must be given: Lightning, which fetches one batch ahead"):
        fit.fit(Module(), ResumableLoader(dataset(), endless))


def test_a_failing_validation_gives_the_inner_iterate_back(tmp_path):
    class Fails(Module):
        def validation_step(self, batch, batch_idx):
            raise FloatingPointError("no")

    module = Fails(length=4)
    fit = trainer(
        tmp_path, callbacks=[EvaluateAtAnchor()], val_check_interval=3, limit_val_batches=1, num_sanity_val_steps=0
    )
    with pytest.raises(FloatingPointError, match="no"):
        fit.fit(module, loader(), whole())
    assert torch.equal(vector(module.net), module.points[2])


def test_files_of_weights_alone_are_refused(tmp_path):
    saves = ModelCheckpoint(tmp_path, save_weights_only=True)
    with pytest.raises(ValueError, match="save_weights_only=False"):
        validation(tmp_path, [EvaluateAtAnchor(), saves], enable_checkpointing=True)


def test_other_optimizers_are_left_alone(tmp_path):
    class Plain(Module):
        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    module = Plain()
    assert not isinstance(module.configure_optimizers(), PGrad)
    trainer(tmp_path, callbacks=[EvaluateAtAnchor()], limit_val_batches=1).fit(module, loader(), whole())
    assert torch.equal(module.validated[-1], module.points[-1])
