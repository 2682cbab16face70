"""Runs as they are written into a store, without making an object of each: a sweep may have a million.

The runs of one data set, algorithm and held-out set differ in three fields. Their configurations are one text with
three gaps, and a key is the hash of another one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from benchmarks.runs.config import RunIdentity

_GAPS = ("seed", "point", "hparams")

# As the store and `RunIdentity.key` write them.
_of_config = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
_of_key = json.JSONEncoder(sort_keys=True, allow_nan=False).encode


class Written(NamedTuple):
    """One run; ``config`` is JSON."""

    key: str
    config: str
    dataset: str
    algorithm: str
    held_out: str
    seed: int
    point: int
    evaluations: int | None
    model: str


def written(run: RunIdentity) -> Written:
    """A run that is there already.

    Example:
        >>> from benchmarks.runs.config import RunConfig
        >>> run = RunConfig(dataset="coloured-digits", algorithm="erm", held_out="10%", seed=0, point=0, hparams={})
        >>> written(run).key == run.key(), json.loads(written(run).config) == run.config()
        (True, True)
    """
    return Template(run).fill(run.seed, run.point, HParams(run.hparams))


class HParams:
    """Hyper-parameters, written in their order and sorted."""

    __slots__ = ("in_order", "sorted")

    def __init__(self, values: Mapping[str, float]) -> None:
        self.in_order = _of_config(dict(values))
        self.sorted = _of_key(dict(values))


class Template:
    """What a run has in common with those that differ from it in seed, point and hyper-parameters only."""

    def __init__(self, run: RunIdentity) -> None:
        content = run.config()
        gaps = {name: f"\0{name}\0" for name in _GAPS}
        self._in_order = _pattern(_of_config(content | gaps))
        self._sorted = _pattern(_of_key(content | gaps))
        self._common: dict[str, Any] = {
            **{name: content[name] for name in ("dataset", "algorithm", "held_out")},
            "evaluations": run.budget(),
            "model": run.model,
        }

    def fill(self, seed: int, point: int, hparams: HParams) -> Written:
        """The run with these three."""
        config = self._in_order % {"seed": seed, "point": point, "hparams": hparams.in_order}
        identity = self._sorted % {"seed": seed, "point": point, "hparams": hparams.sorted}
        key = hashlib.sha256(identity.encode()).hexdigest()[:16]
        return Written(key=key, config=config, seed=seed, point=point, **self._common)


def _pattern(text: str) -> str:
    return re.sub(r'"\\u0000(\w+)\\u0000"', r"%(\1)s", text.replace("%", "%%"))
