"""A table with a column that names the domain: ``table:PATH``, a CSV or Parquet file, for classes or for a quantity.

Options, after a question mark and joined by ``&``:

- ``domain``: the column of domains (``domain``);
- ``target``: the column to predict (the first of ``label``, ``target``, ``y`` that is there);
- ``task``: ``classification`` or ``regression`` (regression if the target holds numbers that are not whole);
- ``group``: a column of examples that belong together (patients, documents) and are never parted between training,
  validation and test;
- ``drop``: columns to leave out, joined by commas;
- ``missing``: ``mean`` puts the mean of the training examples where a number is missing (else it is an error);
- ``scale``: what the target of a regression is divided by, so that it is of the order of one (1).

All other columns are inputs: numbers as they are, words as one column of 0 and 1 for each word. Columns are
standardised by the training parts of the training domains. A regression minimizes the squared error, and its score is
minus the root mean square error, in units of ``scale``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

from benchmarks.base.metrics import accuracy
from benchmarks.datasets.base import DatasetEntry, Domain, MultiDomainData
from benchmarks.datasets.named import checked_domains, listed, parse
from benchmarks.datasets.scaling import standardise

OPTIONS = ("domain", "target", "task", "group", "drop", "missing", "scale")
TARGETS = ("label", "target", "y")
TASKS = ("classification", "regression")
READERS: Mapping[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": pd.read_csv,
    ".csv.gz": pd.read_csv,
    ".tsv": lambda path: pd.read_csv(path, sep="\t"),
    ".parquet": pd.read_parquet,
}


def minus_rmse(outputs: Tensor, labels: Tensor) -> float:
    """Minus the root of the mean squared error: the larger the better, 0 at best.

    Example:
        >>> minus_rmse(torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [4.0]]))
        -1.4142135623730951
    """
    return -float((outputs.double() - labels.double()).square().mean().sqrt())


@dataclass(frozen=True)
class Table:
    """The data set of a file, as it was when it was read.

    Attributes:
        data: All of it.
        identity: Of the file's content and the options.
    """

    data: MultiDomainData
    identity: str

    def __call__(self) -> MultiDomainData:
        """The data."""
        return self.data


def entry(rest: str) -> DatasetEntry:
    """The data set that stands after ``table:``.

    Raises:
        ValueError: if the file cannot be read, or does not hold what the options say.
    """
    path, options = parse("table", rest, OPTIONS)
    frame = read(path)
    domain = _column(frame, options.get("domain", "domain"), "domain")
    target = _target(frame, options)
    regression = _task(frame[target], options) == "regression"
    left_out = {domain, target, *(_column(frame, name, "drop") for name in listed(options, "drop"))}
    group = _column(frame, options["group"], "group") if "group" in options else None
    for what in (domain, target, group):
        if what is not None and frame[what].isna().any():
            raise ValueError(
                f"column {what!r} of {path} is empty in {frame[what].isna().sum()} rows; fill or drop them"
            )
    inputs = _inputs(frame.drop(columns=[*left_out, *([group] if group is not None else [])]), options, path)
    labels, n_outputs = _labels(frame[target], regression, options)
    groups = torch.from_numpy(pd.factorize(frame[group])[0].astype(np.int64)) if group is not None else None
    places = frame[domain].astype(str)
    domains = []
    for name in checked_domains(
        list(dict.fromkeys(frame[domain].sort_values().astype(str))), f"column {domain!r} of {path}"
    ):
        rows = torch.from_numpy((places == name).to_numpy(copy=True))
        domains.append(Domain(name, inputs[rows], labels[rows], None if groups is None else groups[rows]))
    data = MultiDomainData(tuple(domains), n_outputs)
    identity = hashlib.sha256(path.read_bytes() + b"\0" + rest.partition("?")[2].encode()).hexdigest()[:16]
    what = f"{target} as a number" if regression else f"{target} ({n_outputs} classes)"
    return DatasetEntry(
        factory=Table(data, identity),
        description=f"{path.name}: {what} from {inputs.shape[1]} columns; a domain is a {domain}",
        metric=minus_rmse if regression else accuracy,
        domains=data.names,
        loss=mse_loss if regression else cross_entropy,
        licence="see where you have it from",
        source=str(path),
        fit=standardise,
    )


def read(path: Path) -> pd.DataFrame:
    """The table in a file.

    Raises:
        ValueError: if it is of another kind, cannot be read or is empty.
    """
    ending = next((end for end in READERS if path.name.lower().endswith(end)), None)
    if ending is None:
        raise ValueError(f"{path}: the name of a table must end in {', '.join(READERS)}")
    try:
        frame = READERS[ending](path)
    except (OSError, ValueError) as error:  # what pandas and pyarrow raise on a bad file are ValueErrors
        raise ValueError(f"{path} cannot be read: {type(error).__name__}: {error}") from error
    if frame.empty:
        raise ValueError(f"{path} has no rows")
    return frame


def _column(frame: pd.DataFrame, name: str, option: str) -> str:
    if name not in frame.columns:
        columns = ", ".join(map(str, frame.columns))
        raise ValueError(f"{option}={name}: there is no such column; columns are {columns}")
    return name


def _target(frame: pd.DataFrame, options: Mapping[str, str]) -> str:
    if "target" in options:
        return _column(frame, options["target"], "target")
    found = [name for name in TARGETS if name in frame.columns]
    if not found:
        columns = ", ".join(map(str, frame.columns))
        raise ValueError(f"none of the columns is called {', '.join(TARGETS)}; say target=..., columns are {columns}")
    return found[0]


def _task(target: pd.Series, options: Mapping[str, str]) -> str:
    numbers = pd.api.types.is_numeric_dtype(target) and not pd.api.types.is_bool_dtype(target)
    if "task" not in options:
        whole = not numbers or bool((target.dropna() % 1 == 0).all())
        return "classification" if whole else "regression"
    task = options["task"]
    if task not in TASKS:
        raise ValueError(f"task must be {' or '.join(TASKS)}, got {task!r}")
    if task == "regression" and not numbers:
        raise ValueError(f"task=regression needs numbers in the target, column {target.name!r} holds {target.dtype}")
    return task


def _labels(target: pd.Series, regression: bool, options: Mapping[str, str]) -> tuple[Tensor, int]:
    if regression:
        try:
            scale = float(options.get("scale", "1"))
        except ValueError:
            scale = 0.0
        if not 0.0 < scale < float("inf"):
            raise ValueError(f"scale must be a positive number, got {options['scale']!r}")
        values = target.to_numpy(dtype=np.float64)
        if not np.isfinite(values).all():
            raise ValueError(f"column {target.name!r} holds numbers that are not finite")
        return torch.from_numpy((values / scale).astype(np.float32)[:, np.newaxis]), 1
    if "scale" in options:
        raise ValueError("scale is for regression; give task=regression or leave it out")
    codes, names = pd.factorize(target, sort=True)
    if len(names) < 2:
        raise ValueError(f"column {target.name!r} holds one class only: {list(names)}")
    return torch.from_numpy(codes.astype(np.int64)), len(names)


def _inputs(frame: pd.DataFrame, options: Mapping[str, str], path: Path) -> Tensor:
    if not len(frame.columns):
        raise ValueError(f"{path} has no column for inputs besides target, domain and what is dropped")
    words = [name for name in frame.columns if not pd.api.types.is_numeric_dtype(frame[name])]
    _few_words(frame, words, path)
    values = pd.get_dummies(frame, columns=words, dtype=float).to_numpy(dtype=np.float64)
    if np.isinf(values).any():
        raise ValueError(f"{path} holds numbers that are not finite")
    if options.get("missing", "mean") != "mean":
        raise ValueError(f"missing must be mean, got {options['missing']!r}")
    empty = frame.isna().sum()
    if empty.any() and "missing" not in options:
        found = ", ".join(f"{name} ({number})" for name, number in empty[empty > 0].items())
        raise ValueError(f"{path} has empty cells in {found}; fill them, drop=..., or say missing=mean")
    return torch.from_numpy(values.astype(np.float32))


def _few_words(frame: pd.DataFrame, names: Sequence[str], path: Path, most: int = 100) -> None:
    for name in names:
        if (number := frame[name].nunique()) > most:
            raise ValueError(
                f"column {name!r} of {path} holds {number} different words, which would be as many inputs; "
                f"drop={name}, or turn it into numbers"
            )
