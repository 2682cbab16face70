"""A set of decisions as data sets of the registry: how it is learned from is said behind its name.

``job-scheduling?loss=filtered&learn=done`` is the same set with another loss. Options that all sets have:

- ``learn``: ``teacher`` or ``done``: whose choices are cloned;
- ``loss``: ``bc`` or ``filtered`` (`benchmarks.datasets.decisions.losses`);
- ``critic``: ``none``, ``two-hot`` or ``squared``; with ``loss=filtered`` it is ``two-hot`` by default;
- ``units``: ``same``, or ``different``: the returns of the first domain are multiplied by 1, those of the second by
  10, then by 100, 1, 10, ...

A set may have others, which change the log; each of their values is prepared in a file of its own.
"""

from __future__ import annotations

import functools
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from benchmarks.base.errors import unknown
from benchmarks.datasets.base import DatasetEntry, Metric, MultiDomainData
from benchmarks.datasets.cache import Built, Recipe
from benchmarks.datasets.decisions.drawing import Picture
from benchmarks.datasets.decisions.games import Game, Policy
from benchmarks.datasets.decisions.losses import Cloning, Critic, DecisionLoss, Learn
from benchmarks.datasets.decisions.metrics import agreement, agreement_on_success, most_frequent, value_error
from benchmarks.datasets.decisions.steps import RETURN

LEARNING: Mapping[str, tuple[str, ...]] = {
    "learn": ("teacher", "done"),
    "loss": ("bc", "filtered"),
    "critic": ("none", "two-hot", "squared"),
    "units": ("same", "different"),
}
"""Options of all sets; the first value is the default."""

UNITS = (1.0, 10.0, 100.0)
MODEL = "decisions"


@dataclass(frozen=True)
class Play:
    """What can be played of a set.

    Attributes:
        game: ``game(domain, seed)``: a task that no log has, for seeds from 0 on.
        logged: What the log was made by.
        outcome: What `Game.outcome` is called.
    """

    game: Callable[[str, int], Game]
    logged: Policy
    outcome: str = "success"


@dataclass(frozen=True)
class DecisionSet:
    """One set.

    Attributes:
        name: In the registry.
        domains: Their names.
        build: ``build(options)`` makes it, from the values of its own options by name.
        description: What a domain is, in one sentence.
        licence: Of what it is made from.
        source: Of it.
        options: Its own options and their values, the default first.
        play: ``play(options)``: what can be played; None for nothing.
        revision: Of what `build` makes.
        page: Whoever shows the set: ``page(options)`` gives a few lines, or a picture, for each domain.
        model: Of a sweep that names none.
        digest: What `MultiDomainData.digest` must give with the defaults, where every machine builds the same bytes.
    """

    name: str
    domains: tuple[str, ...]
    build: Callable[[Mapping[str, str]], Built]
    description: str
    licence: str
    source: str
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    play: Callable[[Mapping[str, str]], Play] | None = None
    revision: str = "1"
    page: Callable[[Mapping[str, str]], Mapping[str, str | Picture]] | None = None
    model: str = MODEL
    digest: str | None = None

    def entry(self, query: str = "") -> DatasetEntry:
        """The line of the registry.

        Raises:
            ValueError: If an option is not known, or has another value.
        """
        chosen = self.chosen(query)
        own = {name: chosen[name] for name in self.options}
        changed = [f"{name}-{value}" for name, value in own.items() if value != self.options[name][0]]
        recipe = Units(
            "-".join([self.name, *changed]),
            functools.partial(self.build, own),
            self.revision,
            pixels=False,
            different=chosen["units"] == "different",
        )
        return learning(
            chosen,
            DatasetEntry(
                factory=recipe,
                description=self.description,
                metric=agreement,
                domains=self.domains,
                licence=self.licence,
                source=self.source,
                digest=None if changed or recipe.different else self.digest,
                variants=self.entry,
                shown=None if self.page is None else functools.partial(self.page, own),
            ),
            self.model,
        )

    def chosen(self, query: str) -> dict[str, str]:
        """All options by name, from what stands behind the question mark.

        Raises:
            ValueError: If an option is not known, or has another value.
        """
        return parsed(self.name, query, {**LEARNING, **self.options})


def parsed(name: str, query: str, known: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Values by option, the default where nothing is said.

    Raises:
        ValueError: If an option is not known, has a value that it does not know, or contradicts another.

    Example:
        >>> parsed("x", "loss=filtered", {"loss": ("bc", "filtered"), "learn": ("teacher", "done")})
        {'loss': 'filtered', 'learn': 'teacher'}
    """
    found = {option: values[0] for option, values in known.items()}
    given: set[str] = set()
    for word in query.split("&") if query else ():
        option, _, value = (urllib.parse.unquote(part) for part in word.partition("="))
        if option not in known:
            raise ValueError(f"{name}?{query}: option {unknown(option, known)}")
        if value not in known[option] or option in given:
            raise ValueError(
                f"{name}?{query}: {option} must be given once and be one of {', '.join(known[option])}; got {value!r}"
            )
        given.add(option)
        found[option] = value
    if found.get("loss") == "filtered" and found.get("critic") == "none" and "critic" in given:
        others = ", ".join(each for each in known["critic"] if each != "none")
        raise ValueError(
            f"{name}?{query}: loss=filtered needs a critic; leave critic=none out, or name one of {others}"
        )
    return found


def learning(chosen: Mapping[str, str], entry: DatasetEntry, model: str = MODEL) -> DatasetEntry:
    """The entry with the loss and the figures that options ask for."""
    critic = cast("Critic", chosen["critic"])
    if chosen["loss"] == "filtered" and critic == "none":
        critic = "two-hot"
    loss = DecisionLoss(cast("Learn", chosen["learn"]), cast("Cloning", chosen["loss"]), critic)
    measures: dict[str, Metric] = {"agreement on successful steps": agreement_on_success}
    if critic != "none":
        measures["value error"] = functools.partial(value_error, critic=critic)
    return replace(entry, loss=loss, measures=measures, model=model, constant=most_frequent)


@dataclass(frozen=True)
class Units(Recipe):
    """A recipe whose returns may be given in another unit in each domain.

    Attributes:
        different: Whether they are.
    """

    different: bool = False

    def __call__(self) -> MultiDomainData:
        data = super().__call__()
        return in_units(data) if self.different else data


def in_units(data: MultiDomainData) -> MultiDomainData:
    """The same data with the returns of each domain multiplied by its unit."""
    domains = []
    for number, domain in enumerate(data.domains):
        labels = domain.labels.clone()
        labels[..., RETURN] *= UNITS[number % len(UNITS)]
        domains.append(replace(domain, labels=labels))
    return MultiDomainData(tuple(domains), data.n_outputs)
