"""What wilds 2.0.0 needs on today's libraries, without a change to the installed package.

WILDS is from 2022. Three things of its surroundings have gone since, and each is given back for WILDS alone:

- Importing it starts a thread that asks the package index for a newer version; it does so only if `outdated` can be
  imported, so for the first import of wilds it cannot.
- Group metrics average with `torch_scatter`, a compiled extension, at one place, `avg_over_groups`. Where it is not
  installed, `group_means` stands there instead, in plain torch.
- Its data sets write into the arrays behind pandas objects, put ints into columns of strings, read time stamps of mixed
  precision, and take ``get_dummies`` for numbers. pandas 2 and 3 refuse some or all of that. While a data set is built,
  the name ``pd`` in its module of wilds means `pgrad.integrations.wilds._frames.Pandas`, which still allows it.

Beside that, one figure that is wrong: the lowest correlation of a group leaves out groups in which it is not defined,
and fails where no group is left; `undefined_correlations` makes it NaN.

Nothing here changes pandas, torch or what another package sees of them.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

__all__ = ["building", "group_means", "import_wilds", "undefined_correlations"]


def import_wilds() -> ModuleType:
    """The package `wilds`, ready for use.

    Raises:
        ImportError: if wilds or something it imports is not installed; says what to install.
    """
    try:
        _import_quietly()
        _give_group_means()
    except ImportError as error:
        raise ImportError(f"WILDS data sets need the package wilds: pip install 'pgrad[wilds]' ({error})") from error
    return sys.modules["wilds"]


def group_means(values: Tensor, groups: Tensor, n_groups: int) -> tuple[Tensor, Tensor]:
    """The mean of `values` in each group, and how many there are, as `wilds.common.utils.avg_over_groups`.

    Args:
        values: [n].
        groups: [n], ints in ``0 .. n_groups - 1``, on the device of `values`.
        n_groups: G.

    Returns:
        [G] means (0 for a group without values) and [G] counts, both floating point.

    Example:
        >>> group_means(torch.tensor([1.0, 0.0, 1.0]), torch.tensor([0, 0, 2]), 3)
        (tensor([0.5000, 0.0000, 1.0000]), tensor([2., 0., 1.]))
    """
    counts = torch.bincount(groups, minlength=n_groups)
    sums = torch.zeros(n_groups, dtype=values.dtype, device=values.device).index_add_(0, groups, values)
    return sums / counts.clamp(min=1), counts.float()


@contextmanager
def building(module: ModuleType) -> Iterator[None]:
    """Inside, a data set of this module of wilds can be constructed."""
    if not hasattr(module, "pd"):
        yield
        return
    from pgrad.integrations.wilds._frames import Pandas

    names = vars(module)
    original, names["pd"] = names["pd"], Pandas()
    try:
        yield
    finally:
        names["pd"] = original


@contextmanager
def undefined_correlations() -> Iterator[None]:
    """Inside, a correlation that is not defined is NaN, and so is the lowest of several of which one is NaN."""
    metric: Any = importlib.import_module("wilds.common.metrics.all_metrics").PearsonCorrelation
    compute, worst = metric._compute, metric.worst

    def correlation(self: Any, y_pred: Tensor, y_true: Tensor) -> Tensor:
        if len(y_true) < 2 or (y_pred == y_pred[0]).all() or (y_true == y_true[0]).all():
            return torch.tensor(torch.nan)
        found: Tensor = compute(self, y_pred, y_true)
        return found

    def lowest(self: Any, metrics: Tensor) -> Tensor:
        found: Tensor = metrics.min() if len(metrics) else worst(self, metrics)  # the minimum of a NaN is NaN
        return found

    metric._compute, metric.worst = correlation, lowest
    try:
        yield
    finally:
        metric._compute, metric.worst = compute, worst


def _import_quietly() -> None:
    """Import wilds without its thread."""
    if sys.modules.get("wilds") is None:
        with _hidden("outdated"):
            importlib.import_module("wilds")


@contextmanager
def _hidden(name: str) -> Iterator[None]:
    """Inside, ``import name`` fails."""
    absent = object()
    before: Any = sys.modules.get(name, absent)
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if before is absent:
            del sys.modules[name]
        else:
            sys.modules[name] = before


def _give_group_means() -> None:
    if importlib.util.find_spec("torch_scatter") is not None:
        return
    for name in ("utils", "metrics.metric", "metrics.loss", "metrics.all_metrics"):
        importlib.import_module(f"wilds.common.{name}").avg_over_groups = group_means  # type: ignore[attr-defined]
