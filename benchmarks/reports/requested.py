"""Which held-out sets a report is about, and which were only made for cross-validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.base.errors import unknown
from benchmarks.base.records import held_out_domains
from benchmarks.reports.load import Run
from benchmarks.runs.rules import Rule
from benchmarks.sweeps.given import as_list

Set = frozenset[str]


@dataclass
class _Asked:
    """The sets that sweeps ask for on a data set: some by name, some by their size."""

    sets: set[Set] = field(default_factory=set)
    sizes: set[int] = field(default_factory=set)

    def holds(self, own: Set) -> bool:
        return own in self.sets or len(own) in self.sizes


def parted(
    records: Sequence[Run], named: Sequence[str], sweeps: Sequence[Mapping[str, Any]]
) -> tuple[list[Run], list[Run]]:
    """The records to report on, and those that only cross-validation needs.

    Raises:
        ValueError: if a named set has no runs.
    """
    if named:
        return _named(records, named)
    asked = _asked(sweeps)
    sets: dict[str, set[Set]] = {}
    for record in records:
        sets.setdefault(record["config"]["dataset"], set()).add(_set(record))
    outer_sets = {
        dataset: {own for own in found if asked[dataset].holds(own)}
        if dataset in asked
        else {own for own in found if not any(other < own for other in found)}
        for dataset, found in sets.items()
    }
    outer: list[Run] = []
    inner: list[Run] = []
    for record in records:
        (outer if _set(record) in outer_sets[record["config"]["dataset"]] else inner).append(record)
    return outer, inner


def families(sweeps: Sequence[Mapping[str, Any]], algorithms: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The families that sweeps choose for, each with those of its algorithms that have runs.

    Raises:
        ValueError: if two sweeps mean different algorithms by one name.
    """
    found: dict[str, tuple[str, ...]] = {}
    for sweep in sweeps:
        for name, members in (sweep.get("families") or {}).items():
            if found.setdefault(name, tuple(members)) != tuple(members):
                raise ValueError(
                    f"families: {name!r} is {', '.join(found[name])} in one sweep and {', '.join(members)} in another; "
                    "report on one of them at a time"
                )
    present = {name: tuple(one for one in members if one in algorithms) for name, members in found.items()}
    return {name: members for name, members in present.items() if members}


def confirmatory(sweeps: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    """The pairs that sweeps were made to compare."""
    return tuple(dict.fromkeys((one, other) for sweep in sweeps for one, other in sweep.get("confirmatory") or ()))


def shared(sweeps: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The rules that sweeps name and that make one choice for all seeds."""
    named = (Rule.named(name) for sweep in sweeps for name in as_list(sweep.get("selection") or ()))
    return tuple(dict.fromkeys(rule.name for rule in named if rule.shared))


def _named(records: Sequence[Run], named: Sequence[str]) -> tuple[list[Run], list[Run]]:
    wanted = {frozenset(held_out_domains(name)) for name in named}
    known = {_set(record): record["config"]["held_out"] for record in records}
    for name in named:
        if frozenset(held_out_domains(name)) not in known:
            raise ValueError(f"held-out: {unknown(name, sorted(known.values()))}")
    outer = [record for record in records if _set(record) in wanted]
    inner = [record for record in records if any(own < _set(record) for own in wanted) and _set(record) not in wanted]
    return outer, inner


def _asked(sweeps: Sequence[Mapping[str, Any]]) -> dict[str, _Asked]:
    asked: dict[str, _Asked] = {}
    for sweep in sweeps:
        for dataset, own in sweep["datasets"].items():
            found = asked.setdefault(dataset, _Asked())
            sets = (own or {}).get("held_out")
            if sets is None:
                found.sizes.add(sweep.get("leave_out", 1))
            else:
                # Names joined as records have them, or the list that a sweep file may have in their place.
                found.sets |= {frozenset(held_out_domains(one) if isinstance(one, str) else one) for one in sets}
    return asked


_sets: dict[str, Set] = {}


def _set(record: Run) -> Set:
    name = record["config"]["held_out"]
    if name not in _sets:
        _sets[name] = frozenset(held_out_domains(name))
    return _sets[name]
