"""A contract that every torch optimizer should keep, as a test class to inherit.

`torch.optim.Optimizer` promises more than ``step()``: checkpoints that go on bit for bit, copies, schedulers, hooks,
parameter groups, gradient scaling. Inherit `OptimizerContract` in a test file, say how to make the optimizer, and
pytest (or any runner that calls the methods named ``test_*``) checks each promise on a small model::

    class TestMyOptimizer(OptimizerContract):
        cycle = 5  # it does something special at every fifth step

        def make(self, params):
            return MyOptimizer(params, lr=0.01)

All comparisons are exact: both sides do the same arithmetic. This module itself does not need pytest.
"""

from __future__ import annotations

import copy
import io
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pgrad.testing.problem import closure_on, expect, expect_same, fail, gradient_of, loss_on, small_model

__all__ = ["OptimizerContract"]


class OptimizerContract:
    """Checks of one optimizer; a subclass says how it is made.

    Attributes:
        cycle: after how many steps the optimizer repeats itself: T of PGrad, k of Lookahead, 1 of Adam. Interrupted
            runs are compared over two cycles, with an interruption after every step of the first.
        needs_closure: True for an optimizer whose ``step`` must be given a closure; checks that step without one
            are then made with one, and those of gradient scaling, which allows none, do nothing.

    Raises:
        AssertionError: in a check, with what was expected; and whatever the optimizer itself raises.

    Example:
        >>> class TestAdam(OptimizerContract):
        ...     def make(self, params):
        ...         return torch.optim.Adam(params, lr=0.01)
        >>> TestAdam().test_resume()
        >>> class TestForgetful(TestAdam):
        ...     def make(self, params):
        ...         return Forgetful(params, lr=0.01)
        >>> class Forgetful(torch.optim.Adam):
        ...     def state_dict(self):
        ...         return {**super().state_dict(), "state": {}}
        >>> TestForgetful().test_resume()
        Traceback (most recent call last):
        AssertionError: resumed after step 1, the parameters differ from those expected: ...
    """

    cycle: int = 1
    needs_closure: bool = False

    def make(self, params: Any) -> Optimizer:
        """A new optimizer on parameters, named parameters or parameter groups, always with the same settings."""
        raise NotImplementedError(f"{type(self).__name__} must define make(self, params) -> torch.optim.Optimizer")

    # ------------------------------------------------------------------------------------------------- what it is

    def test_is_a_torch_optimizer(self) -> None:
        """It is an Optimizer with the groups and defaults that schedulers and frameworks read."""
        model = small_model()
        optimizer = self.make(model.parameters())
        expect(isinstance(optimizer, Optimizer), f"a torch.optim.Optimizer, got {type(optimizer).__name__}")
        expect(isinstance(optimizer.defaults, dict), "a dict of defaults")
        held = [p for group in optimizer.param_groups for p in group["params"]]
        expect([id(p) for p in held] == [id(p) for p in model.parameters()], "the parameters in their order")
        expect(all("lr" in group for group in optimizer.param_groups), 'an "lr" in every parameter group')

    def test_repr(self) -> None:
        """``repr`` tells the class and the learning rate."""
        optimizer = self.make(small_model().parameters())
        text = repr(optimizer)
        expect(type(optimizer).__name__ in text and "lr" in text, f"the class and its lr in repr, got {text!r}")

    def test_no_parameters_are_refused(self) -> None:
        """An empty list of parameters is a mistake, as in torch.optim."""
        try:
            self.make([])
        except (ValueError, TypeError):
            return
        fail("a ValueError for an empty list of parameters")

    def test_named_parameters(self) -> None:
        """Named parameters work, and do the same as parameters."""
        plain, named = small_model(), small_model()
        self._train(plain, self.make(plain.parameters()), 0, 2 * self.cycle)
        self._train(named, self.make(named.named_parameters()), 0, 2 * self.cycle)
        expect_same(named, plain, "with named parameters")

    # ----------------------------------------------------------------------------------------------- what it does

    def test_parameters_move(self) -> None:
        """Every parameter with a gradient moves within one cycle, and stays finite."""
        model, start = small_model(), small_model()
        self._train(model, self.make(model.parameters()), 0, self.cycle)
        for (name, p), q in zip(model.named_parameters(), start.parameters(), strict=True):
            expect(bool(p.isfinite().all()) and not torch.equal(p, q), f"{name} to move and stay finite")

    def test_closure(self) -> None:
        """``step(closure)`` runs it with gradients on, returns its loss, and does what ``step()`` does."""
        model, other = small_model(), small_model()
        optimizer = self.make(model.parameters())
        for step in range(2 * self.cycle):
            expected = loss_on(model, step).detach()
            with torch.no_grad():
                found: Any = optimizer.step(closure_on(model, optimizer, step))
            expect(found is not None, "step(closure) to return the loss")
            expect(float(found) == float(expected), f"the loss {float(expected)} from step(closure), got {found}")
        if not self.needs_closure:
            twin = self.make(other.parameters())
            self._train(other, twin, 0, 2 * self.cycle)
            expect_same(model, other, "with closures")

    def test_step_without_closure_returns_none(self) -> None:
        """Without a closure there is no loss to return."""
        if self.needs_closure:
            return
        model = small_model()
        optimizer = self.make(model.parameters())
        loss_on(model, 0).backward()
        found: Any = optimizer.step()
        expect(found is None, f"step() to return None, got {found!r}")

    def test_gradients_are_left_as_they_are(self) -> None:
        """``step()`` does not change ``.grad``: the caller may log or clip it, and clears it."""
        model = small_model()
        optimizer = self.make(model.parameters())
        for step in range(0 if self.needs_closure else self.cycle):
            optimizer.zero_grad()
            loss_on(model, step).backward()
            before = [gradient_of(p).clone() for p in model.parameters()]
            optimizer.step()
            after = [gradient_of(p) for p in model.parameters()]
            expect(all(map(torch.equal, before, after)), f"the gradients unchanged by step number {step + 1}")

    def test_zero_grad(self) -> None:
        """``zero_grad`` sets gradients to None, or to zero if asked."""
        model = small_model()
        optimizer = self.make(model.parameters())
        loss_on(model, 0).backward()
        optimizer.zero_grad(set_to_none=False)
        expect(all(not gradient_of(p).any() for p in model.parameters()), "zeros after zero_grad(set_to_none=False)")
        optimizer.zero_grad()
        expect(all(p.grad is None for p in model.parameters()), "None after zero_grad()")

    def test_frozen_and_unused_parameters_stay(self) -> None:
        """Parameters without gradient keep their values; the others do as if those did not exist."""
        model, alone = small_model(), small_model()
        frozen, unused = nn.Parameter(torch.ones(3), requires_grad=False), nn.Parameter(torch.ones(2))
        self._train(model, self.make([frozen, *model.parameters(), unused]), 0, 2 * self.cycle)
        self._train(alone, self.make(alone.parameters()), 0, 2 * self.cycle)
        expect(bool((frozen == 1).all()) and bool((unused == 1).all()), "no change without a gradient")
        expect_same(model, alone, "beside frozen and unused parameters")

    def test_groups_have_their_own_learning_rate(self) -> None:
        """A group with lr = 0 does not move, the other one does."""
        model, start = small_model(), small_model()
        first, last = model[0], model[-1]
        groups = [{"params": list(first.parameters()), "lr": 0.0}, {"params": list(last.parameters())}]
        self._train(model, self.make(groups), 0, self.cycle)
        for index, moved in ((0, False), (-1, True)):
            same = all(map(torch.equal, model[index].parameters(), start[index].parameters()))
            expect(same != moved, "only the group with lr > 0 to move")

    # ---------------------------------------------------------------------------------------------- what it keeps

    def test_resume(self) -> None:
        """Saved after any step and loaded by a fresh object, it goes on bit for bit; files load with weights_only."""
        for stop in range(1, self.cycle + 1):
            expected = small_model()
            self._train(expected, self.make(expected.parameters()), 0, stop + 2 * self.cycle)

            saved = small_model()
            before = self.make(saved.parameters())
            self._train(saved, before, 0, stop)
            file = io.BytesIO()
            torch.save({"model": saved.state_dict(), "optimizer": before.state_dict()}, file)
            loaded = torch.load(io.BytesIO(file.getvalue()), weights_only=True)

            found = small_model(seed=1)
            after = self.make(found.parameters())
            found.load_state_dict(loaded["model"])
            after.load_state_dict(loaded["optimizer"])
            self._train(found, after, stop, stop + 2 * self.cycle)
            expect_same(found, expected, f"resumed after step {stop}")

    def test_resume_in_place(self) -> None:
        """An optimizer that has been elsewhere takes up a state as completely as a fresh one."""
        stop = self.cycle // 2 + 1
        expected = small_model()
        optimizer = self.make(expected.parameters())
        self._train(expected, optimizer, 0, stop)
        state = copy.deepcopy((expected.state_dict(), optimizer.state_dict()))
        self._train(expected, optimizer, stop, stop + 2 * self.cycle)
        found = small_model(seed=1)
        used = self.make(found.parameters())
        self._train(found, used, 0, self.cycle + 1)
        found.load_state_dict(state[0])
        used.load_state_dict(state[1])
        self._train(found, used, stop, stop + 2 * self.cycle)
        expect_same(found, expected, "loaded into an optimizer in use")

    def test_loading_its_own_state_changes_nothing(self) -> None:
        """``load_state_dict(state_dict())``, which some frameworks do on wrapping, is harmless at any step."""
        self._same_if(lambda optimizer: optimizer.load_state_dict(optimizer.state_dict()), "own state reloaded")

    def test_deepcopy(self) -> None:
        """Model and optimizer copied together go on like the original, and apart from it."""
        self._copies(copy.deepcopy, "deep-copied")

    def test_pickle(self) -> None:
        """Model and optimizer pickled together go on like the original."""
        self._copies(lambda pair: pickle.loads(pickle.dumps(pair)), "pickled")

    def test_state_of_another_model_is_refused(self) -> None:
        """A state with another number of parameters raises ValueError and leaves the optimizer as it was."""
        small = nn.Linear(2, 2)
        state = self.make(small.parameters()).state_dict()

        def load(optimizer: Optimizer) -> None:
            try:
                optimizer.load_state_dict(copy.deepcopy(state))
            except ValueError:
                return
            fail("a ValueError for the state of a model with another number of parameters")

        self._same_if(load, "a state refused")

    # ------------------------------------------------------------------------------------------ what others add to it

    def test_add_param_group(self) -> None:
        """A group added after any step is trained, and is in the state that a fresh object takes up."""
        for stop in range(self.cycle):
            model, extra = small_model(), nn.Parameter(torch.zeros(2))
            optimizer = self.make(model.parameters())
            self._train(model, optimizer, 0, stop)
            optimizer.add_param_group({"params": [extra]})
            self._train(model, optimizer, stop, stop + self.cycle + 1, extra)
            expect(bool(extra.any()), f"the group added after step {stop} to move")

            found, twin = small_model(seed=1), nn.Parameter(extra.detach().clone())
            fresh = self.make(found.parameters())
            fresh.add_param_group({"params": [twin]})
            found.load_state_dict(model.state_dict())
            fresh.load_state_dict(copy.deepcopy(optimizer.state_dict()))
            start = stop + self.cycle + 1
            self._train(model, optimizer, start, start + 2 * self.cycle, extra)
            self._train(found, fresh, start, start + 2 * self.cycle, twin)
            expect_same(found, model, f"resumed with a group added after step {stop}")
            expect(torch.equal(extra, twin), "the added parameter to resume too")

    def test_schedulers(self) -> None:
        """Schedulers take it without a warning, set its lr, and the lr has an effect."""
        model = small_model()
        optimizer = self.make(model.parameters())
        base = float(optimizer.param_groups[0]["lr"])
        halve = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self._train(model, optimizer, 0, self.cycle)
            halve.step()
            expect(float(optimizer.param_groups[0]["lr"]) == base / 2, f"lr {base / 2} after one StepLR step")
            plateau.step(1.0)
            plateau.step(2.0)
        found = float(optimizer.param_groups[0]["lr"])
        expect(abs(found - base / 20) < 1e-6 * base, f"lr {base / 20} after a plateau, got {found}")
        slow = small_model()
        slowed = self.make(slow.parameters())
        slowed.param_groups[0]["lr"] = base / 20
        self._train(slow, slowed, 0, self.cycle)
        fast = small_model()
        self._train(fast, self.make(fast.parameters()), 0, self.cycle)
        same = all(map(torch.equal, slow.parameters(), fast.parameters()))
        expect(not same, "the lr of the groups to have an effect")

    def test_hooks(self) -> None:
        """Hooks on step, state_dict and load_state_dict run once each, before and after."""
        model = small_model()
        optimizer = self.make(model.parameters())
        calls: list[str] = []

        def note(name: str) -> Callable[..., None]:
            return lambda *_: calls.append(name)

        optimizer.register_step_pre_hook(note("step pre"))
        optimizer.register_step_post_hook(note("step post"))
        optimizer.register_state_dict_pre_hook(note("state_dict pre"))
        optimizer.register_state_dict_post_hook(note("state_dict post"))
        optimizer.register_load_state_dict_pre_hook(note("load pre"))
        optimizer.register_load_state_dict_post_hook(note("load post"))
        for step in range(self.cycle):
            self._train(model, optimizer, step, step + 1)
            expect(calls == ["step pre", "step post"], f"each step hook once at step {step + 1}, got {calls}")
            calls.clear()
        optimizer.load_state_dict(optimizer.state_dict())
        expected = ["state_dict pre", "state_dict post", "load pre", "load post"]
        expect(calls == expected, f"the hooks {expected}, got {calls}")

    def test_gradient_scaling(self) -> None:
        """GradScaler changes nothing, and a step that it skips is as if it had not been.

        The scale is a power of two, so that scaled and unscaled gradients have the same digits.
        """
        if self.needs_closure:
            return
        expected, found = small_model(), small_model()
        plain, scaled = self.make(expected.parameters()), self.make(found.parameters())
        # One growth step never comes; the scale halves when a step is skipped.
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=10**6)
        overflow = self.cycle // 2
        for step in range(2 * self.cycle + 1):
            scaled.zero_grad()
            scaler.scale(loss_on(found, step)).backward()
            if step == overflow:
                gradient_of(next(found.parameters())).fill_(torch.inf)
            else:
                self._train(expected, plain, step, step + 1)
            scaler.unscale_(scaled)
            torch.nn.utils.clip_grad_norm_(found.parameters(), 1e6)  # a bound that no gradient reaches
            scaler.step(scaled)
            scaler.update()
            expect_same(found, expected, f"with gradient scaling, step {step + 1}")

    # ------------------------------------------------------------------------------------------------- how it is run

    def _train(
        self, model: nn.Module, optimizer: Optimizer, start: int, stop: int, extra: Tensor | None = None
    ) -> None:
        """Steps start .. stop-1 of an ordinary loop."""
        for step in range(start, stop):
            closure = closure_on(model, optimizer, step, extra)
            if self.needs_closure:
                optimizer.step(closure)
            else:
                closure()
                optimizer.step()

    def _same_if(self, event: Callable[[Optimizer], None], what: str) -> None:
        """A run with ``event`` before every step of the first cycle and a bit equals one without."""
        expected, found = small_model(), small_model()
        plain, tried = self.make(expected.parameters()), self.make(found.parameters())
        for step in range(self.cycle + 2):
            event(tried)
            self._train(expected, plain, step, step + 1)
            self._train(found, tried, step, step + 1)
            expect_same(found, expected, f"{what} before step {step + 1}")

    def _copies(self, duplicate: Callable[[Any], Any], what: str) -> None:
        for stop in range(self.cycle + 1):
            model = small_model()
            optimizer = self.make(model.parameters())
            self._train(model, optimizer, 0, stop)
            twin, its_optimizer = duplicate((model, optimizer))
            before = copy.deepcopy(twin)
            self._train(model, optimizer, stop, stop + 2 * self.cycle)
            expect_same(twin, before, f"{what} after step {stop} and left alone")
            self._train(twin, its_optimizer, stop, stop + 2 * self.cycle)
            expect_same(twin, model, f"{what} after step {stop}")
