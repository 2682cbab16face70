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
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

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
        """It is an Optimizer with the books that schedulers and frameworks read."""
        model = _model()
        optimizer = self.make(model.parameters())
        _expect(isinstance(optimizer, Optimizer), f"a torch.optim.Optimizer, found {type(optimizer).__name__}")
        _expect(isinstance(optimizer.defaults, dict), "a dict of defaults")
        held = [p for group in optimizer.param_groups for p in group["params"]]
        _expect([id(p) for p in held] == [id(p) for p in model.parameters()], "the parameters in their order")
        _expect(all("lr" in group for group in optimizer.param_groups), 'an "lr" in every parameter group')

    def test_repr(self) -> None:
        """``repr`` tells the class and the learning rate."""
        optimizer = self.make(_model().parameters())
        text = repr(optimizer)
        _expect(type(optimizer).__name__ in text and "lr" in text, f"the class and its lr in repr, found {text!r}")

    def test_no_parameters_are_refused(self) -> None:
        """An empty list of parameters is a mistake, as in torch.optim."""
        try:
            self.make([])
        except (ValueError, TypeError):
            return
        _fail("a ValueError for an empty list of parameters")

    def test_named_parameters(self) -> None:
        """Named parameters work, and do the same as parameters."""
        plain, named = _model(), _model()
        self._train(plain, self.make(plain.parameters()), 0, 2 * self.cycle)
        self._train(named, self.make(named.named_parameters()), 0, 2 * self.cycle)
        _same(named, plain, "with named parameters")

    # ----------------------------------------------------------------------------------------------- what it does

    def test_parameters_move(self) -> None:
        """Every parameter with a gradient moves within one cycle, and stays finite."""
        model, start = _model(), _model()
        self._train(model, self.make(model.parameters()), 0, self.cycle)
        for (name, p), q in zip(model.named_parameters(), start.parameters(), strict=True):
            _expect(bool(p.isfinite().all()) and not torch.equal(p, q), f"{name} to move and stay finite")

    def test_closure(self) -> None:
        """``step(closure)`` runs it with gradients on, returns its loss, and does what ``step()`` does."""
        model, other = _model(), _model()
        optimizer = self.make(model.parameters())
        for step in range(2 * self.cycle):
            expected = _loss(model, step).detach()
            with torch.no_grad():
                found: Any = optimizer.step(_closure(model, optimizer, step))
            _expect(found is not None, "step(closure) to return the loss")
            _expect(float(found) == float(expected), f"the loss {float(expected)} from step(closure), found {found}")
        if not self.needs_closure:
            twin = self.make(other.parameters())
            self._train(other, twin, 0, 2 * self.cycle)
            _same(model, other, "with closures")

    def test_step_without_closure_returns_none(self) -> None:
        """Without a closure there is no loss to return."""
        if self.needs_closure:
            return
        model = _model()
        optimizer = self.make(model.parameters())
        _loss(model, 0).backward()
        found: Any = optimizer.step()
        _expect(found is None, f"step() to return None, found {found!r}")

    def test_gradients_are_left_as_they_are(self) -> None:
        """``step()`` does not change ``.grad``: the caller may log or clip it, and clears it."""
        model = _model()
        optimizer = self.make(model.parameters())
        for step in range(0 if self.needs_closure else self.cycle):
            optimizer.zero_grad()
            _loss(model, step).backward()
            before = [_grad(p).clone() for p in model.parameters()]
            optimizer.step()
            after = [_grad(p) for p in model.parameters()]
            _expect(all(map(torch.equal, before, after)), f"the gradients unchanged by step number {step + 1}")

    def test_zero_grad(self) -> None:
        """``zero_grad`` sets gradients to None, or to zero if asked."""
        model = _model()
        optimizer = self.make(model.parameters())
        _loss(model, 0).backward()
        optimizer.zero_grad(set_to_none=False)
        _expect(all(not _grad(p).any() for p in model.parameters()), "zeros after zero_grad(set_to_none=False)")
        optimizer.zero_grad()
        _expect(all(p.grad is None for p in model.parameters()), "None after zero_grad()")

    def test_frozen_and_unused_parameters_stay(self) -> None:
        """Parameters without gradient keep their values; the others do as if those did not exist."""
        model, alone = _model(), _model()
        frozen, unused = nn.Parameter(torch.ones(3), requires_grad=False), nn.Parameter(torch.ones(2))
        self._train(model, self.make([frozen, *model.parameters(), unused]), 0, 2 * self.cycle)
        self._train(alone, self.make(alone.parameters()), 0, 2 * self.cycle)
        _expect(bool((frozen == 1).all()) and bool((unused == 1).all()), "no change without a gradient")
        _same(model, alone, "beside frozen and unused parameters")

    def test_groups_have_their_own_learning_rate(self) -> None:
        """A group with lr = 0 does not move, the other one does."""
        model, start = _model(), _model()
        first, last = model[0], model[-1]
        groups = [{"params": list(first.parameters()), "lr": 0.0}, {"params": list(last.parameters())}]
        self._train(model, self.make(groups), 0, self.cycle)
        for index, moved in ((0, False), (-1, True)):
            same = all(map(torch.equal, model[index].parameters(), start[index].parameters()))
            _expect(same != moved, "only the group with lr > 0 to move")

    # ---------------------------------------------------------------------------------------------- what it keeps

    def test_resume(self) -> None:
        """Saved after any step and loaded by a fresh object, it goes on bit for bit; files load with weights_only."""
        for stop in range(1, self.cycle + 1):
            expected = _model()
            self._train(expected, self.make(expected.parameters()), 0, stop + 2 * self.cycle)

            saved = _model()
            before = self.make(saved.parameters())
            self._train(saved, before, 0, stop)
            file = io.BytesIO()
            torch.save({"model": saved.state_dict(), "optimizer": before.state_dict()}, file)
            loaded = torch.load(io.BytesIO(file.getvalue()), weights_only=True)

            found = _model(seed=1)
            after = self.make(found.parameters())
            found.load_state_dict(loaded["model"])
            after.load_state_dict(loaded["optimizer"])
            self._train(found, after, stop, stop + 2 * self.cycle)
            _same(found, expected, f"resumed after step {stop}")

    def test_resume_in_place(self) -> None:
        """An optimizer that has walked elsewhere takes up a state as completely as a fresh one."""
        stop = self.cycle // 2 + 1
        expected = _model()
        optimizer = self.make(expected.parameters())
        self._train(expected, optimizer, 0, stop)
        state = copy.deepcopy((expected.state_dict(), optimizer.state_dict()))
        self._train(expected, optimizer, stop, stop + 2 * self.cycle)
        found = _model(seed=1)
        used = self.make(found.parameters())
        self._train(found, used, 0, self.cycle + 1)
        found.load_state_dict(state[0])
        used.load_state_dict(state[1])
        self._train(found, used, stop, stop + 2 * self.cycle)
        _same(found, expected, "loaded into an optimizer in use")

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
            _fail("a ValueError for the state of a model with another number of parameters")

        self._same_if(load, "a state refused")

    # ------------------------------------------------------------------------------------------ what others add to it

    def test_add_param_group(self) -> None:
        """A group added after any step is trained, and is in the state that a fresh object takes up."""
        for stop in range(self.cycle):
            model, extra = _model(), nn.Parameter(torch.zeros(2))
            optimizer = self.make(model.parameters())
            self._train(model, optimizer, 0, stop)
            optimizer.add_param_group({"params": [extra]})
            self._train(model, optimizer, stop, stop + self.cycle + 1, extra)
            _expect(bool(extra.any()), f"the group added after step {stop} to move")

            found, twin = _model(seed=1), nn.Parameter(extra.detach().clone())
            fresh = self.make(found.parameters())
            fresh.add_param_group({"params": [twin]})
            found.load_state_dict(model.state_dict())
            fresh.load_state_dict(copy.deepcopy(optimizer.state_dict()))
            start = stop + self.cycle + 1
            self._train(model, optimizer, start, start + 2 * self.cycle, extra)
            self._train(found, fresh, start, start + 2 * self.cycle, twin)
            _same(found, model, f"resumed with a group added after step {stop}")
            _expect(torch.equal(extra, twin), "the added parameter to resume too")

    def test_schedulers(self) -> None:
        """Schedulers take it without a warning, set its lr, and the lr has an effect."""
        model = _model()
        optimizer = self.make(model.parameters())
        base = float(optimizer.param_groups[0]["lr"])
        halve = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self._train(model, optimizer, 0, self.cycle)
            halve.step()
            _expect(float(optimizer.param_groups[0]["lr"]) == base / 2, f"lr {base / 2} after one StepLR step")
            plateau.step(1.0)
            plateau.step(2.0)
        found = float(optimizer.param_groups[0]["lr"])
        _expect(abs(found - base / 20) < 1e-6 * base, f"lr {base / 20} after a plateau, found {found}")
        slow = _model()
        slowed = self.make(slow.parameters())
        slowed.param_groups[0]["lr"] = base / 20
        self._train(slow, slowed, 0, self.cycle)
        fast = _model()
        self._train(fast, self.make(fast.parameters()), 0, self.cycle)
        same = all(map(torch.equal, slow.parameters(), fast.parameters()))
        _expect(not same, "the lr of the groups to have an effect")

    def test_hooks(self) -> None:
        """Hooks on step, state_dict and load_state_dict run once each, before and after."""
        model = _model()
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
            _expect(calls == ["step pre", "step post"], f"each step hook once at step {step + 1}, found {calls}")
            calls.clear()
        optimizer.load_state_dict(optimizer.state_dict())
        expected = ["state_dict pre", "state_dict post", "load pre", "load post"]
        _expect(calls == expected, f"the hooks {expected}, found {calls}")

    def test_gradient_scaling(self) -> None:
        """GradScaler changes nothing, and a step that it skips is as if it had not been.

        The scale is a power of two, so that scaled and unscaled gradients have the same digits.
        """
        if self.needs_closure:
            return
        expected, found = _model(), _model()
        plain, scaled = self.make(expected.parameters()), self.make(found.parameters())
        # One growth step never comes; the scale halves when a step is skipped.
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=10**6)
        overflow = self.cycle // 2
        for step in range(2 * self.cycle + 1):
            scaled.zero_grad()
            scaler.scale(_loss(found, step)).backward()
            if step == overflow:
                _grad(next(found.parameters())).fill_(torch.inf)
            else:
                self._train(expected, plain, step, step + 1)
            scaler.unscale_(scaled)
            torch.nn.utils.clip_grad_norm_(found.parameters(), 1e6)  # a bound that no gradient reaches
            scaler.step(scaled)
            scaler.update()
            _same(found, expected, f"with gradient scaling, step {step + 1}")

    # ------------------------------------------------------------------------------------------------- how it is run

    def _train(
        self, model: nn.Module, optimizer: Optimizer, start: int, stop: int, extra: Tensor | None = None
    ) -> None:
        """Steps start .. stop-1 of an ordinary loop."""
        for step in range(start, stop):
            closure = _closure(model, optimizer, step, extra)
            if self.needs_closure:
                optimizer.step(closure)
            else:
                closure()
                optimizer.step()

    def _same_if(self, event: Callable[[Optimizer], None], what: str) -> None:
        """A run with ``event`` before every step of the first cycle and a bit equals one without."""
        expected, found = _model(), _model()
        plain, tried = self.make(expected.parameters()), self.make(found.parameters())
        for step in range(self.cycle + 2):
            event(tried)
            self._train(expected, plain, step, step + 1)
            self._train(found, tried, step, step + 1)
            _same(found, expected, f"{what} before step {step + 1}")

    def _copies(self, duplicate: Callable[[Any], Any], what: str) -> None:
        for stop in range(self.cycle + 1):
            model = _model()
            optimizer = self.make(model.parameters())
            self._train(model, optimizer, 0, stop)
            twin, its_optimizer = duplicate((model, optimizer))
            before = copy.deepcopy(twin)
            self._train(model, optimizer, stop, stop + 2 * self.cycle)
            _same(twin, before, f"{what} after step {stop} and left alone")
            self._train(twin, its_optimizer, stop, stop + 2 * self.cycle)
            _same(twin, model, f"{what} after step {stop}")


def _model(seed: int = 0) -> nn.Sequential:
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2))
    with torch.no_grad():
        for p in model.parameters():
            p.uniform_(-0.5, 0.5, generator=generator)
    return model


def _loss(model: nn.Module, step: int, extra: Tensor | None = None) -> Tensor:
    """The loss on batch number ``step``; every third one is of the same domain."""
    generator = torch.Generator().manual_seed(step)
    x = torch.randn(8, 4, generator=generator) + step % 3
    y = torch.randint(2, (8,), generator=generator)
    logits: Tensor = model(x)
    return nn.functional.cross_entropy(logits if extra is None else logits + extra, y)


def _closure(model: nn.Module, optimizer: Optimizer, step: int, extra: Tensor | None = None) -> Callable[[], float]:
    def closure() -> float:
        optimizer.zero_grad()
        loss = _loss(model, step, extra)
        loss.backward()
        return float(loss.detach())

    return closure


def _grad(parameter: Tensor) -> Tensor:
    if parameter.grad is None:
        _fail("a gradient on every parameter of the model")
    return parameter.grad


def _same(found: nn.Module, expected: nn.Module, when: str) -> None:
    for (name, p), q in zip(found.named_parameters(), expected.parameters(), strict=True):
        if not torch.equal(p, q):
            gap = float((p - q).detach().abs().max())
            raise AssertionError(f"{when}, the parameters differ from those expected: {name} by up to {gap:.3g}")


def _expect(condition: bool, what: str) -> None:
    if not condition:
        _fail(what)


def _fail(what: str) -> NoReturn:
    raise AssertionError(f"expected {what}")
