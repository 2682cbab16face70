"""What a set of decisions is: episodes of steps, and the windows that a model is trained on.

A *step* has a context (what is seen), K options with a mask of the legal ones, the choice that was *done*, the choice
that the *teacher* would have made there, and a reward. An *episode* is steps in their order; it belongs to a domain
and to a *group* (a task, a battle, a conversation) that is never parted between training, validation and test.

An episode becomes windows of T steps, one after the other; the last one is padded. This is the format of them all:

``inputs`` ``[n, T, R + K, W]``
    A step is a small table. The first R rows hold the context, row by row, padded with zeros; the last K rows are one
    option each: column 0 is 1 where it is legal, the others are its features. W is one more than the features of an
    option, and R as many rows as the context needs. Options without features (W = 1) are the same ones at every step:
    a model learns a vector for each.
``labels`` ``[n, T, 3]`` float32
    The option that was done, that of the teacher, and the return from that step on, sum_k discount^k reward_{t+k}.
    Padded steps have -1, -1 and 0, and no legal option.

Numbers are kept as uint8 where they are 0 or 1 (or small counts), as int16 in units of 1 / `SCALE`, or as float32.
K, R and W are told by the shapes: a model returns ``[n, T, K + BINS]``, scores of the options and then what it says
about the value (`benchmarks.base.values`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.base.values import BINS, SCALE
from benchmarks.datasets.base import Domain, MultiDomainData

Array = NDArray[Any]
Kind = Literal["uint8", "int16", "float32"]

DONE, TEACHER, RETURN = 0, 1, 2
"""Columns of the labels."""

PADDING = -1


@dataclass(frozen=True)
class View:
    """What whoever decides can see.

    Attributes:
        context: ``[C]``.
        options: ``[k, O]``: the features of each option; O = 0 where the options are the same at every step.
        legal: ``[k]`` of bool.
    """

    context: Array
    options: Array
    legal: Array


@dataclass(frozen=True)
class Step:
    """One decision.

    Attributes:
        view: What was seen.
        done: The option that was taken.
        teacher: The option that the teacher would have taken.
        reward: What came of it, at once.
    """

    view: View
    done: int
    teacher: int
    reward: float


@dataclass(frozen=True)
class Episode:
    """Steps in their order.

    Attributes:
        domain: Its name.
        group: Episodes of a domain with the same word are never parted.
        steps: One at least.
        ends: Numbers of steps after which returns begin anew, besides the last: attempts that follow one another.
    """

    domain: str
    group: str
    steps: Sequence[Step]
    ends: frozenset[int] = field(default_factory=frozenset)


def returns(rewards: Array, discount: float, ends: Iterable[int] = ()) -> Array:
    """``[T]``: sum_k discount^k reward_{t+k}, up to the next end.

    Example:
        >>> returns(np.array([1.0, 0.0, 2.0]), 0.5).tolist(), returns(np.array([1.0, 0.0, 2.0]), 0.5, {1}).tolist()
        ([1.5, 1.0, 2.0], [1.0, 0.0, 2.0])
    """
    found = np.zeros(len(rewards))
    last, stops = 0.0, set(ends)
    for t in range(len(rewards) - 1, -1, -1):
        last = rewards[t] + (0.0 if t in stops else discount * last)
        found[t] = last
    return found


def windows(
    episodes: Iterable[Episode], domains: Sequence[str], length: int, discount: float, kind: Kind
) -> MultiDomainData:
    """All episodes as windows of `length` steps.

    Raises:
        ValueError: If a step has no legal option, its choices are not legal, a number is not finite or does not fit
            `kind`, views differ in shape, or a domain has no episode; names the place.
    """
    if length < 1 or not 0.0 <= discount <= 1.0:
        raise ValueError(f"length must be at least 1 and discount in 0..1, got {length} and {discount}")
    found: dict[str, list[Episode]] = {name: [] for name in domains}
    for episode in episodes:
        if episode.domain not in found:
            raise ValueError(f"an episode is of the domain {episode.domain!r}; domains are {', '.join(domains)}")
        if not episode.steps:
            raise ValueError(f"episode {episode.group!r} of domain {episode.domain!r} has no step")
        found[episode.domain].append(episode)
    empty = [name for name, own in found.items() if not own]
    if empty:
        raise ValueError(f"no episode is of the domain {', '.join(empty)}")
    shape = _shape([episode for own in found.values() for episode in own])
    parts = tuple(_domain(name, own, shape, length, discount, kind) for name, own in found.items())
    return MultiDomainData(parts, n_outputs=shape.options + BINS)


@dataclass(frozen=True)
class Shape:
    """Of a step: numbers of the context, options, features of an option."""

    context: int
    options: int
    features: int

    @property
    def columns(self) -> int:
        """W."""
        return 1 + self.features

    @property
    def rows(self) -> int:
        """R."""
        return -(-self.context // self.columns)

    @classmethod
    def of(cls, rows: int, columns: int, n_outputs: int) -> Shape:
        """From the shapes of the inputs; the context with its padding.

        Raises:
            ValueError: If they are not those of decisions.
        """
        options = n_outputs - BINS
        if options < 1 or rows <= options:
            raise ValueError(
                f"a step of {rows} rows cannot hold its context and the {options} options that "
                f"n_outputs={n_outputs} means; inputs must be [n, T, context rows + options, columns]"
            )
        return cls((rows - options) * columns, options, columns - 1)


def _shape(episodes: Sequence[Episode]) -> Shape:
    views = [(episode, t, step.view) for episode in episodes for t, step in enumerate(episode.steps)]
    first = views[0][2]
    context, features = first.context.shape, first.options.shape[1:]
    for episode, t, view in views:
        if view.context.shape != context or view.options.shape[1:] != features or len(context) != 1:
            raise ValueError(
                f"{_place(episode, t)}: context and options have the shapes {view.context.shape} and "
                f"{view.options.shape}; elsewhere they are {context} and [options, {', '.join(map(str, features))}]"
            )
        if view.legal.shape != view.options.shape[:1]:
            raise ValueError(
                f"{_place(episode, t)}: legal has the shape {view.legal.shape} for {len(view.options)} options"
            )
    return Shape(max(context[0], 1), max(len(view.options) for _, _, view in views), features[0])


def _place(episode: Episode, t: int) -> str:
    return f"domain {episode.domain!r}, episode {episode.group!r}, step {t}"


def _check(episode: Episode) -> None:
    for t, step in enumerate(episode.steps):
        legal = step.view.legal
        if not legal.any():
            raise ValueError(f"{_place(episode, t)}: no option is legal; leave the step out, or mend the mask")
        for name, choice in (("done", step.done), ("teacher", step.teacher)):
            if not 0 <= choice < len(legal) or not legal[choice]:
                raise ValueError(
                    f"{_place(episode, t)}: {name} must be one of the legal options "
                    f"{np.flatnonzero(legal).tolist()}, got {choice}"
                )
        if not np.isfinite(step.reward):
            raise ValueError(f"{_place(episode, t)}: the reward must be finite, got {step.reward}")


def _domain(name: str, episodes: Sequence[Episode], shape: Shape, length: int, discount: float, kind: Kind) -> Domain:
    places, labels, groups = [], [], []
    steps: list[Step] = []
    window = 0
    for episode in episodes:
        _check(episode)
        number = len(episode.steps)
        where = np.arange(number)
        places.append(np.stack([window + where // length, where % length]))
        with np.errstate(over="ignore"):
            gained = returns(np.array([step.reward for step in episode.steps]), discount, episode.ends)
        if not (np.abs(gained) <= np.finfo(np.float32).max).all():
            raise ValueError(f"{_place(episode, 0)}: returns must be finite in 32 bits, got {gained[0]}")
        labels.append(np.array([[step.done, step.teacher, g] for step, g in zip(episode.steps, gained, strict=True)]))
        parts = -(-number // length)
        groups += [group_number(name, episode.group)] * parts
        window += parts
        steps += episode.steps
    rows, columns = np.concatenate(places, axis=1)
    table = tables([step.view for step in steps], shape, kind)
    inputs = np.zeros((window, length, *table.shape[1:]), dtype=table.dtype)
    inputs[rows, columns] = table
    wanted = np.full((window, length, 3), [PADDING, PADDING, 0.0], dtype=np.float32)
    wanted[rows, columns] = np.concatenate(labels)
    return Domain(name, torch.from_numpy(inputs), torch.from_numpy(wanted), torch.tensor(groups))


def tables(views: Sequence[View], shape: Shape, kind: Kind) -> Array:
    """``[n, R + K, W]``: each view as the table of a step, in the numbers of `kind`.

    Raises:
        ValueError: If a number is not finite or does not fit.
    """
    table = np.zeros((len(views), shape.rows + shape.options, shape.columns), dtype=np.float32)
    with np.errstate(over="ignore"):  # what 32 bits cannot hold is infinite, and refused below
        context = np.stack([view.context for view in views]).astype(np.float32)
    flat = table[:, : shape.rows].reshape(len(views), -1)
    flat[:, : context.shape[1]] = context
    table[:, : shape.rows] = flat.reshape(len(views), shape.rows, shape.columns)
    for row, view in zip(table, views, strict=True):
        number = len(view.legal)
        row[shape.rows : shape.rows + number, 0] = view.legal
        row[shape.rows : shape.rows + number, 1:] = view.options
    return _kept(table, kind)


def _kept(table: Array, kind: Kind) -> Array:
    if not np.isfinite(table).all():
        raise ValueError("features of contexts and options must be finite")
    if kind == "float32":
        return table
    whole = np.rint(table * (SCALE if kind == "int16" else 1))
    bounds = np.iinfo(kind)
    if whole.min() < bounds.min or whole.max() > bounds.max or (kind == "uint8" and (whole != table).any()):
        unit = f"whole units of 1/{SCALE}" if kind == "int16" else "whole numbers"
        raise ValueError(
            f"features are kept as {kind}, {unit} in {bounds.min}..{bounds.max}; they reach from {table.min()} to "
            f"{table.max()}"
        )
    kept: Array = whole.astype(kind)
    return kept


def group_number(domain: str, group: str) -> int:
    """A number of its own for each group of each domain, the same on every machine."""
    return int.from_bytes(hashlib.sha256(f"{domain}/{group}".encode()).digest()[:7], "big")
