"""A folder of predictions is one submission to the leaderboard: replicates of one algorithm with one configuration."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

from benchmarks.studies.wilds.config import WildsConfig

__all__ = ["MARKER", "add", "claim"]

MARKER = "submission.json"
"""In the folder of a data set: whose predictions these are. WILDS's own evaluation does not look at it."""

_FREE = ("seed", "held_out", "point", "start_from", "eval_splits", "eval_batch_size")  # may differ in a submission
_ADVICE = "an algorithm with its settings needs a folder of its own: give another --predictions"


def claim(folder: Path, config: WildsConfig) -> None:
    """Make `folder`, of one data set, hold the predictions of this configuration and of no other.

    Raises:
        ValueError: if it holds those of another one, or some of which nobody knows whose they are.
    """
    own = {name: value for name, value in config.config().items() if name not in _FREE}
    own["start_from_weights"] = bool(config.start_from)
    marker = folder / MARKER
    if not marker.exists():
        found = sorted(path.name for path in folder.glob("*_pred.*"))
        if found:
            raise ValueError(
                f"{folder} holds {len(found)} predictions of unknown origin, {found[0]} for one, and no {MARKER}; "
                f"{_ADVICE}"
            )
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError), marker.open("x") as new:  # another replicate was faster
            new.write(json.dumps(own, indent=1) + "\n")
    _compare(marker, own)


def add(own: Path, folder: Path, config: WildsConfig) -> bool:
    """Copy the predictions of a finished run from its own folder into a submission; whether they are there.

    Raises:
        ValueError: as `claim`.
    """
    found = sorted(own.glob("*_pred.*"))
    if found:
        claim(folder, config)
        for path in found:
            shutil.copyfile(path, folder / path.name)
    return bool(found)


def _compare(path: Path, own: dict[str, Any]) -> None:
    try:
        theirs = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} cannot be read ({error}): whose predictions are these? {_ADVICE}") from error
    differ = [
        f"{name} {theirs.get(name)!r} there, {own.get(name)!r} here"
        for name in [*own, *(set(theirs) - set(own))]
        if theirs.get(name) != own.get(name)
    ]
    if differ:
        raise ValueError(f"{path.parent} holds predictions of another configuration ({'; '.join(differ)}); {_ADVICE}")
