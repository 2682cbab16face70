"""A search that has ended, as a file: what follows it may be killed and goes on with the same choice.

Without it the search of a trial begins anew, in an empty folder: were it to go on, it would have more time than the
minutes that it is judged by.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from benchmarks.base.config import Frozen
from benchmarks.base.errors import ConfigError
from benchmarks.base.whole import whole
from benchmarks.studies.choose.candidates import Candidate, Outer, Space
from benchmarks.studies.choose.halving import Chosen
from benchmarks.studies.choose.search import Found

FILE = "searched.json"


class _Choice(Frozen):
    """One of `Found.chosen`; the outer set is a domain, or None for none."""

    outer: str | None
    model: int
    algorithm: str
    point: int
    rung: int
    number: int
    figure: float


class Searched(Frozen):
    """All of a `Found` but its space and its records.

    Attributes:
        size: Number of the size in the recipe.
        workers: That did it.
        chosen, refits, defaults, stopped, candidates: As there.
    """

    size: int
    workers: int
    chosen: tuple[_Choice, ...]
    refits: dict[str, tuple[str, ...]]
    defaults: dict[str, tuple[str, ...]]
    stopped: str
    candidates: tuple[int, ...]

    def space(self, space: Space) -> Space:
        """With the size of the search."""
        return replace(space, size=space.recipe.sizes[self.size])

    def found(self, space: Space, records: Mapping[str, Any]) -> Found:
        """What it found, with the records of a store."""
        chosen: dict[Outer, Chosen] = {}
        for one in self.chosen:
            outer: Outer = frozenset() if one.outer is None else frozenset([one.outer])
            candidate = Candidate(one.model, one.algorithm, one.point)
            chosen[outer] = Chosen(candidate, one.rung, one.number, one.figure)
        return Found(space, chosen, self.refits, self.defaults, records, self.stopped, self.candidates)


def keep(found: Found, workers: int, folder: Path) -> None:
    """Writes the file."""
    choices = tuple(
        _Choice(
            outer=next(iter(outer), None),
            model=one.candidate.model,
            algorithm=one.candidate.algorithm,
            point=one.candidate.point,
            rung=one.rung,
            number=one.number,
            figure=one.figure,
        )
        for outer, one in found.chosen.items()
    )
    searched = Searched(
        size=found.space.recipe.sizes.index(found.space.size),
        workers=workers,
        chosen=choices,
        refits={name: tuple(keys) for name, keys in found.refits.items()},
        defaults={name: tuple(keys) for name, keys in found.defaults.items()},
        stopped=found.stopped,
        candidates=tuple(found.candidates),
    )
    with whole(folder / FILE) as partial:
        partial.write_text(json.dumps(searched.model_dump(mode="json"), ensure_ascii=False), encoding="utf-8")


def earlier(folder: Path) -> Searched | None:
    """What a folder holds; None, and an empty folder, where the search had not ended.

    Raises:
        ConfigError: if the file is damaged.
    """
    path = folder / FILE
    if path.exists():
        try:
            return Searched.model_validate(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, ValidationError) as error:
            raise ConfigError(f"{path} is damaged ({error}); remove the folder {folder}") from error
    if (folder / "store.sqlite").exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return None
