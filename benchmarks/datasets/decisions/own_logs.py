"""Logged trajectories of a user's own: ``decisions:PATH``, a Parquet file or JSON lines.

A row (or a line) is one step, with these fields:

``domain``
    A word: where it is from. At least two in the file.
``episode``
    A word or a number: steps with the same one (in the same domain) are one episode.
``step``
    A whole number: the place in the episode. Each once; gaps are allowed.
``features``
    A list of numbers, of one length in the whole file: what was seen.
``options``
    A list of lists of numbers, one for each option, of one length in the whole file; or a whole number K: the same K
    options at every step, which have no features.
``legal``
    A list of true and false, one for each option; it may be left out: all are.
``done``, ``teacher``
    The number of the option, from 0, that was taken, and that a teacher would have taken. ``teacher`` may be left out
    of the whole file: agreement is then with what was done.
``reward``
    A number.
``group``
    A word: episodes that are never parted; it may be left out: each episode by itself.

Options of the name, behind a question mark: those of all sets (``learn``, ``loss``, ``critic``, ``units``), ``window``
(the steps of a window, 32) and ``discount`` (1). Features are standardised by the training parts of the training
domains.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.datasets.base import DatasetEntry
from benchmarks.datasets.decisions.logged import OPTIONS, logged_entry
from benchmarks.datasets.decisions.steps import Episode, Step, View
from benchmarks.datasets.named import checked_domains, parse

REQUIRED = ("domain", "episode", "step", "features", "options", "done", "reward")
OPTIONAL = ("legal", "teacher", "group")
MOST = 4096
"""Options without features: a vector is learned for each."""

TOLD = 80
"""Characters of a value in an error, at most."""

Row = Mapping[str, Any]


def entry(rest: str) -> DatasetEntry:
    """The data set that stands after ``decisions:``.

    Raises:
        ValueError: If the file cannot be read, or holds what is no log of decisions; names the line or row.
    """
    path, options = parse("decisions", rest, OPTIONS)
    rows = list(_rows(path))
    try:
        episodes = _episodes(rows)
        names = checked_domains(sorted({episode.domain for episode in episodes}), "the file")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    identity = hashlib.sha256(path.read_bytes() + b"\0" + rest.partition("?")[2].encode()).hexdigest()[:16]
    return logged_entry(path, options, episodes, names, identity, "a word of its column 'domain'")


def _rows(path: Path) -> Iterator[tuple[str, Row]]:
    """Where it stands, and the step."""
    if not path.is_file():
        raise ValueError(f"decisions: there is no file {path}")
    if path.suffix.lower() in (".parquet", ".pq"):
        import pyarrow
        import pyarrow.parquet

        try:
            table = pyarrow.parquet.read_table(path)
        except pyarrow.ArrowException as error:
            raise ValueError(f"{path} is no readable Parquet file: {error}") from error
        yield from ((f"row {number}", row) for number, row in enumerate(table.to_pylist()))
        return
    try:
        text = path.read_text(encoding="utf-8-sig")  # with or without a mark at its beginning
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is no text in UTF-8 ({error}), as JSON lines are; Parquet ends in .parquet"
        ) from error
    for number, line in enumerate(text.split("\n"), start=1):  # a text may hold other signs that part lines
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ValueError(
                    f"{path}, line {number}: no JSON: {error}; a line must be an object, and Parquet ends in .parquet"
                ) from error
            if not isinstance(row, dict):
                raise ValueError(f"{path}, line {number}: must be an object, got {type(row).__name__}")
            yield f"line {number}", row


def _episodes(rows: Sequence[tuple[str, Row]]) -> list[Episode]:
    if not rows:
        raise ValueError("holds no step")
    with_teacher = any(row.get("teacher") is not None for _, row in rows)
    found: dict[tuple[str, str], dict[int, Step]] = {}
    groups: dict[tuple[str, str], str] = {}
    first: tuple[str, View] | None = None
    for where, row in rows:
        missing = [name for name in REQUIRED if row.get(name) is None]
        strange = sorted({*row} - {*REQUIRED, *OPTIONAL})
        if missing or strange:
            what = f"{', '.join(missing)} missing" if missing else f"{', '.join(strange)} not known"
            raise ValueError(f"{where}: {what}; a step has {', '.join(REQUIRED)}, and may have {', '.join(OPTIONAL)}")
        key = (_word(where, "domain", row["domain"]), _word(where, "episode", row["episode"]))
        step, number = _step(where, row, with_teacher), _whole(where, "step", row["step"])
        first = first or (where, step.view)
        _check_lengths(where, step.view, *first)
        steps = found.setdefault(key, {})
        if number in steps:
            raise ValueError(f"{where}: step {number} of episode {key[1]!r} of domain {key[0]!r} comes twice")
        group = key[1] if row.get("group") is None else _word(where, "group", row["group"])
        if groups.setdefault(key, group) != group:
            raise ValueError(f"{where}: episode {key[1]!r} of domain {key[0]!r} is in the groups {groups[key]!r} and "
                             f"{group!r}; it must be in one")  # fmt: skip
        steps[number] = step
    return [
        Episode(domain, groups[domain, name], [steps[number] for number in sorted(steps)])
        for (domain, name), steps in found.items()
    ]


def _step(where: str, row: Row, with_teacher: bool) -> Step:
    options = row["options"]
    if isinstance(options, int) and not isinstance(options, bool):
        if options > MOST:
            raise ValueError(f"{where}: options must be at most {MOST}, got {options}")
        shown = np.zeros((max(options, 0), 0))
    else:
        shown = _numbers(where, "options", options, 2)
    if not len(shown):
        raise ValueError(f"{where}: options must be at least one, got {options!r}")
    legal = row.get("legal")
    if legal is not None and not (isinstance(legal, list) and all(isinstance(word, bool) for word in legal)):
        raise ValueError(f"{where}: legal must be a list of true and false, got {legal!r}")
    if legal is not None and len(legal) != len(shown):
        raise ValueError(f"{where}: legal has {len(legal)} words for {len(shown)} options")
    mask = np.ones(len(shown), dtype=bool) if legal is None else np.array(legal, dtype=bool)
    if not mask.any():
        raise ValueError(f"{where}: no option is legal; leave the step out, or mend the mask")
    done = _whole(where, "done", row["done"])
    if with_teacher and row.get("teacher") is None:
        raise ValueError(f"{where}: teacher is missing, and other steps have it; give it everywhere or nowhere")
    teacher = _whole(where, "teacher", row["teacher"]) if with_teacher else done
    for name, choice in (("done", done), ("teacher", teacher)):
        if not 0 <= choice < len(mask) or not mask[choice]:
            raise ValueError(
                f"{where}: {name} must be one of the legal options {np.flatnonzero(mask).tolist()}, got {choice}"
            )
    reward = _numbers(where, "reward", row["reward"], 0)
    return Step(View(_numbers(where, "features", row["features"], 1), shown, mask), done, teacher, float(reward))


def _told(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= TOLD else f"{text[:TOLD]} ..."


def _check_lengths(where: str, view: View, before: str, first: View) -> None:
    """Refuses what has another length than on the first line."""
    told = {
        "features": (len(view.context), len(first.context), "numbers"),
        "options": (view.options.shape[1], first.options.shape[1], "numbers for each option"),
    }
    if not view.options.shape[1]:
        told["options "] = (len(view.options), len(first.options), "in number; say by legal which there are")
    for name, (mine, theirs, what) in told.items():
        if mine != theirs:
            raise ValueError(f"{where}: {name.strip()} must be as many as on {before}, {theirs} {what}; got {mine}")


def _word(where: str, name: str, value: Any) -> str:
    strange = isinstance(value, (list, dict, bool)) or (isinstance(value, float) and not math.isfinite(value))
    if strange or not str(value).strip():
        raise ValueError(f"{where}: {name} must be a word or a number, got {str(value)[:80]!r}")
    return str(value)


def _whole(where: str, name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{where}: {name} must be a whole number, got {value!r}")
    return value


def _numbers(where: str, name: str, value: Any, dimensions: int) -> np.ndarray[Any, Any]:
    """Numbers, which 32 bits can hold; words are none, even if they look like some."""
    try:
        found = np.array(value)
    except ValueError:  # lists of several lengths
        found = np.array("")
    if found.size == 0:
        found = found.astype(np.float64)
    fits = found.dtype.kind in "biuf" and bool((np.abs(found.astype(np.float64)) <= np.finfo(np.float32).max).all())
    kind = ("a number", "a list of numbers", "a list of lists of numbers of one length")[dimensions]
    if found.ndim != dimensions or not fits:
        raise ValueError(f"{where}: {name} must be {kind}, all finite in 32 bits; got {_told(value)}")
    return found.astype(np.float64)
