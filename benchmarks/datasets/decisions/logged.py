"""Episodes that were logged, in whatever format, as a data set of decisions: windows, scale, pages to look at."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.base.values import BINS, SCALE
from benchmarks.datasets.base import DatasetEntry, Domain, Fit, MultiDomainData
from benchmarks.datasets.decisions.metrics import agreement
from benchmarks.datasets.decisions.sets import LEARNING, in_units, learning, parsed
from benchmarks.datasets.decisions.steps import Episode, windows
from benchmarks.datasets.named import positive

OPTIONS = (*LEARNING, "window", "discount")
"""Of a name, behind its question mark."""

LONGEST = 4096
"""Steps of a window."""

SAME = 1e-6
"""Values that differ by so small a share of the largest are hardly told apart by 32 bits."""

SHOWN = 12
"""Steps, options and numbers of a domain that are shown."""

ROUNDING = 1e-12
"""Values that differ by no more than this are the same but for the rounding of 64 bits."""


@dataclass(frozen=True)
class Logs:
    """The data of a file, as it was when it was read.

    Attributes:
        data: All of it.
        identity: Of the file's content and the options.
    """

    data: MultiDomainData
    identity: str

    def __call__(self) -> MultiDomainData:
        """The data."""
        return self.data


def logged_entry(
    path: Path,
    options: Mapping[str, str],
    episodes: Sequence[Episode],
    names: tuple[str, ...],
    identity: str,
    what: str,
) -> DatasetEntry:
    """The line of the registry for episodes that were logged.

    Args:
        path: Of the log.
        options: Of the name.
        episodes: Of the log.
        names: Of the domains.
        identity: Of its content and the options.
        what: A domain is.

    Raises:
        ValueError: If an option has another value, or the episodes are none.
    """
    try:
        _check_apart(episodes)
        data = windows(episodes, names, *window_of(options), "float32")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    description = f"{path.name}: logged decisions among {data.n_outputs - BINS} options; a domain is {what}"
    return entry_of(path, options, data, identity, description, Scale(data.n_outputs - BINS))


def _check_apart(episodes: Sequence[Episode]) -> None:
    """Refuses numbers that would become one in 32 bits, such as seconds since 1970.

    Raises:
        ValueError: If there are some; names the place.
    """
    views = [step.view for episode in episodes for step in episode.steps]
    for what, parts in (
        ("features", [[view.context] for view in views]),
        ("options", [view.options for view in views]),
    ):
        if len({np.shape(part)[1] for part in parts}) != 1:
            return  # `windows` refuses them
        values = np.concatenate(parts).astype(np.float64)
        if not values.size:
            continue
        largest, spread = np.abs(values).max(axis=0), values.std(axis=0)
        lost = np.flatnonzero((spread > ROUNDING * largest) & (spread < SAME * largest))
        if len(lost):
            own = values[:, lost[0]]
            raise ValueError(
                f"{what}: number {lost[0]} of the list, from 0, is {own.min()!s} to {own.max()!s}, which 32 bits "
                "hardly tell apart; subtract a constant from it, or leave it out"
            )


def window_of(options: Mapping[str, str]) -> tuple[int, float]:
    """The steps of a window, and the discount.

    Raises:
        ValueError: If one of them is none.
    """
    length = positive(options, "window", 32)
    if length > LONGEST:
        raise ValueError(f"window must be at most {LONGEST} steps, got {length}; all steps of a window see one another")
    return length, _discount(options)


def entry_of(
    path: Path,
    options: Mapping[str, str],
    data: MultiDomainData,
    identity: str,
    description: str,
    fit: Fit | None = None,
) -> DatasetEntry:
    """The line of the registry for windows of what was logged; arguments as those of `logged_entry`.

    Raises:
        ValueError: If an option has another value.
    """
    query = "&".join(f"{name}={value}" for name, value in options.items() if name in LEARNING)
    chosen = parsed(f"decisions:{path}", query, LEARNING)
    return learning(
        chosen,
        DatasetEntry(
            factory=Logs(in_units(data) if chosen["units"] == "different" else data, identity),
            description=description,
            metric=agreement,
            domains=data.names,
            licence="see where you have it from",
            source=str(path),
            fit=fit,
            shown=functools.partial(pages, data),
        ),
    )


def pages(data: MultiDomainData) -> dict[str, str]:
    """The first steps of each domain to look at: choices, returns, what was legal, the first numbers that were seen."""
    return {domain.name: _page(domain, data.n_outputs - BINS) for domain in data.domains}


def _page(domain: Domain, options: int) -> str:
    unit = SCALE if domain.inputs.dtype == torch.int16 else 1
    lines = ["step  done  teacher    return  legal; features"]
    for t, (step, (done, teacher, gained)) in enumerate(zip(domain.inputs[0], domain.labels[0].tolist(), strict=True)):
        if done < 0 or t == SHOWN:
            break
        rows = len(step) - options
        legal = torch.nonzero(step[rows:, 0]).flatten().tolist()
        among = " ".join(map(str, legal[:SHOWN])) + (" ..." if len(legal) > SHOWN else "")
        seen = " ".join(f"{number:.3g}" for number in (step[:rows].flatten()[:SHOWN].double() / unit).tolist())
        lines.append(f"{t:4d}  {done:4.0f}  {teacher:7.0f}  {gained:8.4g}  {among}; {seen}")
    return "\n".join(lines)


@dataclass(frozen=True)
class Scale:
    """Standardises contexts and features of options by the training examples; padding and masks stay.

    Attributes:
        options: K.
    """

    options: int

    def __call__(self, inputs: Tensor, labels: Tensor) -> Callable[[Tensor], Tensor]:
        seen = inputs[labels[..., 0] >= 0].double()  # [steps, R + K, W]; squares of large numbers need the range
        rows = seen.shape[1] - self.options
        context, shown = seen[:, :rows], seen[:, rows:]
        legal = shown[..., 0] > 0
        features = shown[..., 1:][legal]
        centre, spread = context.mean(dim=0), _spread(context)
        middle, width = (features.mean(dim=0), _spread(features)) if features.numel() else (0.0, 1.0)

        def apply(others: Tensor) -> Tensor:
            out = others.clone()
            there = (others[..., rows:, 0] > 0).any(dim=-1)[..., None, None]
            out[..., :rows, :] = ((others[..., :rows, :] - centre) / spread * there).to(out.dtype)
            mask = others[..., rows:, :1] > 0
            out[..., rows:, 1:] = ((others[..., rows:, 1:] - middle) / width * mask).to(out.dtype)
            return out

        return apply


def _spread(values: Tensor) -> Tensor:
    """Standard deviations, float64; infinite where values are the same but for the rounding of 32 bits: a model has
    learnt no weight for such a column, and it is 0 everywhere.
    """
    found = values.std(dim=0, correction=0)
    return found.where(found > SAME * values.abs().amax(dim=0), torch.inf)


def _discount(options: Mapping[str, str]) -> float:
    text = options.get("discount", "1")
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0.0 <= found <= 1.0:
        raise ValueError(f"discount must be a number in 0..1, got {text!r}")
    return found
