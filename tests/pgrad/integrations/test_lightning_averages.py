"""Averages of weights beside PGrad in Lightning: what each promised is in the model after fit, in any order."""

import copy

import pytest
import torch
from lightning.pytorch.callbacks import (
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
    StochasticWeightAveraging,
    WeightAveraging,
)
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn

import pgrad
from pgrad.integrations.lightning import EvaluateAtAnchor, ResumableLoader
from tests.pgrad.integrations.lightning_runs import QUIET, Module, SaveAfter, StopAfter, same, validation
from tests.pgrad.integrations.problem import dataset, net, optimizer, plain, sampler, vector

pytestmark = [
    *QUIET,
    pytest.mark.filterwarnings("ignore:.*SWA is currently only supported every epoch.*"),
    pytest.mark.filterwarnings("ignore:.*Found current_model_state.*"),
    pytest.mark.filterwarnings("ignore:.*lr_scheduler.step.*before.*optimizer.step.*"),
]


class EachEpoch(WeightAveraging):
    def should_update(self, step_idx=None, epoch_idx=None):
        return epoch_idx is not None


class AtAnchors(WeightAveraging):
    """The recipe of the documentation."""

    def should_update(self, step_idx=None, epoch_idx=None):
        return step_idx is not None and (step_idx + 1) % 4 == 0


class AtTheEnd(WeightAveraging):
    """One point alone: the average equals the inner iterate, so that no write can be seen."""

    def should_update(self, step_idx=None, epoch_idx=None):
        return epoch_idx == 1


def ema():
    return EMAWeightAveraging(decay=0.5)


# Which steps of eighteen are averaged (from 1 on), and how; a roll-out has four, so that fit ends two steps into one.
AVERAGES = {
    "EMA": (ema, range(1, 19), get_ema_avg_fn(0.5)),
    "every step": (WeightAveraging, range(1, 19), None),
    "every epoch": (EachEpoch, (9, 18), None),
    "anchors": (AtAnchors, (4, 8, 12, 16), None),
    "one point": (AtTheEnd, (18,), None),
}
ORDERS = {
    "alone": lambda average: [average],
    "before": lambda average: [EvaluateAtAnchor(), average],
    "after": lambda average: [average, EvaluateAtAnchor()],
}


def average_of(points, avg_fn):
    """Torch's own, of these points of the plain loop."""
    model = net(0)
    averaged = AveragedModel(model, avg_fn=avg_fn)
    for point in points:
        nn.utils.vector_to_parameters(point.clone(), model.parameters())
        averaged.update_parameters(model)
    return vector(averaged)


def straight(epochs=2, seed=0):
    model = net(seed)
    return plain(model, optimizer(model.parameters(), 4), epochs)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", AVERAGES)
def test_the_average_is_in_the_model_after_fit(tmp_path, name, order):
    make, steps, avg_fn = AVERAGES[name]
    fit, module = validation(tmp_path, ORDERS[order](make()), max_epochs=2)
    points = straight()
    same(module.points, points)  # neither validation nor the average was noticed by training
    expected = average_of([points[step - 1] for step in steps], avg_fn)
    assert torch.equal(vector(module.net), expected)
    if order != "alone":
        assert fit.optimizers[0].rollout_position == 0
        fit.optimizers[0].finish_rollout()  # nothing is left that could undo it
        assert torch.equal(vector(module.net), expected)


@pytest.mark.parametrize("order", ["before", "after"])
def test_every_validation_is_of_the_average(tmp_path, order):
    _, module = validation(tmp_path, ORDERS[order](ema()), max_epochs=2)
    points = straight()
    seen = [average_of(points[:step], get_ema_avg_fn(0.5)) for step in (3, 6, 9, 12, 15, 18)]
    same(module.validated, seen)


@pytest.mark.parametrize("order", ["before", "after"])
def test_a_checkpoint_is_the_average_for_its_readers_and_resumes_exactly(tmp_path, order):
    make, _, avg_fn = AVERAGES["EMA"]
    path = tmp_path / "x.ckpt"

    def data():
        return ResumableLoader(dataset(), sampler())

    first = [*ORDERS[order](make()), StopAfter(6, path)]
    validation(tmp_path, first, max_epochs=2, data=data())
    read = Module.load_from_checkpoint(path, length=4, weights_only=True)
    points = straight()
    assert torch.equal(vector(read.net), average_of(points[:6], avg_fn))
    _, resumed = validation(
        tmp_path, ORDERS[order](make()), Module(seed=1, length=4), data=data(), max_epochs=2, ckpt_path=path
    )
    same(resumed.points, points[6:])
    assert torch.equal(vector(resumed.net), average_of(points, avg_fn))


@pytest.mark.parametrize("order", ["before", "after"])
def test_the_last_checkpoint_at_the_end_of_training_can_be_resumed(tmp_path, order):
    """Lightning writes it after the average was put into the model: both it and the optimizer say the same."""

    def fit(module, **options):
        saves = ModelCheckpoint(tmp_path, save_last=True, every_n_epochs=50)  # so that the only save is at the end
        callbacks, data = [*ORDERS[order](ema()), saves], ResumableLoader(dataset(), sampler())
        return validation(tmp_path, callbacks, module, data, enable_checkpointing=True, **options)[1]

    first = fit(Module(length=4))
    read = Module.load_from_checkpoint(tmp_path / "last.ckpt", length=4, weights_only=True)
    assert torch.equal(vector(read.net), vector(first.net))
    resumed = fit(Module(seed=1, length=4), max_epochs=2, ckpt_path=tmp_path / "last.ckpt")
    assert len(resumed.points) == 9


def test_steps_in_multiples_of_the_rollout_length_are_not_anchors():
    """The first averaged step is number one: `update_every_n_steps=4` takes steps 1, 5, 9, which are inner iterates."""
    average = EMAWeightAveraging(update_every_n_steps=4)
    assert [step + 1 for step in range(12) if average.should_update(step_idx=step)] == [1, 5, 9]
    assert [step + 1 for step in range(12) if AtAnchors().should_update(step_idx=step)] == [4, 8, 12]


def test_an_average_of_this_library_follows_the_optimizer(tmp_path):
    """Its points are the anchors; it is put into the model where fit has left the anchor."""

    class Follows(Module):
        def configure_optimizers(self):
            opt = super().configure_optimizers()
            self.average = pgrad.averaging.Mean(self.net).follow(opt)
            return opt

        def on_fit_end(self):
            self.average.copy_to(self.net)

        def validation_step(self, batch, batch_idx):
            if self.average.ready:
                with self.average.applied():
                    super().validation_step(batch, batch_idx)

    _, module = validation(tmp_path, [EvaluateAtAnchor()], Follows(length=4), max_epochs=2)
    points = straight()
    same(module.points, points)
    anchors = [points[step - 1] for step in (4, 8, 12, 16)]
    torch.testing.assert_close(vector(module.net), torch.stack(anchors).mean(0))
    torch.testing.assert_close(module.validated[-1], torch.stack(anchors).mean(0))


# -------------------------------------------------------------------------------------------- StochasticWeightAveraging


def swa(**options):
    return StochasticWeightAveraging(swa_lrs=0.01, annealing_epochs=1, annealing_strategy="linear", **options)


def epoch_starts(module, start):
    """Points where the callback averages: where epoch `start` (from 0) and all later ones begin."""
    return [vector(net(0)) if epoch == 0 else module.points[9 * epoch - 1] for epoch in range(start, 3)]


@pytest.mark.parametrize("order", ORDERS)
def test_stochastic_weight_averaging_is_in_the_model_after_fit(tmp_path, order):
    """Three epochs of nine steps, in roll-outs of four; averaged where the second and the third begin."""
    fit, module = validation(tmp_path, ORDERS[order](swa(swa_epoch_start=2)), max_epochs=3)
    same(module.points[:9], straight(1))
    first, second = epoch_starts(module, 1)
    assert torch.equal(vector(module.net), first + (second - first) / torch.tensor(2))
    if order != "alone":
        fit.optimizers[0].finish_rollout()
        assert torch.equal(vector(module.net), first + (second - first) / torch.tensor(2))


@pytest.mark.parametrize("order", ["before", "after"])
def test_without_its_last_epoch_there_is_no_stochastic_average_and_the_anchor_is_left(tmp_path, order):
    callbacks = [*ORDERS[order](swa(swa_epoch_start=2)), StopAfter(14, tmp_path / "x.ckpt")]
    _, module = validation(tmp_path, callbacks, max_epochs=3)
    assert torch.equal(vector(module.net), module.points[11])
    read = Module.load_from_checkpoint(tmp_path / "x.ckpt", length=4, weights_only=True)
    assert torch.equal(vector(read.net), module.points[11])


@pytest.mark.parametrize("order", ["before", "after"])
def test_stochastic_weight_averaging_resumes_exactly(tmp_path, order):
    def fit(*more, module=None, **options):
        data = ResumableLoader(dataset(), sampler())
        callbacks = [*ORDERS[order](swa(swa_epoch_start=2)), *more]
        return validation(tmp_path, callbacks, module, data=data, max_epochs=3, **options)[1]

    whole = fit()
    fit(StopAfter(14, tmp_path / "x.ckpt"))
    resumed = fit(module=Module(seed=1, length=4), ckpt_path=tmp_path / "x.ckpt")
    same(resumed.points, whole.points[14:])
    assert torch.equal(vector(resumed.net), vector(whole.net))


@pytest.mark.parametrize("order", ["before", "after"])
def test_stochastic_weight_averaging_with_batchnorm(tmp_path, order):
    """One epoch more, for the statistics alone: the average comes into the model at its start."""

    class Normalized(Module):
        def make_net(self, seed):
            return nn.Sequential(nn.BatchNorm1d(6), net(seed))

    _, module = validation(tmp_path, ORDERS[order](swa(swa_epoch_start=2)), Normalized(length=4), max_epochs=3)
    first, second = module.points[8], module.points[17]
    expected = first + (second - first) / torch.tensor(2)
    assert torch.equal(vector(module.net), expected)
    assert torch.equal(module.validated[-1], expected)


@pytest.mark.parametrize("order", ["before", "after"])
def test_stochastic_weight_averaging_without_an_end(tmp_path, order):
    """With max_epochs=-1 the callback puts its average into the model wherever training stops."""
    callbacks = ORDERS[order](swa(swa_epoch_start=1))
    _, module = validation(tmp_path, callbacks, max_epochs=-1, max_steps=14)
    first, second = vector(net(0)), module.points[8]
    assert torch.equal(vector(module.net), first + (second - first) / torch.tensor(2))


# ------------------------------------------------------------------------------------------------- several at a time


def test_an_average_of_somebody_else_stays_too_and_is_said_once(tmp_path):
    class Unknown(SaveAfter):
        def on_train_end(self, trainer, module):
            module.net.load_state_dict(copy.deepcopy(net(seed=5).state_dict()))

    with pytest.warns(UserWarning, match="set from outside after 1 of 4 steps") as found:
        _, module = validation(tmp_path, [EvaluateAtAnchor(), Unknown(0, None)])
    assert len([w for w in found if "set from outside" in str(w.message)]) == 1
    assert torch.equal(vector(module.net), vector(net(seed=5)))


def test_with_early_stopping(tmp_path):
    class Logs(Module):
        def validation_step(self, batch, batch_idx):
            super().validation_step(batch, batch_idx)
            self.log("worse", float(len(self.validated)))

    stops = EarlyStopping("worse", patience=1)
    _, module = validation(tmp_path, [stops, ema(), EvaluateAtAnchor()], Logs(length=4), max_epochs=5)
    assert len(module.points) == 6
    assert torch.equal(vector(module.net), average_of(straight(1)[:6], get_ema_avg_fn(0.5)))
    _, other = validation(tmp_path, [EarlyStopping("worse", patience=1), EvaluateAtAnchor()], Logs(length=4))
    assert torch.equal(vector(other.net), straight(1)[3])
