"""A table with a column that names the domain: ``table:PATH``, a CSV, TSV, Excel or Parquet file, for classes or for a
quantity.

Options, after a question mark and joined by ``&``:

- ``domain``: the column of domains (``domain``);
- ``target``: the column to predict (the only one of ``label``, ``target``, ``y`` that is there);
- ``task``: ``classification`` or ``regression`` (regression if the target holds numbers that are not whole; asked for
  if it holds many whole ones);
- ``group``: a column of examples that belong together (patients, documents) and are never parted between training,
  validation and test; ``clinic+patient`` where a name means another group in another clinic;
- ``drop``: columns to leave out, joined by commas;
- ``words``: columns that are words although they look like something else, joined by commas;
- ``missing``: ``mean`` puts the mean of the training examples where a number is missing (else it is an error);
- ``empty``: texts that mean an empty cell, joined by commas;
- ``scale``: what the target of a regression is divided by, so that it is of the order of one (1);
- ``decimal``, ``thousands``, ``separator``, ``encoding``, ``sheet``: how the file is written;
- ``allow``: words of findings, joined by commas, to go on nevertheless.

All other columns are inputs, by the rules of `benchmarks.datasets.table_cells` and `benchmarks.datasets.table_columns`.
They are standardised by the training parts of the training domains. A regression minimizes the squared error, and its
score is minus the root mean square error, in units of ``scale``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

from benchmarks.base.metrics import accuracy
from benchmarks.base.wording import count, some
from benchmarks.datasets.base import DatasetEntry, Domain, MultiDomainData, Origin
from benchmarks.datasets.inventory import Finding, Inventory, refuse
from benchmarks.datasets.named import checked_domains, listed, parse
from benchmarks.datasets.scaling import standardise
from benchmarks.datasets.table_cells import Column, as_words, decode, in_order
from benchmarks.datasets.table_columns import Inputs, encode
from benchmarks.datasets.table_files import FILE_OPTIONS, read
from benchmarks.datasets.table_inventory import Parts, findings_of, sections_of
from benchmarks.datasets.table_roles import Roles, roles_of
from benchmarks.datasets.table_target import Target, target_of
from benchmarks.datasets.table_texts import CODES, EMPTY, THOUSANDS, Marks

OPTIONS = (
    *("domain", "target", "task", "group", "drop", "words", "missing", "empty", "scale", "decimal", "thousands"),
    *FILE_OPTIONS,
    "allow",
)


def minus_rmse(outputs: Tensor, labels: Tensor) -> float:
    """Minus the root of the mean squared error: the larger the better, 0 at best.

    Example:
        >>> minus_rmse(torch.tensor([[1.0], [2.0]]), torch.tensor([[4.0], [5.0]]))
        -3.0
    """
    return -float((outputs.double() - labels.double()).square().mean().sqrt())


@dataclass(frozen=True)
class Table:
    """The data set of a file, as it was when it was read.

    Attributes:
        data: All of it.
        identity: Of the file's content and the options.
        inventory: What stands in the file.
        rows: For each domain the numbers of its rows, from 1.
    """

    data: MultiDomainData
    identity: str
    inventory: Inventory
    rows: Mapping[str, tuple[str, ...]]

    def __call__(self) -> MultiDomainData:
        """The data."""
        return self.data

    def said(self) -> Inventory:
        """The inventory."""
        return self.inventory

    def examples(self) -> Mapping[str, tuple[str, ...]]:
        """The numbers of the rows."""
        return self.rows


def entry(rest: str) -> DatasetEntry:
    """The data set that stands after ``table:``.

    Raises:
        ValueError: if the file cannot be read, does not hold what the options say, or holds what would make results
            wrong and is not allowed; says all that is wrong with its columns.
    """
    path, options = parse("table", rest, OPTIONS)
    marks = marks_of(options)
    frame, findings = read(path, options)
    try:
        parts, found = _taken_apart(frame, roles_of(list(frame.columns), options), options, marks)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    inventory = Inventory(sections_of(parts), (*findings, *found))
    refuse(inventory, listed(options, "allow"), f"table:{path}")
    data = _data(parts)
    identity = hashlib.sha256(path.read_bytes() + b"\0" + rest.partition("?")[2].encode()).hexdigest()[:16]
    rows = {name: tuple(map(str, np.flatnonzero(parts.places == i) + 1)) for i, name in enumerate(parts.domains)}
    table = Table(data, identity, inventory, rows)
    regression, roles = parts.target.regression, {role: name for name, role in parts.roles.items()}
    what = "as a number" if regression else f"({parts.target.n_outputs} classes)"
    return DatasetEntry(
        factory=table,
        description=f"{path.name}: {roles['the target']} {what} from {len(parts.inputs.names)} columns; "
        f"a domain is a {roles['the domain']}",
        metric=minus_rmse if regression else accuracy,
        domains=data.names,
        loss=mse_loss if regression else cross_entropy,
        licence="see where you have it from",
        source=str(path),
        fit=standardise,
        inventory=table.said,
        classes=parts.target.classes,
        columns=parts.inputs.names,
        origin=Origin(_reading(parts, roles["the target"], options, marks), table.examples),
    )


AS_WRITTEN = ("separator", "encoding", "decimal", "thousands")
"""Options that say how the text of a table is written; another one of the same source is written alike."""


def _reading(parts: Parts, target: str, options: Mapping[str, str], marks: Marks) -> dict[str, Any]:
    """What `benchmarks.datasets.further` has to know of the table to read others like it."""
    columns = [{"name": code.name, "kind": code.kind, "words": list(code.words)} for code in parts.inputs.codes]
    return {
        "scheme": "table",
        "columns": columns,
        "target": target,
        "scale": float(options.get("scale", "1")),
        "missing": "missing" in options,
        "empty": sorted(marks.empty),
        "file": {name: options[name] for name in AS_WRITTEN if name in options},
    }


def marks_of(options: Mapping[str, str]) -> Marks:
    """How the numbers of a table are written.

    Raises:
        ValueError: if the options name signs that cannot be used together.
    """
    point, group = options.get("decimal", "."), options.get("thousands", "")
    if point not in (".", ","):
        raise ValueError(f"decimal must be . or ,, got {point!r}")
    if group not in THOUSANDS or group == point:
        allowed = ", ".join(sign for sign in THOUSANDS if sign and sign != point)
        raise ValueError(f"thousands must be one of {allowed} beside decimal={point}, got {group!r}")
    return Marks(point, group, frozenset(listed(options, "empty")))


def _taken_apart(
    frame: pd.DataFrame, roles: Roles, options: Mapping[str, str], marks: Marks
) -> tuple[Parts, list[Finding]]:
    findings: list[Finding] = []

    def named(name: str) -> Column:
        """A column whose words are names."""
        column = as_words(name, frame[name], marks)
        if column.empty.any():
            raise ValueError(
                f"column {name!r} of the table is empty in {count(int(column.empty.sum()), 'row')}; fill or drop them"
            )
        findings.extend(_refused(column))
        return column

    domain = named(roles.domain)
    domains = _domains(domain)
    places = np.array([domains.index(word) for word in domain.values], dtype=np.int64)
    groups = pd.factorize(pd.Series(zip(*(named(name).values for name in roles.group), strict=True)))[0]
    target = target_of(_target_column(frame, roles, marks), options)
    findings += [replace(found, refused=found.refused or found.what == "spelling") for found in target.findings]
    _check_shared(target, domains, places)
    columns = tuple(_column(name, frame, roles, marks) for name in roles.inputs)
    inputs = encode(columns, places, listed(options, "allow"))
    if inputs.troubles:
        raise ValueError("; ".join(inputs.troubles))
    _check_missing(columns, inputs, options)
    if not inputs.names:
        left = some([f"{name} ({why})" for name, why in inputs.coding.items()], 5)
        why = f": {left}" if left else ""
        raise ValueError(f"it has no column for inputs besides target, domain and what is dropped{why}")
    parts = Parts(
        domains, places, inputs, target, columns, roles.said, groups if roles.group else None, "+".join(roles.group)
    )
    return parts, [*dict.fromkeys([*findings, *inputs.findings, *findings_of(parts)])]


def _target_column(frame: pd.DataFrame, roles: Roles, marks: Marks) -> Column:
    """The column of the target; codes and words for what is missing are classes, unless other cells are numbers.

    Raises:
        ValueError: if such words stand among numbers.
    """
    found = _column(roles.target, frame, roles, marks)
    if not found.empty.any() and found.kind != CODES:
        return found
    words = as_words(roles.target, frame[roles.target], marks)
    said = sorted({word for word in words.values[found.empty] if word is not None})
    if said and found.kind != EMPTY and not found.trouble:
        rows, missing = count(int((~words.empty)[found.empty].sum()), "row"), some(list(map(repr, said)), 5)
        raise ValueError(
            f"the target {roles.target!r} holds {missing} in {rows}, which among {found.kind} is an empty cell: "
            f"drop these rows, or say words={roles.target} if it is a class"
        )
    return words if found.kind in (CODES, EMPTY) else found


def _column(name: str, frame: pd.DataFrame, roles: Roles, marks: Marks) -> Column:
    return (as_words if name in roles.words else decode)(name, frame[name], marks)


def _refused(column: Column) -> list[Finding]:
    """Two spellings of a domain, a class or a group are two of them: what is tested would be trained on."""
    return [replace(found, refused=found.what == "spelling") for found in column.findings]


def _domains(column: Column) -> tuple[str, ...]:
    names = in_order(sorted(set(column.values)))
    if len(names) > max(2, len(column.values) / 2):
        raise ValueError(
            f"column {column.name!r} has {len(names)} values in {len(column.values)} rows, as {names[0]!r} and "
            f"{names[1]!r}; it names rows rather than domains: say domain=..., or group them"
        )
    return checked_domains(names, f"column {column.name!r}")


def _check_shared(target: Target, domains: Sequence[str], places: np.ndarray[Any, Any]) -> None:
    """Raises ValueError if every class stands in one domain only: the target names the domain then."""
    if target.regression:
        return
    pairs = {*zip(target.labels.tolist(), places.tolist(), strict=True)}
    if len(pairs) == len({label for label, _ in pairs}):
        label, place = min(pairs)
        raise ValueError(
            f"no class of the target is in two domains ({target.classes[label]} in {domains[place]} only, and so on): "
            "what a held-out domain holds cannot be learnt from others; say another target or domain"
        )


def _check_missing(columns: tuple[Column, ...], inputs: Inputs, options: Mapping[str, str]) -> None:
    if options.get("missing", "mean") != "mean":
        raise ValueError(f"missing must be mean, got {options['missing']!r}")
    used = [column for column in columns if not inputs.coding[column.name].startswith("left out")]
    empty = {column.name: int(column.empty.sum()) for column in used if column.empty.any()}
    if empty and "missing" not in options:
        found = ", ".join(f"{name} ({number})" for name, number in empty.items())
        raise ValueError(f"it has empty cells in {found}; fill them, drop=..., or say missing=mean")


def _data(parts: Parts) -> MultiDomainData:
    inputs = torch.from_numpy(parts.inputs.values)
    groups = None if parts.groups is None else torch.from_numpy(parts.groups.astype(np.int64))
    domains = []
    for place, name in enumerate(parts.domains):
        rows = torch.from_numpy(parts.places == place)
        own = None if groups is None else groups[rows]
        domains.append(Domain(name, inputs[rows], parts.target.labels[rows], own))
    return MultiDomainData(tuple(domains), parts.target.n_outputs)
