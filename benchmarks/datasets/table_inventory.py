"""What is to be said about a whole table: rows of each domain, columns and their coding, and what looks wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.datasets.inventory import Finding, Section
from benchmarks.datasets.table_cells import Column
from benchmarks.datasets.table_columns import Inputs, shortened
from benchmarks.datasets.table_target import Target
from benchmarks.datasets.table_texts import NUMBERS, TRUTH

__all__ = ["Parts", "findings_of", "sections_of"]

Array = np.ndarray[Any, Any]
FEW = 20
"""Rows; with fewer, thresholds part classes by chance."""


@dataclass(frozen=True)
class Parts:
    """A table taken apart.

    Attributes:
        domains: The names.
        places: ``[rows]`` the number of each row's domain.
        inputs, target: As coded.
        columns: Those that inputs were made of, or would have been.
        roles: Other columns of the table -> what they are for.
        groups: ``[rows]`` the number of each row's group; None if there are none.
        group: What the option says.
    """

    domains: tuple[str, ...]
    places: Array
    inputs: Inputs
    target: Target
    columns: tuple[Column, ...]
    roles: dict[str, str]
    groups: Array | None
    group: str


def sections_of(parts: Parts) -> tuple[Section, ...]:
    """The counts."""
    rows = [
        (column.name, _kind(column), _holds(column), str(int(column.empty.sum())), parts.inputs.coding[column.name])
        for column in parts.columns
    ]
    roles = [(name, "", "", "", role) for name, role in parts.roles.items()]
    columns = Section("Columns", ("column", "holds", "from .. to", "empty cells", "taken as"), (*rows, *roles))
    return (_rows(parts), columns)


def findings_of(parts: Parts) -> list[Finding]:
    """What looks wrong between rows, domains, inputs and target."""
    found = [_absent_classes(parts), _one_domain_only(parts), _names_domain(parts), _empty_in_domain(parts)]
    found += [_tells_target(parts), _copies(parts), _crossing_groups(parts)]
    return [Finding(what, text) for what, text in found if text]


def _rows(parts: Parts) -> Section:
    numbers = np.bincount(parts.places, minlength=len(parts.domains))
    if parts.target.regression:
        own = [parts.target.values[parts.places == place].astype(np.float64) for place in range(len(parts.domains))]
        figures = [[f"{figure:.4g}" for figure in (v.mean(), v.std(), v.min(), v.max())] for v in own]
        lines = [(name, str(n), *f) for name, n, f in zip(parts.domains, numbers, figures, strict=True)]
        return Section("Rows", ("domain", "rows", "mean", "deviation", "lowest", "highest"), tuple(lines))
    counts = _class_counts(parts)
    if len(parts.target.classes) <= 10 or len(parts.domains) > 10:
        lines = [(name, str(n), *map(str, own)) for name, n, own in zip(parts.domains, numbers, counts, strict=True)]
        return Section("Rows", ("domain", "rows", *parts.target.classes), tuple(lines))
    lines = [(name, *map(str, own)) for name, own in zip(parts.target.classes, counts.T, strict=True)]
    return Section("Rows", ("class", *parts.domains), (("all", *map(str, numbers)), *lines))


def _class_counts(parts: Parts) -> Array:
    """``[domains, classes]``."""
    counts = np.zeros((len(parts.domains), len(parts.target.classes)), dtype=np.int64)
    np.add.at(counts, (parts.places, parts.target.labels.numpy()), 1)
    return counts


def _kind(column: Column) -> str:
    if column.kind != NUMBERS:
        return column.kind
    known = column.values[~column.empty]
    return "whole numbers" if (known % 1 == 0).all() else NUMBERS


def _holds(column: Column) -> str:
    known = column.values[~column.empty]
    if not len(known):
        return ""
    if column.kind == NUMBERS:
        return f"{known.min():.6g} .. {known.max():.6g}"
    if column.kind == TRUTH:
        return f"true {int(known.sum())}, false {int((known == 0).sum())}"
    words = pd.Series(known).value_counts()
    return shortened([f"{word} {number}" for word, number in words.items()])


def _absent_classes(parts: Parts) -> tuple[str, str]:
    absent = _class_counts(parts) == 0 if not parts.target.regression else np.zeros((0, 0), dtype=bool)
    said = [
        f"{name} has no row of {shortened([parts.target.classes[number] for number in np.flatnonzero(own)])}"
        for name, own in zip(parts.domains, absent, strict=False)
        if own.any()
    ]
    return "classes", f"{shortened(said)}: a score there is one over fewer classes" if said else ""


def _extremes(parts: Parts) -> tuple[Array, Array]:
    """``[domains, inputs]`` each: the lowest and the highest; infinite where a domain knows nothing."""
    values, empty = parts.inputs.values, np.isnan(parts.inputs.values)
    own = [parts.places == place for place in range(len(parts.domains))]
    low = np.stack([np.where(empty, np.inf, values)[rows].min(axis=0) for rows in own])
    high = np.stack([np.where(empty, -np.inf, values)[rows].max(axis=0) for rows in own])
    return low, high


def _one_domain_only(parts: Parts) -> tuple[str, str]:
    low, high = _extremes(parts)
    said = []
    for place, name in enumerate(parts.domains):
        least, most = np.delete(low, place, axis=0).min(axis=0), np.delete(high, place, axis=0).max(axis=0)
        varies = (low[place] < least) | (high[place] > most)
        gone = [parts.inputs.names[number] for number in np.flatnonzero((least >= most) & varies)]
        if gone:
            said.append(f"{shortened(gone)} with {name} held out")
    text = f"the same in all training domains but not in the held-out one, and left out there: {'; '.join(said)}"
    return "constant", text if said else ""


def _names_domain(parts: Parts) -> tuple[str, str]:
    low, high = _extremes(parts)
    same = (low == high).all(axis=0) & (low.min(axis=0) < low.max(axis=0))
    names = [parts.inputs.names[number] for number in np.flatnonzero(same)]
    text = (
        f"{shortened(names)}: the same in all rows of a domain, so that it names the domain and nothing else; drop it"
    )
    return "domains", text if names else ""


def _empty_in_domain(parts: Parts) -> tuple[str, str]:
    low, high = _extremes(parts)
    said = [
        f"{shortened([parts.inputs.names[number] for number in np.flatnonzero(own)])} in {name}"
        for name, own in zip(parts.domains, low > high, strict=True)
        if own.any()
    ]
    return "missing", f"without any value: {'; '.join(said)}; the mean of other domains stands there" if said else ""


def _tells_target(parts: Parts) -> tuple[str, str]:
    used = [column for column in parts.columns if not parts.inputs.coding[column.name].startswith("left out")]
    found = [column.name for column in used if not column.empty.any() and _is_target(column, parts.target)]
    said = [f"{shortened(found)}: it is the target in other words, value by value or by thresholds"] if found else []
    gaps = [column.name for column in used if _empty_as_target(column.empty, parts.target)]
    said += [f"{shortened(gaps)}: which cells are empty tells the target"] if gaps else []
    return "leak", f"{'; '.join(said)}; drop it unless it is known beforehand" if said else ""


def _is_target(column: Column, target: Target) -> bool:
    """A copy, a renaming, what differs by rounding, or numbers whose thresholds part the classes."""
    if target.regression:
        return column.kind == NUMBERS and abs(np.corrcoef(column.values, target.values)[0, 1]) > 1 - 1e-5
    labels = target.labels.numpy()
    codes, words = pd.factorize(column.values)
    pairs = len(set(zip(codes.tolist(), labels.tolist(), strict=True)))
    if len(words) == len(target.classes) == pairs:
        return True
    if column.kind != NUMBERS or len(words) != pairs or len(labels) < FEW:
        return False
    return int((np.diff(labels[np.argsort(column.values)]) != 0).sum()) == len(target.classes) - 1


def _empty_as_target(empty: Array, target: Target) -> bool:
    """Whether classes are those with and those without a cell, class by class."""
    if target.regression or not empty.any():
        return False
    labels = target.labels.numpy()
    return not set(labels[empty].tolist()) & set(labels[~empty].tolist())


def _copies(parts: Parts) -> tuple[str, str]:
    frame = pd.DataFrame(parts.inputs.values).assign(target=parts.target.values)
    number = int(frame.duplicated(keep=False).sum())
    if not number:
        return "copies", ""
    single = frame.assign(domain=parts.places).drop_duplicates()
    crossing = len(single[single.duplicated(list(frame.columns))].drop_duplicates(list(frame.columns)))
    text = f"{number} of {len(frame)} rows are the same as another in all inputs and the target"
    across = f", and {crossing} of these kinds stand in several domains" if crossing else ""
    return (
        "copies",
        f"{text}{across}: if they are copies, what is tested was trained on; take them away or say group=...",
    )


def _crossing_groups(parts: Parts) -> tuple[str, str]:
    if parts.groups is None:
        return "groups", ""
    pairs = pd.DataFrame({"group": parts.groups, "domain": parts.places}).drop_duplicates()
    several = int((pairs["group"].value_counts() > 1).sum())
    number = int(parts.groups.max()) + 1
    domain = next(name for name, role in parts.roles.items() if role == "the domain")
    text = (
        f"{several} of {number} groups of {parts.group} stand in several domains. So that no group is trained on and "
        "tested, a held-out domain is tested on one fold of five of the groups, another for each seed, and training "
        "leaves that fold out in all domains. If the same name means another group in another domain, say "
        f"group={domain}+{parts.group}"
    )
    return "groups", text if several else ""
