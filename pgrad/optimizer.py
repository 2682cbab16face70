"""PGrad: a torch optimizer that counts inner steps, asks an aggregation, and steps the outer optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from pgrad._checks import (
    LossValue,
    check_closures,
    check_group,
    check_inside,
    check_lr,
    check_params,
    check_trajectory_device,
    check_trajectory_dtype,
    checked_domain,
    checked_domains,
    checked_update,
    refuse_capture,
    refuse_factory,
    refuse_nonfinite,
    refuse_options,
    refuse_own_lr,
    refuse_own_weights,
    scalar,
)
from pgrad._engine import sharding
from pgrad._engine.checkpoint import Parts, Progress, pack, unpack
from pgrad._engine.groups import follow_groups
from pgrad._engine.holding import refuse_holding
from pgrad._engine.hooks import noticed, step_inside
from pgrad._engine.templates import is_template_step, make_templates
from pgrad._engine.trajectory import Trajectory
from pgrad._following import ONE_DOMAIN, Following
from pgrad._settings import HasRolloutLength, Shared
from pgrad._trial import keeps_weights
from pgrad.aggregation import Aggregation, Rollout, name_of, principal
from pgrad.principal import Update, is_finite

__all__ = ["PGrad"]

Closure = Callable[[], LossValue]


class OptimizerFactory(Protocol):
    """Any callable that makes a torch optimizer: a class of torch.optim, a functools.partial of one, a function."""

    def __call__(self, params: Any, *, lr: Any) -> Optimizer: ...


_NOT_GIVEN: Any = object()  # the default of an argument that has none and cannot come first


class PGrad(Following):
    """Roll-outs over domains, as a drop-in torch optimizer: along their principal gradient, or another aggregation.

    An inner optimizer makes ``rollout_length`` = T ordinary steps from the anchor theta_0, each on a mini-batch of one
    domain. Then the model goes back to the anchor, and an outer optimizer steps once along an outer gradient g that
    ``aggregation`` makes of the displacements theta_i - theta_0. By default that is the principal gradient

        g = L * sum_{z <= k} (lambda_z / ||lambda_{1:k}||) s_z v_z,    L = ||theta_0 - theta_T||

    where v_z are the principal directions of the displacements with variances lambda_z and s_z turns each towards
    theta_0 - theta_T. `pgrad.principal_weights` derives how, `pgrad.reference` spells it out. With
    ``aggregation=pgrad.aggregation.displacement`` it is theta_0 - theta_T itself (Reptile, Fish, Lookahead).

    Between outer steps the model holds an *inner iterate*, which is not a solution: evaluate and save at
    ``rollout_position == 0`` or inside `at_anchor`.

    ``state`` and ``param_groups`` are those of the inner optimizer, so that a learning-rate scheduler on this object
    scales the inner steps; the outer optimizer is `outer` and can have a scheduler of its own. Moments carry over
    from one roll-out to the next, in both.

    Args:
        params: parameters, named parameters or parameter groups; options of a group go to the inner optimizer.
        lr: learning rate of the inner optimizer.
        rollout_length: T, inner steps for each outer step: splits x domains. It has no default. An int; the sampler
            that deals the batches (anything with a ``rollout_length``); or None if every roll-out is made by `rollout`,
            whose number of closures then decides.
        n_components: k, how many principal directions to use at most; None for every one above round-off.
        outer_lr: learning rate of the outer optimizer. With 1 the anchor goes as far as the inner steps went.
        inner: makes the inner optimizer, any callable ``(params, lr=...) -> Optimizer``.
        outer: makes the outer optimizer, likewise. It must step without a closure.
        aggregation: makes the outer gradient of a roll-out, see `pgrad.aggregation.Aggregation`.
        trajectory_dtype: dtype of the stored displacements: torch.float64, float32 or bfloat16 (half the memory).
            None for the dtype of each parameter, and float32 for parameters in half precision.
        trajectory_device: where they are stored; None for the device of each parameter. Host memory costs a GPU nothing
            but the copies, which run beside the next step.
        nonfinite: what to do after a roll-out with an infinite or undefined displacement. The anchor is restored and
            `nonfinite_rollouts` counted in any case; "restore" then warns once and goes on, "raise" raises.
        check_ranks: with torch.distributed, whether to compare at every outer step, bit for bit, what must be equal on
            several ranks: the Gram matrix of replicated parameters. It costs a gather of T x T numbers per rank. None
            for yes where the environment has TORCH_DISTRIBUTED_DEBUG=DETAIL. The same on all ranks.

    Raises:
        TypeError: if an argument has another type, or ``inner`` or ``outer`` does not make an Optimizer.
        ValueError: if a number is out of range, or a parameter cannot be optimized (on the meta device, listed twice).

    The settings of the authors' released code are `pgrad.presets.paper`.

    Memory: T values for every parameter, the anchor included, beside what the two optimizers keep; one value if the
    aggregation needs the last point alone.

    Source: PGrad, arXiv:2305.01134, algorithm 1; Lookahead, arXiv:1907.08610, is the case T = 1 or k = T = one line.

    Example:
        >>> weight = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
        >>> opt = PGrad([weight], lr=0.1, rollout_length=2, n_components=1, inner=torch.optim.SGD)
        >>> for coordinate in range(2):  # two unit gradients at a right angle: the first direction is the diagonal
        ...     opt.zero_grad()
        ...     weight[coordinate].backward()
        ...     opt.step()
        >>> weight.detach()
        tensor([0.9000, 0.9000])
    """

    nonfinite_rollouts: int = Shared()  # type: ignore[assignment]
    last_update: Update | None = Shared()  # type: ignore[assignment]
    last_parts: dict[str, Tensor] = Shared()  # type: ignore[assignment]
    _watched: dict[str, list[Tensor]] = Shared()  # type: ignore[assignment]
    _at_anchor: bool = Shared()  # type: ignore[assignment]

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1e-3,
        rollout_length: int | HasRolloutLength | None = _NOT_GIVEN,
        *,
        n_components: int | None = 4,
        outer_lr: float | Tensor = 1.0,
        inner: OptimizerFactory = torch.optim.Adam,
        outer: OptimizerFactory = torch.optim.SGD,
        aggregation: Aggregation = principal,
        trajectory_dtype: torch.dtype | None = None,
        trajectory_device: torch.device | str | None = None,
        nonfinite: str = "restore",
        check_ranks: bool | None = None,
        **unknown: Any,
    ) -> None:
        refuse_options(unknown, inner)
        check_lr("lr", lr)
        check_lr("outer_lr", outer_lr)
        if rollout_length is _NOT_GIVEN:
            raise TypeError(
                "rollout_length must be given: the inner steps of a roll-out, splits x domains; the sampler that deals "
                "the batches; or None if every roll-out is made by rollout(closures)"
            )
        device = check_trajectory_device(trajectory_device)
        super().__init__([{"params": []}], {})  # the hooks of torch; groups and state are those of the inner optimizer
        self._shared: dict[str, Any] = {}
        self._position = 0
        self._follow_from_here()
        self._trajectory = Trajectory(check_trajectory_dtype(trajectory_dtype), device)
        self.rollout_length = rollout_length
        self.n_components = n_components
        self.aggregation = aggregation
        if isinstance(params, Tensor):
            raise TypeError("params must be an iterable of tensors or of parameter groups, got a single tensor")
        made = _make("inner", inner, list(params), lr)
        for group in made.param_groups:
            check_group(group, made.defaults)
            check_params(group["params"])
        self.outer = _make("outer", outer, [{"params": g["params"]} for g in made.param_groups], outer_lr)
        self.inner = made
        follow_groups(self.inner, self.outer)

        self.nonfinite = nonfinite
        self.check_ranks = check_ranks
        self.nonfinite_rollouts = 0
        self.last_update = None
        self.last_parts, self._watched = {}, {}
        self._at_anchor = False

    # ------------------------------------------------------------------------------------------------ the two ways in

    @property
    def rollout_position(self) -> int:
        """Inner steps done since the anchor: 0 .. rollout_length - 1."""
        return self._position

    @property
    def is_at_anchor(self) -> bool:
        """Whether the parameters hold the anchor for a while, inside `at_anchor`."""
        return self._at_anchor

    @noticed
    def step(  # type: ignore[override]
        self, closure: Closure | None = None, *, domain: Any = None
    ) -> LossValue | None:
        """One inner step; the ``rollout_length``-th one also makes the outer step.

        Args:
            closure: clears the gradients, computes the loss of a mini-batch of one domain, calls ``backward`` and
                returns the loss. Optional: without it, gradients are taken as they are.
            domain: of the mini-batch, an int or a string, or those of all its examples (a list, array or tensor), which
                should be one. Optional: for aggregations that heed domains, for `last_update`, and to notice domains
                in unequal parts; it takes every step of a roll-out to have one.

        Returns:
            The loss that the closure returned, or None.

        Raises:
            TypeError: if ``domain`` is something else.
            RuntimeError: inside `at_anchor`, if ``rollout_length`` is None, in the capture of a CUDA graph, or if
                ``check_ranks`` found a difference.
            ValueError: if a parameter was converted (shape, dtype or device) in the middle of a roll-out.
            FloatingPointError: with ``nonfinite="raise"`` at the end of a roll-out that diverged.
        """
        self._refuse_at_anchor("step()")
        refuse_capture()
        if closure is None and is_template_step(self.inner):
            make_templates(self.inner, None if self._position > 0 else self.outer)
            if self._position > 0:
                self._trajectory.left()
            return None
        if self._length is None:
            raise RuntimeError("step() needs a rollout_length; with rollout_length=None use rollout(closures)")
        name, mixed = checked_domain("domain", domain)
        if mixed:
            self._notices.give("mixed", f"a mini-batch mixed {mixed}; {ONE_DOMAIN}")
        self._follow(stepping=True)
        if self._sampler is not None or self._lost_sampler:
            self._follow_sampler()
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        moving = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        trajectory, length = self._trajectory, self._length - self._phase.skipped
        trajectory.begin_step(moving, self._position, length)
        try:
            step_inside(self.inner, *(() if closure is None else (_replay(closure, loss),)))
        except BaseException:
            trajectory.end_step(self._position, length)
            raise
        self._position += 1
        self._domains = (*self._domains, name)
        if self._position == length:
            self._outer_step()
        else:
            trajectory.end_step(self._position, length)
        return loss

    def rollout(
        self,
        closures: Sequence[Closure],
        domains: Sequence[int | str] | None = None,
        generator: torch.Generator | None = None,
        *,
        shuffle: bool = True,
    ) -> list[LossValue]:
        """A whole roll-out: one closure, and one inner step, for each single-domain mini-batch; then the outer step.

        Gradients are cleared before each closure. If one fails, the model is back at the anchor when the exception
        arrives; the moments of the inner optimizer keep what they have seen, as after `discard_rollout`.

        Args:
            closures: T of them, each as for `step`.
            domains: [T], the domain of each closure's mini-batch.
            generator: draws the order (a CPU generator); None for torch's global one.
            shuffle: whether to draw an order, or keep the one given.

        Returns:
            Their losses (detached), in the order of ``closures``.

        Raises:
            TypeError: if ``closures`` is not a sequence of callables, one returns something that is not a scalar, or a
                domain is neither an int nor a string.
            ValueError: if there are not ``rollout_length`` of them, as many domains as closures, or one returns a loss
                that is not finite.
            RuntimeError: if a roll-out is in progress.
            FloatingPointError: with ``nonfinite="raise"`` if the roll-out diverged.
        """
        self._refuse_at_anchor("rollout()")
        self._follow()
        check_closures(closures, self.rollout_length, self._position)
        names = checked_domains(domains, len(closures))
        order = _order(len(closures), generator) if shuffle else range(len(closures))
        losses: dict[int, LossValue] = {}
        unchecked: dict[int, LossValue] = {}

        def checked(index: int) -> Closure:
            def closure() -> LossValue:
                self.zero_grad()
                loss = closures[index]()
                losses[index] = unchecked[index] = scalar(index, loss)
                # Reading a loss waits for an accelerator: there, all of them are read at once, before the outer step.
                if not (isinstance(loss, Tensor) and loss.device.type != "cpu") or len(losses) == len(closures):
                    refuse_nonfinite(unchecked)
                    unchecked.clear()
                return loss

            return closure

        self._length = len(closures)
        self._phase.skipped = 0
        self._phase.catch_up(self._sampler)
        try:
            for index in order:
                self.step(checked(index), domain=names[index])
        except BaseException:
            self.discard_rollout()
            raise
        finally:
            self._length = self.rollout_length
        return [losses[index] for index in range(len(closures))]

    def finish_rollout(self) -> None:
        """Make the outer step now, with the points so far. Nothing happens at the anchor."""
        self._refuse_at_anchor("finish_rollout()")
        refuse_capture()
        self._follow()
        if self._position > 0:
            self._outer_step(early=True)

    def discard_rollout(self) -> None:
        """Go back to the anchor without an outer step. The moments of the inner optimizer stay as they are."""
        self._refuse_at_anchor("discard_rollout()")
        self._follow()
        if self._position > 0:
            self._trajectory.restore()
            self._begin_anew()

    def forget_rollout(self) -> None:
        """Take the weights as they stand for the new anchor, without an outer step. The moments stay as they are.

        For weights that were set from outside in the middle of a roll-out: a checkpoint loaded into the model, say.
        Where that is noticed, it is done without being asked for, and said once.
        """
        self._refuse_at_anchor("forget_rollout()")
        self._loaded = {}
        self._begin_anew()

    @contextmanager
    def at_anchor(self) -> Iterator[None]:
        """Inside, the parameters hold the anchor; outside, the inner iterate again, bit for bit.

        To evaluate or save the model in the middle of a roll-out. Raises RuntimeError if nested; `step` and
        `state_dict` are refused inside. Weights that are set inside are the new anchor, without a roll-out; such as
        were set before (a checkpoint, an average for a while) are left there.
        """
        self._refuse_at_anchor("at_anchor()")
        swapped = not self._is_elsewhere() and self._position > 0
        if swapped:
            self._trajectory.swap()
        self._at_anchor = True
        try:
            yield
        finally:
            self._at_anchor = False
            if swapped:
                self._leave_anchor()

    def _leave_anchor(self) -> None:
        self._trajectory.drop_others(self._own_parameters())
        if self._trajectory.moved(self._position):
            self._give_up_roll_out()
        else:
            self._trajectory.swap()

    def watch(self, parts: Mapping[str, Iterable[Tensor]]) -> None:
        """From the next outer step on, say what some parameters add to the Gram matrix of a roll-out.

        Args:
            parts: parameters by a name for each part; empty to stop. With sharded parameters the same on all ranks.

        `last_parts` has, under the same names, Gram matrices [P, P] float64 on the CPU beside `last_update`: where the
        parts are all parameters, each in one of them, their sum is `last_update.gram`.
        """
        self._watched = {str(name): list(params) for name, params in parts.items()}
        self.last_parts = {}

    # ------------------------------------------------------------------------------------------------- the outer step

    def _outer_step(self, early: bool = False) -> None:
        steps, domains = self._position, _all_named(self._domains)
        self._trajectory.drop_others(self._own_parameters())
        self._position, self._domains = 0, ()
        is_whole = not early and self._phase.skipped == 0
        if early:
            self._phase.end(self._sampler, steps)
        else:
            self._phase.skipped = 0
        if self._trajectory.has_moved(self.check_ranks):
            self._give_up_roll_out(steps)
            return
        self._given_up = 0
        self._end_roll_out(steps, domains)
        if is_whole:
            self._check_data(domains)

    def _end_roll_out(self, steps: int, domains: tuple[int | str, ...] | None) -> None:
        gram = self._trajectory.end(steps, self.check_ranks)
        if not is_finite(gram.tolist()):
            self._dismiss(steps)
            return
        rollout = Rollout(gram.clone(), len(gram) * self._trajectory.eps, domains, self.n_components)
        update = checked_update(self.aggregation(rollout), gram, domains)
        if self._watched:
            self.last_parts = {name: self._trajectory.gram_of(params) for name, params in self._watched.items()}
        gradients = self._trajectory.weighted_sum(update.weights)
        with self._as_grad(gradients):
            step_inside(self.outer)
        self.last_update = update

    @contextmanager
    def _as_grad(self, gradients: dict[Tensor, Tensor]) -> Iterator[None]:
        """Every parameter has its outer gradient as ``.grad`` (None if it took no part), then its own again."""
        kept = [(p, p.grad) for group in self.outer.param_groups for p in group["params"]]
        for p, _ in kept:
            p.grad = gradients.get(p)
        try:
            yield
        finally:
            for p, grad in kept:
                p.grad = grad

    def _dismiss(self, steps: int) -> None:
        """A roll-out diverged. The anchor is back; the inner state must not carry its infinities into the next one."""
        self.nonfinite_rollouts += 1
        for state in self.state.values():
            for value in state.values():
                if isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex()):
                    value = sharding.local(value)
                    torch.nan_to_num(value, nan=0.0, posinf=0.0, neginf=0.0, out=value)
        message = (
            f"a roll-out of {steps} steps left the finite numbers and was dropped: the parameters are back at its "
            "anchor, and non-finite entries of the inner optimizer's state were set to zero; lower lr, clip gradients, "
            "or look for bad samples"
        )
        if self.nonfinite == "raise":
            raise FloatingPointError(message)
        self._notices.give("nonfinite", f"{message}; nonfinite_rollouts counts", RuntimeWarning)

    # ------------------------------------------------------------------------------------------- groups, state, copies

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a parameter group; its options go to the inner optimizer. In the middle of a roll-out it joins there."""
        if not hasattr(self, "inner"):
            return  # the base class is at work, which has no groups of its own
        self.inner.add_param_group(param_group)
        try:
            check_group(self.inner.param_groups[-1], self.inner.defaults)
            check_params(self.inner.param_groups[-1]["params"])
        except BaseException:
            self.inner.param_groups.pop()
            raise
        follow_groups(self.inner, self.outer)

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on bit for bit, the roll-out in progress included (save the model with it).

        While the parameters hold other weights (an average for a while, a checkpoint), it is that of a roll-out which
        begins at those, since the model is saved with them.

        The layout is that of torch.optim, ``{"state": ..., "param_groups": ...}``; what this optimizer adds to the
        entries of the inner one is under the key "pgrad" in each of them. Tensors are references, as in torch.optim.

        Raises:
            RuntimeError: inside `at_anchor`.
        """
        self._refuse_at_anchor("state_dict()")
        progress = Progress(self._position, self.nonfinite_rollouts, self._domains, self._phase.skipped)
        if self._is_elsewhere():
            progress = self._progress_elsewhere(progress)
        for pre_hook in self._optimizer_state_dict_pre_hooks.values():
            pre_hook(self)
        state_dict = pack(self._parts(), progress)
        for post_hook in self._optimizer_state_dict_post_hooks.values():
            state_dict = post_hook(self, state_dict) or state_dict
        return state_dict

    def _progress_elsewhere(self, progress: Progress) -> Progress:
        """Of a state dict that is saved while the parameters are not where the roll-out is."""
        if self._loaded:  # the model may still be loaded: what is known of it is passed on
            return replace(progress, weights=self._loaded)
        self._notices.give(
            "saved elsewhere",
            f"state_dict() was called at step {self._position} of a roll-out while the parameters held other weights "
            "(an average for a while, a checkpoint): it begins a roll-out at those, which a model that is saved now "
            "has too; to save the roll-out in progress, save both before the weights are exchanged",
        )
        phase = replace(self._phase)
        phase.end(self._sampler, self._position)
        return replace(progress, position=0, domains=(), skipped=phase.skipped)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up a `state_dict`; the model must be loaded with what was saved with it, before or after.

        Parameters that have names on both sides are matched by name within their group, others by order. At an anchor
        (roll-out position 0), rollout_length, n_components and aggregation may be others than those it was saved with:
        this optimizer keeps its own, which is said once.

        Raises:
            TypeError: if it is not a dict.
            ValueError: if it belongs to another optimizer, another configuration or other parameters. Nothing has
                changed then.
            RuntimeError: inside `at_anchor`.
        """
        self._refuse_at_anchor("load_state_dict()")
        if not isinstance(state_dict, dict):
            raise TypeError(f"state_dict must be a dict, got {type(state_dict).__name__}")
        state_dict = state_dict.copy()
        for pre_hook in self._optimizer_load_state_dict_pre_hooks.values():
            state_dict = pre_hook(self, state_dict) or state_dict
        follow_groups(self.inner, self.outer)
        progress = unpack(self._parts(), state_dict)
        follow_groups(self.inner, self.outer)
        self._position, self._domains = progress.position, progress.domains
        self._loaded = dict(progress.weights)
        self._phase.enter(None, progress.skipped if "rollout_length" not in progress.changed else 0)
        self.nonfinite_rollouts = progress.nonfinite_rollouts
        for post_hook in self._optimizer_load_state_dict_post_hooks.values():
            post_hook(self)
        for name, saved in progress.changed.items():
            own = self._parts().settings[name]
            self._notices.give(
                name, f"state_dict was saved with {name}={saved!r} and this optimizer goes on with {name}={own!r}"
            )

    def _parts(self) -> Parts:
        settings = {
            "rollout_length": self.rollout_length,
            "n_components": self.n_components,
            "aggregation": name_of(self.aggregation),
        }
        return Parts(self.inner, self.outer, self._trajectory, settings)

    def __getstate__(self) -> dict[str, Any]:
        """A copy has the roll-out in progress, but no hooks, no sampler, and watches nothing."""
        left_out = {name for name in self.__dict__ if name.endswith("_hooks")} | {"step"}
        kept = {name: value for name, value in self.__dict__.items() if name not in left_out}
        lost = self._sampler is not None or self._lost_sampler
        return {**kept, "_shared": {**self._shared, "_sampler": None, "_lost_sampler": lost, "_watched": {}}}

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(rollout_length={self.rollout_length}, n_components={self.n_components}, "
            f"aggregation={name_of(self.aggregation)}, nonfinite={self.nonfinite!r})\n"
            f"inner: {self.inner!r}\nouter: {self.outer!r}"
        )

    def _refuse_at_anchor(self, what: str) -> None:
        refuse_holding(what, self._own_parameters)
        if self._at_anchor:
            raise RuntimeError(f"{what} is not possible inside at_anchor(): leave the block first")


def _order(number: int, generator: torch.Generator | None) -> list[int]:
    device = "cpu" if generator is None else generator.device  # or else the default device of torch, whatever that is
    order: list[int] = torch.randperm(number, generator=generator, device=device).tolist()
    return order


def _all_named(domains: tuple[int | str | None, ...]) -> tuple[int | str, ...] | None:
    names = tuple(domain for domain in domains if domain is not None)
    return names if len(names) == len(domains) else None


def _replay(closure: Closure, loss: LossValue | None) -> Closure:
    """The closure for an inner optimizer that wants one: its first evaluation has been made already."""
    first = [loss]
    return lambda: first.pop() if first else closure()  # type: ignore[return-value]


def _make(name: str, factory: OptimizerFactory, params: list[Any], lr: float | Tensor) -> Optimizer:
    refuse_factory(name, factory)
    refuse_own_lr(name, factory, lr)
    own = keeps_weights(factory, params, lr)
    optimizer = factory(params, lr=lr)
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{name} must make a torch.optim.Optimizer, got {type(optimizer).__name__}")
    check_inside(name, optimizer, PGrad)
    refuse_own_weights(name, optimizer, own)
    return optimizer
