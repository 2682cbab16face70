"""The other callbacks of Lightning that load, save, unfreeze, try or stop: in the middle of a roll-out."""

import itertools

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import (
    BackboneFinetuning,
    BaseFinetuning,
    BatchSizeFinder,
    GradientAccumulationScheduler,
    LearningRateFinder,
    ModelCheckpoint,
)
from torch import nn
from torch.utils.data import DataLoader

from pgrad import DomainBatchSampler, PGrad
from pgrad.integrations.lightning import EvaluateAtAnchor, ResumableLoader
from tests.pgrad.integrations.lightning_runs import QUIET, Module, StopAfter, same, trainer, validation, whole
from tests.pgrad.integrations.problem import DOMAINS, dataset, loader, net, optimizer, plain, sampler, vector

pytestmark = [
    *QUIET,
    pytest.mark.filterwarnings("ignore:.*lr_find.*"),
    pytest.mark.filterwarnings("ignore:.*LR finder.*"),
]


def loss_of(model):
    x, y = dataset().tensors
    with torch.no_grad():
        return nn.functional.cross_entropy(model(x), y).item()


class Logs(Module):
    """An outer step that keeps little of the way, so that an undoing would show."""

    def validation_step(self, batch, batch_idx):
        super().validation_step(batch, batch_idx)
        self.log("loss", nn.functional.cross_entropy(self.net(batch[0]), batch[1]))

    def test_step(self, batch, batch_idx):
        self.log("tested", nn.functional.cross_entropy(self.net(batch[0]), batch[1]))

    def configure_optimizers(self):
        return PGrad(self.net.parameters(), 0.3, self.length, outer_lr=0.1, inner=torch.optim.SGD)


# ------------------------------------------------------------------------------------------------------ the best model


@pytest.mark.parametrize("mode", ["min", "max"])  # max: the worst loss is the best, so that it is an early one
def test_the_best_model_is_the_one_that_was_evaluated(tmp_path, mode):
    saves = ModelCheckpoint(tmp_path, monitor="loss", mode=mode, save_top_k=-1, filename="{step}")
    callbacks = [EvaluateAtAnchor(), saves]
    fit, module = validation(
        tmp_path, callbacks, Logs(length=4), max_epochs=2, val_check_interval=2, enable_checkpointing=True
    )
    anchors = [vector(net()), *module.points[3::4]]
    scores = {path: score.item() for path, score in saves.best_k_models.items()}
    assert len(scores) == 8  # after 2, 4, 6 and 8 of nine steps, twice
    for path, score in scores.items():  # the metric belongs to the weights of the file, and they are an anchor
        saved = Logs.load_from_checkpoint(path, length=4, weights_only=True)
        assert loss_of(saved.net) == pytest.approx(score, abs=1e-7)
        assert any(torch.equal(vector(saved.net), anchor) for anchor in anchors)
    best = (min if mode == "min" else max)(scores.values())
    assert saves.best_model_score.item() == best
    (tested,) = fit.test(module, whole(), ckpt_path="best", verbose=False)
    assert tested["tested"] == best
    assert torch.equal(vector(module.net), vector(Logs.load_from_checkpoint(saves.best_model_path, length=4).net))
    (validated,) = fit.validate(module, whole(), ckpt_path="best", verbose=False)
    assert validated["loss"] == best


def test_the_best_model_loaded_in_the_middle_of_training_is_where_it_goes_on(tmp_path):
    """As a callback that goes back to the best model on a plateau: an act of somebody else, which is said once."""

    class GoesBack(pl.Callback):
        def on_train_batch_end(self, trainer, module, *_):
            if trainer.global_step == 6:
                module.net.load_state_dict(net(seed=5).state_dict())

    with pytest.warns(UserWarning, match="set from outside after 2 of 4 steps"):
        _, module = validation(tmp_path, [EvaluateAtAnchor(), GoesBack()], Logs(length=4))
    twin = net(seed=5)
    opt = PGrad(twin.parameters(), 0.3, 4, outer_lr=0.1, inner=torch.optim.SGD)
    for x, y in list(loader())[6:]:
        opt.zero_grad()
        nn.functional.cross_entropy(twin(x), y).backward()
        opt.step()
    assert torch.equal(module.points[8], vector(twin))


def test_the_last_checkpoint_in_the_middle_of_a_roll_out_is_resumed_exactly(tmp_path):
    def fit(module, **options):
        saves = ModelCheckpoint(tmp_path, save_last=True, every_n_epochs=50)  # so that the only save is at the end
        callbacks, data = [EvaluateAtAnchor(), saves], ResumableLoader(dataset(), sampler())
        return validation(tmp_path, callbacks, module, data, enable_checkpointing=True, **options)[1]

    fit(Module(length=4), max_steps=7)
    stopped = Module.load_from_checkpoint(tmp_path / "last.ckpt", length=4, weights_only=True)
    resumed = fit(Module(seed=1, length=4), ckpt_path=tmp_path / "last.ckpt", max_epochs=2)
    model = net()
    points = plain(model, optimizer(model.parameters(), 4))
    assert torch.equal(vector(stopped.net), points[3])
    same(resumed.points[:2], points[7:])


@pytest.mark.parametrize(
    "limits", [{"max_epochs": 3}, {"max_epochs": -1, "max_steps": 27}]
)  # with steps Lightning does
@pytest.mark.parametrize("workers", [0, 1])
def test_a_checkpoint_at_the_end_of_an_epoch_goes_on_with_the_next_data(tmp_path, workers, limits):
    def fit(module, **options):
        saves = ModelCheckpoint(tmp_path, save_top_k=-1, filename="{epoch}", save_on_train_epoch_end=True)
        callbacks = [EvaluateAtAnchor(), saves]
        data = ResumableLoader(dataset(), module.batches, num_workers=workers)
        return validation(tmp_path, callbacks, module, data, enable_checkpointing=True, **limits, **options)[1]

    def made(seed):
        module = Module(seed=seed)
        module.batches = sampler()
        module.configure_optimizers = lambda: optimizer(module.net.parameters(), module.batches)
        return module

    straight = fit(made(0))
    resumed = fit(made(1), ckpt_path=tmp_path / "epoch=0.ckpt")
    same(resumed.points, straight.points[9:])


def test_another_number_of_loaders_is_refused(tmp_path):
    saves = ModelCheckpoint(tmp_path, filename="{epoch}", save_on_train_epoch_end=True)
    callbacks = [EvaluateAtAnchor(), saves]
    validation(tmp_path, callbacks, data=ResumableLoader(dataset(), sampler()), enable_checkpointing=True)
    with pytest.raises(ValueError, match=r"places of 1 training loaders that can be resumed, but .* given 0"):
        validation(
            tmp_path,
            [EvaluateAtAnchor(), ModelCheckpoint(tmp_path, filename="{epoch}", save_on_train_epoch_end=True)],
            ckpt_path=tmp_path / "epoch=0.ckpt",
            max_epochs=2,
            enable_checkpointing=True,
        )


# ------------------------------------------------------------------------------------------- unfreezing in the middle


class Unfreezes(BaseFinetuning):
    def freeze_before_training(self, pl_module):
        self.freeze(pl_module.net[0])

    def finetune_function(self, pl_module, epoch, optimizer):
        if epoch == 1:  # two roll-outs and one step on
            self.unfreeze_and_add_param_group(pl_module.net[0], optimizer)

    def on_train_start(self, trainer, pl_module):
        """Resumed in the middle of an epoch, Lightning leaves frozen what was unfrozen, with any optimizer."""
        for group in trainer.optimizers[0].param_groups:
            for p in group["params"]:
                p.requires_grad_(True)


class Head(Module):
    def configure_optimizers(self):
        return PGrad([p for p in self.net.parameters() if p.requires_grad], 0.01, 4, outer_lr=0.5)


def unfrozen_by_hand():
    """Three epochs of the plain loop, the first with the first layer frozen."""
    model, data, points = net(), loader(), []
    model[0].requires_grad_(False)
    opt = PGrad(model[2].parameters(), 0.01, 4, outer_lr=0.5)
    for epoch in range(3):
        if epoch == 1:
            model[0].requires_grad_(True)
            opt.add_param_group({"params": list(model[0].parameters()), "lr": 0.001})
        for x, y in data:
            opt.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            opt.step()
            points.append(vector(model))
    return points


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("stop", [5, 14, 20])  # before, after it in the same roll-out's epoch, and an epoch later
def test_unfreezing_in_the_middle_of_a_roll_out_and_resuming(tmp_path, stop, order):
    def fit(*more, module, **options):
        callbacks = [Unfreezes(), EvaluateAtAnchor()][::order]
        data = ResumableLoader(dataset(), sampler())
        return validation(tmp_path, [*callbacks, *more], module, data, max_epochs=3, **options)[1]

    points = unfrozen_by_hand()
    whole_run = fit(module=Head(length=4))
    same(whole_run.points, points)
    fit(StopAfter(stop, tmp_path / "x.ckpt"), module=Head(length=4))
    resumed = fit(module=Head(seed=1, length=4), ckpt_path=tmp_path / "x.ckpt")
    same(resumed.points, points[stop:])
    assert torch.equal(vector(resumed.net), points[23])  # of 27 steps


def test_backbone_finetuning(tmp_path):
    class WithBackbone(Module):
        def make_net(self, seed):
            made = net(seed)
            self.backbone = made[0]
            return made

        def configure_optimizers(self):
            return PGrad(self.net[2].parameters(), 0.01, 4, outer_lr=0.5)

    unfreezes = BackboneFinetuning(unfreeze_backbone_at_epoch=1, verbose=False)
    fit, module = validation(tmp_path, [unfreezes, EvaluateAtAnchor()], WithBackbone(length=4), max_epochs=3)
    opt = fit.optimizers[0]
    assert [len(group["params"]) for group in opt.param_groups] == [2, 2]
    assert [len(group["params"]) for group in opt.outer.param_groups] == [2, 2]
    first = slice(0, 56)  # the backbone's parameters
    assert torch.equal(module.points[8][first], vector(net())[first])
    assert not torch.equal(module.points[9][first], module.points[8][first])
    assert torch.equal(vector(module.net), module.points[23])


# ------------------------------------------------------------------------------------- steps that are tried and undone


class Tuned(Module):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.lr, self.batch_size = 0.01, 4

    def configure_optimizers(self):
        return PGrad(self.net.parameters(), self.lr, self.length, outer_lr=0.5)

    def train_dataloader(self):
        generator = torch.Generator().manual_seed(3)
        batches = DomainBatchSampler(DOMAINS, min(self.batch_size, 12), generator=generator)
        return DataLoader(dataset(), batch_sampler=batches)

    def val_dataloader(self):
        return whole()


def test_the_learning_rate_finder_leaves_no_trace_but_the_learning_rate(tmp_path):
    """Seven steps, which end three steps into a roll-out; the fit after it is one with that rate from the start."""
    finder = LearningRateFinder(min_lr=1e-4, max_lr=1e-1, num_training_steps=7, early_stop_threshold=None)
    data = loader()
    fit, module = validation(tmp_path, [finder, EvaluateAtAnchor()], Tuned(length=4), data)
    tried = len(module.points) - 9
    assert 7 <= tried <= 8
    assert finder.optimal_lr is not None
    model = net()
    opt = PGrad(model.parameters(), module.lr, 4, outer_lr=0.5)
    assert [group["lr"] for group in fit.optimizers[0].param_groups] == [module.lr]
    again = loader()
    list(itertools.islice(again.batch_sampler, tried))  # the sampler goes on in its stream, with the next roll-out
    expected = []
    for x, y in again:
        opt.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        opt.step()
        expected.append(vector(model))
    same(module.points[tried:], expected)


class FindsAgain(LearningRateFinder):
    def on_fit_start(self, *args):
        """Not yet."""

    def on_train_epoch_start(self, trainer, module):
        if trainer.current_epoch == 1:
            before, position = vector(module.net), trainer.optimizers[0].rollout_position
            self.lr_find(trainer, module)
            assert torch.equal(vector(module.net), before)
            assert trainer.optimizers[0].rollout_position == position == 1


@pytest.mark.parametrize("callbacks", [[], [EvaluateAtAnchor]])
def test_the_learning_rate_finder_in_the_middle_of_a_roll_out(tmp_path, callbacks):
    finder = FindsAgain(num_training_steps=6, early_stop_threshold=None)
    made = [finder, *(callback() for callback in callbacks)]
    fit = trainer(tmp_path, callbacks=made, max_epochs=2)
    fit.fit(Tuned(length=4), ResumableLoader(dataset(), sampler()))
    assert finder.optimal_lr is not None


def test_the_batch_size_finder_leaves_the_model_as_it_was(tmp_path):
    finder = BatchSizeFinder(steps_per_trial=3, init_val=2, max_trials=2)
    starts = []

    class Watched(Tuned):
        def on_train_start(self):
            starts.append(vector(self.net))

    module = Watched(length=4)
    fit, _ = validation(tmp_path, [finder, EvaluateAtAnchor()], module, data=False)
    assert module.batch_size == finder.optimal_batch_size > 2
    assert torch.equal(starts[-1], vector(net()))
    assert fit.optimizers[0].rollout_position == 0


def test_the_gradient_accumulation_scheduler(tmp_path):
    """Nine steps in the first epoch, then four of two batches and one of the last batch."""
    _, module = validation(
        tmp_path, [GradientAccumulationScheduler({1: 2}), EvaluateAtAnchor()], max_epochs=2, val_check_interval=9
    )
    model, data, points = net(), loader(), []
    opt = PGrad(model.parameters(), 0.01, 4, outer_lr=0.5)
    for size in (1, 2):
        for n, (x, y) in enumerate(data, 1):
            (nn.functional.cross_entropy(model(x), y) / size).backward()
            if n % size == 0 or n == 9:
                opt.step()
                opt.zero_grad()
            points.append(vector(model))
    same(module.points, points)
    assert torch.equal(vector(module.net), points[15])  # fourteen steps: two after the third roll-out
