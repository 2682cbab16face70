"""A contract that every average of weights should keep, as a test class to inherit."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam

from pgrad.averaging import Average
from pgrad.optimizer import PGrad
from pgrad.testing.problem import closure_on, expect, expect_same, fail, gradient_of, loss_on, small_model

__all__ = ["AverageContract"]

_STEPS = 12


class AverageContract:
    """Checks of one `pgrad.averaging.Average`; a subclass says how it is made.

    Attributes:
        validates: whether it has ``validate(loss)``, which is then called after every third point.

    Raises:
        AssertionError: in a check, with what was expected; and whatever the average itself raises.

    Example:
        >>> import pgrad
        >>> class TestEMA(AverageContract):
        ...     def make(self, model):
        ...         return pgrad.averaging.EMA(model, decay=0.9)
        >>> TestEMA().test_resume()
    """

    validates: bool = False

    def make(self, model: nn.Module) -> Average:
        """A new average of a model, always with the same settings."""
        raise NotImplementedError(f"{type(self).__name__} must define make(self, model) -> pgrad.averaging.Average")

    def test_nothing_before_the_first_point(self) -> None:
        """Without points there is no average, and whoever asks for it is told so; the model stays as it is."""
        model = small_model()
        average = self.make(model)
        expect(not average.ready and average.count == 0, "no average before the first point")
        for ask in (average.average, lambda: average.copy_to(model), lambda: average.applied().__enter__()):
            _refused(ask, RuntimeError, "an average that is not there yet")
        expect_same(model, small_model(), "before the first point")

    def test_follow_is_update_after_every_step(self) -> None:
        """Following an optimizer takes the same points as calling update() after each of its steps."""
        following, called = small_model(), small_model()
        one, other = self.make(following), self.make(called)
        optimizer, plain = SGD(following.parameters(), 0.1), SGD(called.parameters(), 0.1)
        expect(one.follow(optimizer) is one, "follow() to return the average")
        for step in range(_STEPS):
            closure_on(following, optimizer, step)()
            optimizer.step()
            closure_on(called, plain, step)()
            plain.step()
            other.update()
            self._validate(one, step)
            self._validate(other, step)
        _same_average(one, other, "by follow() and by update()")
        _refused(lambda: one.follow(optimizer), RuntimeError, "a second follow()")
        one.unfollow()
        before = one.count
        optimizer.step()
        expect(one.count == before, "no point after unfollow()")

    def test_training_does_not_notice(self) -> None:
        """The model goes the same way with the average as without."""
        with_average, without = small_model(), small_model()
        self._train(with_average, self.make(with_average), 0, _STEPS)
        self._train(without, None, 0, _STEPS)
        expect_same(with_average, without, "trained with an average")

    def test_applied_and_back(self) -> None:
        """applied() puts the average into the model and gives back its bits, after an exception too."""
        model, other = small_model(), small_model(seed=1)
        average = self.make(model)
        self._train(model, average, 0, _STEPS)
        kept = copy.deepcopy(model)
        expected = average.average()
        with average.applied():
            inside = {name: p.detach().clone() for name, p in model.named_parameters()}
            _refused(lambda: average.applied().__enter__(), RuntimeError, "applied() inside applied()")
            _refused(average.update, RuntimeError, "update() inside applied()")
            _refused(self.make(model).update, RuntimeError, "update() of another average inside applied()")
        expect(
            all(torch.equal(inside[name], value) for name, value in expected.items()), "the average inside applied()"
        )
        expect_same(model, kept, "after applied()")
        try:
            with average.applied():
                raise KeyError("of the caller")
        except KeyError:
            expect_same(model, kept, "after an exception inside applied()")
        average.copy_to(other)
        found = dict(other.named_parameters())
        expect(all(torch.equal(found[name], value) for name, value in expected.items()), "the average after copy_to()")
        _refused(lambda: average.copy_to(nn.Linear(2, 2)), ValueError, "copy_to() a model of another kind")

    def test_no_step_inside_applied(self) -> None:
        """A step of the optimizer that is followed is refused there, before anything moves."""
        model = small_model()
        optimizer = SGD(model.parameters(), 0.1)
        average = self.make(model).follow(optimizer)
        for step in range(_STEPS):
            closure_on(model, optimizer, step)()
            optimizer.step()
            self._validate(average, step)
        with average.applied():
            inside = copy.deepcopy(model)
            _refused(optimizer.step, RuntimeError, "a step inside applied()")
            expect_same(model, inside, "after a refused step")

    def test_steps_that_are_no_points(self) -> None:
        """A step that a gradient scaler skips is none, also of a fused optimizer, which runs nevertheless."""
        optimizers = (lambda params: SGD(params, 0.1), lambda params: Adam(params, 0.01, fused=True))
        for make_optimizer in optimizers:
            model, other = small_model(), small_model()
            average, plain = self.make(model), self.make(other)
            optimizer = make_optimizer(model.parameters())
            average.follow(optimizer)
            scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=10**6)
            for step in range(_STEPS):
                optimizer.zero_grad()
                scaler.scale(loss_on(model, step)).backward()
                if step == 1:
                    gradient_of(model.get_parameter("0.weight")).fill_(torch.inf)
                scaler.step(optimizer)
                scaler.update()
                other.load_state_dict(model.state_dict())
                if step != 1:
                    plain.update()
                self._validate(average, step)
                self._validate(plain, step)
            _same_average(average, plain, "with a skipped step")

    def test_points_of_roll_outs_are_anchors(self) -> None:
        """Following a `pgrad.PGrad` takes a point after each outer step, the last one by finish_rollout()."""
        model, other = small_model(), small_model()
        average, plain = self.make(model), self.make(other)
        optimizer = PGrad(model.parameters(), 0.01, 3, outer_lr=0.5)
        average.follow(optimizer)
        for step in range(3 * _STEPS - 1):
            closure_on(model, optimizer, step)()
            optimizer.step()
            if step == 3 * _STEPS - 2:
                optimizer.finish_rollout()
            if optimizer.rollout_position == 0:
                other.load_state_dict(model.state_dict())
                plain.update()
                self._validate(average, step // 3)
                self._validate(plain, step // 3)
        _same_average(average, plain, "of anchors")

    def test_applied_in_a_roll_out(self) -> None:
        """In the middle of one the inner iterate comes back, and nothing inside can lose the roll-out."""
        model, other = small_model(), small_model()
        average = self.make(model)
        optimizer, plain = (PGrad(m.parameters(), 0.01, 3, outer_lr=0.5) for m in (model, other))
        average.follow(optimizer)
        for step in range(4 * _STEPS):
            for one, its in ((model, optimizer), (other, plain)):
                closure_on(one, its, step)()
                its.step()
            if optimizer.rollout_position == 0:
                self._validate(average, step // 3)
            if not average.ready:
                continue
            with average.applied():
                inside = average.average()
                for move in (optimizer.step, optimizer.finish_rollout, optimizer.discard_rollout):
                    _refused(move, RuntimeError, f"{move.__name__}() inside applied()")
                found = dict(model.named_parameters())
                expect(all(torch.equal(found[name], value) for name, value in inside.items()), "the average inside")
            expect_same(model, other, f"after applied() at step {step + 1}")

    def test_only_parameters(self) -> None:
        """Buffers, and parameters of integers, are not averaged and stay."""
        model = small_model()
        model.register_buffer("seen", torch.zeros(()))
        model.register_parameter("index", nn.Parameter(torch.tensor([2**24 + 1]), requires_grad=False))
        average = self.make(model)
        for step in range(_STEPS):
            model.get_buffer("seen").fill_(step)
            average.update()
            self._validate(average, step)
        with average.applied():
            expect(float(model.get_buffer("seen")) == _STEPS - 1, "a buffer to stay")
            expect(int(model.get_parameter("index")) == 2**24 + 1, "a parameter of integers to stay")
        expect(not {"seen", "index"} & average.average().keys(), "neither in average()")

    def test_resume(self) -> None:
        """Saved after any point and loaded by a fresh object, it goes on bit for bit; files load with weights_only."""
        for stop in range(_STEPS):
            expected = small_model()
            whole = self.make(expected)
            self._train(expected, whole, 0, 2 * _STEPS)
            model = small_model()
            before = self.make(model)
            self._train(model, before, 0, stop)
            file = io.BytesIO()
            torch.save({"model": model.state_dict(), "average": before.state_dict()}, file)
            loaded = torch.load(io.BytesIO(file.getvalue()), weights_only=True)
            again = small_model(seed=1)
            after = self.make(again)
            again.load_state_dict(loaded["model"])
            after.load_state_dict(loaded["average"])
            self._train(again, after, stop, 2 * _STEPS)
            _same_average(after, whole, f"resumed after point {stop}")

    def test_copies(self) -> None:
        """Copied or pickled together with the model, it goes on like the original, and apart from it."""
        duplicates: list[Callable[[Any], Any]] = [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))]
        for duplicate in duplicates:
            model = small_model()
            average = self.make(model)
            self._train(model, average, 0, _STEPS // 2)
            twin, its_average = duplicate((model, average))
            self._train(model, average, _STEPS // 2, 2 * _STEPS)
            expected = average.average()
            self._train(twin, its_average, _STEPS // 2, 2 * _STEPS)
            _same_average(its_average, average, "copied")
            for name, value in average.average().items():
                expect(torch.equal(value, expected[name]), f"the original to stay as it is: {name}")

    def test_other_states_are_refused(self) -> None:
        """A state of another model raises ValueError, and nothing has changed."""
        small = nn.Linear(2, 2)
        strange = self.make(small)
        strange.update()
        model = small_model()
        average = self.make(model)
        self._train(model, average, 0, _STEPS)
        before = average.average()
        _refused(lambda: average.load_state_dict(strange.state_dict()), ValueError, "the state of another model")
        state = average.state_dict()
        _refused(lambda: average.load_state_dict({}), ValueError, "an empty state")
        _refused(lambda: average.load_state_dict({**state, "type": "?"}), ValueError, "the state of another class")
        larger = self.make(nn.Sequential(*model, nn.Linear(2, 2)))
        _refused(lambda: larger.load_state_dict(state), ValueError, "the state of a smaller model")
        after = average.average()
        expect(all(torch.equal(after[name], value) for name, value in before.items()), "no change by a refused state")

    def test_half_precision(self) -> None:
        """Parameters in bfloat16 are averaged in float32: many small changes do not get lost."""
        model = small_model().bfloat16()
        wide = small_model().bfloat16().float()
        average, exact = self.make(model), self.make(wide)
        for step in range(3 * _STEPS):
            with torch.no_grad():
                for p, q in zip(model.parameters(), wide.parameters(), strict=True):
                    p.add_(2.0**-8 * (step % 3))
                    q.copy_(p)
            average.update()
            exact.update()
            self._validate(average, step)
            self._validate(exact, step)
        for name, value in average.average().items():
            expect(value.dtype == torch.bfloat16, "the average in the dtype of the parameters")
            expect(torch.equal(value, exact.average()[name].bfloat16()), "an average as precise as in float32")

    def test_parameters_that_come_later(self) -> None:
        """A layer added to the model is averaged from then on; one that is replaced by another shape is refused."""
        model = small_model()
        average = self.make(model)
        self._train(model, average, 0, _STEPS)
        model.append(nn.Linear(2, 2))
        for step in range(2 * _STEPS):
            average.update()
            self._validate(average, step)
        name = f"{len(model) - 1}.weight"
        gap = (average.average()[name] - model.get_parameter(name).detach()).abs().max()
        expect(float(gap) < 1e-6, "a constant late parameter to be its own average")
        model[0] = nn.Linear(4, 7)
        for ask in (average.update, average.average, lambda: average.applied().__enter__()):
            _refused(ask, ValueError, "a parameter of another shape")

    def test_a_foreign_optimizer_is_refused(self) -> None:
        """An optimizer without any parameter of the model cannot be followed."""
        average = self.make(small_model())
        other = SGD(small_model().parameters(), 0.1)
        _refused(lambda: average.follow(other), ValueError, "an optimizer of another model")

    # ------------------------------------------------------------------------------------------------- how it is run

    def _train(self, model: nn.Module, average: Average | None, start: int, stop: int) -> None:
        # SGD without momentum has no state: a run can begin in the middle.
        optimizer = SGD(model.parameters(), 0.1)
        for step in range(start, stop):
            closure_on(model, optimizer, step)()
            optimizer.step()
            if average is not None:
                average.update()
                self._validate(average, step)

    def _validate(self, average: Any, step: int) -> None:
        if self.validates and step % 3 == 2:
            average.validate(1.0 + 0.01 * step)


def _same_average(found: Average, expected: Average, when: str) -> None:
    expect(found.count == expected.count, f"as many points {when}, got {found.count} and {expected.count}")
    wanted: dict[str, Tensor] = expected.average()
    for name, value in found.average().items():
        expect(torch.equal(value, wanted[name]), f"the same average of {name} {when}")


def _refused(call: Callable[[], Any], kind: type[Exception], what: str) -> None:
    try:
        call()
    except kind:
        return
    fail(f"a {kind.__name__} for {what}")
