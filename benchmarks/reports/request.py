"""What a report is asked for, and the report of it."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.algorithms import BASELINE, CONTROL
from benchmarks.reports import files
from benchmarks.reports.build import build
from benchmarks.reports.load import Loaded, load, store_of
from benchmarks.reports.page import Report
from benchmarks.reports.selection import Selection
from benchmarks.runs.rules import VALIDATION

MORE_SEEDS = "more-seeds.yaml"


@dataclass(frozen=True)
class Request:
    """One report.

    Attributes:
        sources: See `benchmarks.reports.load.load_records`.
        method: Of selection.
        baselines: What the others are compared with; by default erm and reptile where they are there.
        compare: The algorithms that the report is about; all if none are named.
        held_out: The held-out sets that it is about; see `Selection.of`.
        seed: Of the bootstrap.
        refit: Whether scores are those of the choices that were trained again.
    """

    sources: tuple[str, ...]
    method: str = VALIDATION
    baselines: tuple[str, ...] = ()
    compare: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    seed: int = 0
    refit: bool = False

    def chosen(self) -> tuple[Loaded, Selection]:
        """The records and what is asked of them.

        Raises:
            ValueError: if there are none, or a name is not known.
        """
        loaded = load(self.sources).only(self.compare)
        baselines = self.baselines
        if not baselines and not {BASELINE, CONTROL} & set(self.compare):
            baselines = self.compare[:1]
        return loaded, Selection.of(loaded.records, self.method, baselines, self.held_out, loaded.sweeps, self.refit)

    def report(self, folder: Path, refresh: int = 0, progress: str = "") -> tuple[Report, int]:
        """The report, written to a folder; and the number of records.

        Args:
            folder: For its files.
            refresh: Seconds after which the page loads itself again; 0 for never.
            progress: Of runs that still go on.
        """
        loaded, selection = self.chosen()
        made = build(loaded, selection, self.seed)
        made = dataclasses.replace(
            made, refresh=refresh, progress=progress, more_seeds=self._more_seeds(made, loaded, folder)
        )
        files.write(made, folder)
        return made, len(loaded.records)

    def _more_seeds(self, report: Report, loaded: Loaded, folder: Path) -> str:
        """The command that adds the seeds without which no verdict is possible; its sweep file is written."""
        needed = report.answer[0].seeds if report.answer else 0
        addresses = [address for source in self.sources if (address := store_of(source)) is not None]
        if not needed or len(loaded.sweeps) != 1 or len(addresses) != 1:
            return ""
        sweep = dict(loaded.sweeps[0])
        known = list(sweep["seeds"])
        sweep["seeds"] = (
            known + [seed for seed in range(needed + len(known)) if seed not in known][: needed - len(known)]
        )
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MORE_SEEDS).write_text(_yaml(sweep), encoding="utf-8")
        words = ["python", "-m", "benchmarks", "sweep", str(folder / MORE_SEEDS)]
        path = Path(self.sources[0])
        words += ["--output", str(path if path.is_dir() else path.parent if path.exists() else folder.parent)]
        return shlex.join(words if path.is_dir() else [*words, "--store", addresses[0]])


def _yaml(content: Mapping[str, Any]) -> str:
    """JSON is YAML."""
    return "# The same sweep with more seeds: runs that are done are not done again.\n" + json.dumps(content, indent=1)
