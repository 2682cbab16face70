"""Records from the ``results.jsonl`` files of DomainBed's training script.

A run of DomainBed is a folder; its file holds one JSON object per checkpoint, and an empty file ``done`` says that it
ended. Every domain is there in two parts: ``env0_in_acc`` on 80 % and ``env0_out_acc`` on 20 %. As DomainBed's own
selection does it, a training domain is validated on its 20 %, and a held-out domain is reported on its 80 %.

DomainBed numbers its domains and does not name them: they become ``env0``, ``env1``, ... ``seed`` is its trial seed,
``point`` its seed of the random search.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.base.records import SEPARATOR
from benchmarks.runs.selection import checkpoints

CODE = "domainbed"
"""In place of the fingerprint of the code, which is not known."""


@dataclass(frozen=True)
class Unfinished:
    """Folders without ``done``, which are left out."""

    paths: tuple[Path, ...]


def results(folder: Path, unfinished: bool = False) -> tuple[list[dict[str, Any]], Unfinished]:
    """The records of all runs below a folder (or of one file).

    Args:
        folder: Where to look for ``results.jsonl``.
        unfinished: Take runs without a file ``done`` too, as far as they came.

    Raises:
        ValueError: if a file is no such file, or there is none; says what is wrong, and where.
    """
    paths = [folder] if folder.is_file() else sorted(folder.rglob("results.jsonl"))
    if not paths:
        raise ValueError(f"there is no results.jsonl in {folder}")
    whole = [path for path in paths if unfinished or folder.is_file() or (path.parent / "done").exists()]
    left_out = tuple(path.parent for path in paths if path not in whole)
    found = (_record(path, list(_lines(path))) for path in whole)
    return [record for record in found if record is not None], Unfinished(left_out)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    content = path.read_bytes()
    for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), start=1):
        try:
            row = json.loads(line)
            if not {"step", "args"} <= set(row):
                raise ValueError("no step or no args")
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}, line {number}: not a line of DomainBed's ({error})") from error
        yield row


def _record(path: Path, lines: list[dict[str, Any]]) -> dict[str, Any] | None:
    if not lines:
        return None
    arguments = lines[-1]["args"]
    domains = _domains(path, lines[0])
    held_out = [f"env{number}" for number in sorted(set(arguments["test_envs"]))]
    if not set(held_out) <= set(domains) or len(held_out) == len(domains):
        raise ValueError(f"{path}: held-out domains {held_out} of {domains}")
    training = [name for name in domains if name not in held_out]
    config = {
        "dataset": arguments["dataset"],
        "algorithm": arguments["algorithm"],
        "held_out": SEPARATOR.join(held_out),
        "seed": arguments["trial_seed"],
        "point": arguments["hparams_seed"],
        "hparams": lines[-1].get("hparams", {}),
        "steps": arguments.get("steps"),
        "domainbed": arguments,
    }
    scores = {name: [line[f"{name}_{_part(name, held_out)}_acc"] for line in lines] for name in domains}
    curves = {
        "step": [line["step"] for line in lines],
        "loss": [line.get("loss") for line in lines],
        "validation": _mean(scores, training),
        "held_out": _mean(scores, held_out),
    }
    # The output folder is where it lay, not what it was.
    identity = {**config, "domainbed": {name: value for name, value in arguments.items() if name != "output_dir"}}
    return {
        "key": hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16],
        "config": config,
        "status": "finished",
        "curves": curves,
        "domain_curves": scores,
        "selections": checkpoints(curves),
        "diagnostics": {},
        "timings": {"wall_seconds": _wall(lines)},
        "peak_memory": {"cuda_bytes": _cuda(lines)},
        "environment": {"code": CODE, "source": "DomainBed"},
    }


def _part(name: str, held_out: list[str]) -> str:
    return "in" if name in held_out else "out"


def _mean(scores: Mapping[str, list[float]], names: list[str]) -> list[float]:
    return [sum(values) / len(names) for values in zip(*(scores[name] for name in names), strict=True)]


def _domains(path: Path, line: Mapping[str, Any]) -> list[str]:
    numbers = sorted(int(match[1]) for key in line if (match := re.fullmatch(r"env(\d+)_in_acc", key)))
    if len(numbers) < 2 or numbers != list(range(len(numbers))):
        raise ValueError(f"{path}: env0_in_acc, env1_in_acc, ... expected, got the domains {numbers}")
    return [f"env{number}" for number in numbers]


def _wall(lines: list[dict[str, Any]]) -> float | None:
    """Seconds in training steps: each line tells the mean since the line before."""
    total, before = 0.0, -1
    for line in lines:
        if "step_time" not in line:
            return None
        total += line["step_time"] * (line["step"] - before)
        before = line["step"]
    return total


def _cuda(lines: list[dict[str, Any]]) -> int | None:
    gib = max((line.get("mem_gb", 0.0) for line in lines), default=0.0)
    return int(gib * 2**30) or None
