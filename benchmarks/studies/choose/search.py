"""Does the rungs of a search, then the runs that the expectation asks for; stops when time is over."""

from __future__ import annotations

import contextlib
import json
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.base.whole import whole
from benchmarks.base.wording import count
from benchmarks.reports.rungs import RUNGS
from benchmarks.runs.config import RunConfig
from benchmarks.runs.refit import refit_of
from benchmarks.runs.runner import RunKind
from benchmarks.runs.selection import Selected
from benchmarks.studies.choose.candidates import MOST_POINTS, MOST_RUNGS, Candidate, Outer, Space
from benchmarks.studies.choose.halving import Chosen, best, standing
from benchmarks.studies.choose.keeping import run_keeping
from benchmarks.sweeps.coordinator import Coordinator
from benchmarks.sweeps.launcher_config import InProcess, LauncherConfig, Local
from benchmarks.sweeps.progress import live
from benchmarks.sweeps.selected import SelectedRuns
from benchmarks.sweeps.snapshot import Snapshot
from benchmarks.sweeps.store import Store
from benchmarks.sweeps.store.backup import keep_backup

KEEPING = RunKind(RunConfig, run_keeping)


class NothingChosenError(RuntimeError):
    """The search ended before anything could be chosen."""


class _TimeOverError(Exception):
    """Comes from the watch of a stage."""


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        space: What was searched.
        chosen: For each outer set.
        refits: For each domain the keys of the refits of the choice made without it, seed by seed.
        defaults: The same of plain ERM.
        records: All finished runs by key.
        stopped: Why the search ended before its last rung; empty if it did not.
        candidates: That entered each rung that counts, over all outer sets.
    """

    space: Space
    chosen: Mapping[Outer, Chosen]
    refits: Mapping[str, Sequence[str]]
    defaults: Mapping[str, Sequence[str]]
    records: Mapping[str, Mapping[str, Any]]
    stopped: str
    candidates: Sequence[int]


@dataclass
class Search:
    """One process's part in it.

    Attributes:
        space: What is searched.
        store: For its runs.
        folder: Of the output.
        console: Is told how far it is.
        launcher: Of the workers.
        deadline: Of `time.monotonic`; the search stops there.
        plugins: Modules that workers import first.
    """

    space: Space
    store: Store
    folder: Path
    console: Console
    launcher: LauncherConfig
    deadline: float = float("inf")
    plugins: tuple[str, ...] = ()
    records: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def run(self) -> Found:
        """All of it.

        Raises:
            NothingChosenError: if it was stopped before one candidate had all its runs.
            KeyboardInterrupt: if it comes a second time, or while refits are done.
        """
        stopped, sizes, rungs = "", list[int](), self.space.rungs
        rung, entering = rungs.start, standing(self.space, self.records, rungs.start)
        for place, now in enumerate(rungs):
            later = standing(self.space, self.records, now)
            number = len({candidate for own in later.values() for candidate in own})
            what = f"rung {place + 1} of {len(rungs)}, {count(number, 'candidate')}"
            least = 0 if place else len(self._of_default(now))
            stopped = self._stage(self._runs_of(later, now), what, least)
            if stopped and place and not self._far_enough(later, now):
                break
            rung, entering = now, later
            sizes.append(number)
            if stopped:
                break
        chosen = self._chosen(rung, entering, stopped)
        default = Chosen(self.space.default, rung, self.space.last(rung), float("nan"))
        selected = {
            (kind, name): (one, self.kept(name, one))
            for kind, own in (("choice", chosen), ("default", dict.fromkeys(self.space.outers(), default)))
            for outer, one in own.items()
            for name in outer
        }
        self.must([run for _, runs in selected.values() for run in runs], "plain ERM and the choices")
        again = {place: [self.refit(run, one.number) for run in runs] for place, (one, runs) in selected.items()}
        self.must([run for runs in again.values() for run in runs], "their refits", KEEPING)
        keys = {place: [run.key() for run in runs] for place, runs in again.items()}
        return Found(
            self.space,
            chosen,
            {name: keys["choice", name] for name in self.space.domains},
            {name: keys["default", name] for name in self.space.domains},
            self.records,
            stopped,
            sizes,
        )

    def _chosen(self, rung: int, entering: Mapping[Outer, Sequence[Candidate]], stopped: str) -> dict[Outer, Chosen]:
        """The best candidate for each outer set whose runs without it end well; nothing of the outer set decides that.

        Raises:
            NothingChosenError: if there is none.
        """
        ranked = {outer: best(self.space, self.records, own, outer, rung) for outer, own in entering.items()}
        while all(ranked.values()):
            chosen = {outer: own[0] for outer, own in ranked.items()}
            runs = {outer: self.kept(name, one) for outer, one in chosen.items() for name in outer}
            self.also([run for own in runs.values() for run in own], "the choices, each without its domain")
            lost = [outer for outer, own in runs.items() if any(run.key() not in self.records for run in own)]
            if not lost:
                return chosen
            for outer in lost:
                del ranked[outer][0]
        raise NothingChosenError(self._why(stopped))

    def _of_default(self, rung: int) -> set[str]:
        """The runs of plain ERM in a rung: with them something can be chosen."""
        default = self.space.default
        return {run.key() for outer in self.space.outers() for run in self.space.runs(default, outer, rung)}

    def _far_enough(self, entering: Mapping[Outer, Sequence[Candidate]], rung: int) -> bool:
        """Whether half of the candidates, and two at least, have all their runs for every outer set."""
        return all(
            len(best(self.space, self.records, own, outer, rung)) >= max(2, len(own) / 2)
            for outer, own in entering.items()
        )

    def _why(self, stopped: str) -> str:
        failed = sorted({str(error) for error in self._errors()})
        why = f"; of the runs that failed the first says: {failed[0]}" if failed else ""
        return f"nothing can be chosen: {stopped or 'no candidate has all the runs that it needs'}{why}"

    def _errors(self) -> Iterator[str]:
        for record in self.store.records():
            if record["status"] == "failed":
                yield str(record["attempts"][-1]["error"])

    def _runs_of(self, entering: Mapping[Outer, Sequence[Candidate]], rung: int) -> list[RunConfig]:
        """The default's first, then those at the first learning rate and so on, so that something can be chosen early;
        among them set by set, whose split workers keep."""
        asked: dict[tuple[int, tuple[str, ...]], dict[str, RunConfig]] = {}
        for outer, candidates in entering.items():
            for candidate in candidates:
                for run in self.space.runs(candidate, outer, rung):
                    order = 0 if candidate == self.space.default else 1 + candidate.point
                    place = order, run.held_out
                    asked.setdefault(place, {})[run.key()] = run
        return [run for place in sorted(asked, key=lambda one: one[0]) for run in asked[place].values()]

    def kept(self, name: str, one: Chosen) -> list[RunConfig]:
        """The runs that hold out one domain, by the configuration that was chosen without it."""
        return [
            self.space.run(one.candidate, frozenset([name]), seed, one.rung) for seed in range(self.space.size.seeds)
        ]

    def refit(self, run: RunConfig, number: int) -> RunConfig:
        """The run that trains another one again, up to a checkpoint."""
        record = self.records[run.key()]
        curves = record["curves"]
        step, validation = curves["step"][number], curves["validation"][number]
        return refit_of(Selected(run.point, step, validation, curves["held_out"][number], number, record))

    def must(self, runs: Sequence[RunConfig], what: str, kind: RunKind | None = None) -> None:
        """A stage that has to end well.

        Raises:
            RuntimeError: if a run of it failed.
        """
        self.deadline = float("inf")
        self._do(runs, what, kind)
        lost = [run for run in runs if run.key() not in self.records]
        if lost:
            why = next((error for error in self._errors()), "its loss was no number")
            raise RuntimeError(
                f"{count(len(lost), 'run')} of {what} did not finish ({why}); see the command status, and give the "
                "same command again"
            )

    def also(self, runs: Sequence[RunConfig], what: str) -> None:
        """Does further runs, some of which may fail."""
        self.deadline = float("inf")
        self._do(runs, what)

    def _stage(self, runs: Sequence[RunConfig], what: str, least: int) -> str:
        """Does a rung; why it was stopped, or nothing. Time does not stop it before its first `least` runs have ended,
        for there would be nothing to show for it."""
        try:
            self._do(runs, what, least=least)
        except _TimeOverError:
            self._look(runs)
            return "the time was over"
        except KeyboardInterrupt:
            self._look(runs)
            text = "Stopped; what is best so far is trained and written now. Ctrl-C again ends at once."
            self.console.print(text, soft_wrap=True)
            return "it was stopped by hand"
        return ""

    def _do(self, runs: Sequence[RunConfig], what: str, kind: RunKind | None = None, least: int = 0) -> None:
        distinct = list({run.key(): run for run in runs}.values())
        stage = SelectedRuns(
            datasets=(self.space.dataset,),
            selected=tuple(distinct),
            launcher=self.launcher,
            plugins=self.plugins,
        )
        known = self.store.known(stage)["finished"] if self.records else 0
        done = f", {known} of them there already" if known else ""
        self.console.print(f"{what}: {count(len(distinct), 'run')}{done}", soft_wrap=True, highlight=False)
        coordinator = Coordinator(stage, self.store, self.folder, kind=kind)
        with live(self.console, self.store, coordinator.sweep_id) as watch, warnings.catch_warnings():
            # With three domains, the runs that leave two of them out make roll-outs over one.
            warnings.filterwarnings("ignore", message="a roll-out of .* saw one domain alone", category=UserWarning)
            coordinator.watch = self._timed(watch, least)
            try:
                coordinator.work()
            finally:
                keep_backup(self.store, self.folder)
        self._take(coordinator.sweep_id)
        counts = self.store.counts(coordinator.sweep_id)
        lost = {word: counts[word] for word in ("failed", "diverged") if counts[word]}
        if lost:
            text = " and ".join(f"{number} {word}" for word, number in lost.items())
            self.console.print(f"{text}: what they were to show for drops out (command status)", soft_wrap=True)

    def _timed(self, watch: Callable[[Snapshot], None], least: int) -> Callable[[Snapshot], None]:
        def look(now: Snapshot) -> None:
            watch(now)
            if time.monotonic() > self.deadline and least <= now.done < now.total:
                raise _TimeOverError

        return look

    def _look(self, runs: Sequence[RunConfig]) -> None:
        """Takes what a stage that was stopped has finished."""
        stage = SelectedRuns(
            datasets=(self.space.dataset,),
            selected=tuple({run.key(): run for run in runs}.values()),
            launcher=self.launcher,
            plugins=self.plugins,
        )
        with contextlib.suppress(KeyboardInterrupt):
            self._take(self.store.enter(stage))

    def _take(self, number: int) -> None:
        for record in self.store.each_record(number):
            if record["status"] == "finished":
                self.records[record["key"]] = record


def write_rungs(store: Store, folder: Path) -> None:
    """Writes the records of each rung and model to a file in ``rungs``: a report compares like with like."""
    files: dict[str, list[str]] = {}
    for record in store.each_record():
        model, rung = divmod(record["config"]["point"] // MOST_POINTS, MOST_RUNGS)
        name = f"rung-{rung + 1}" + (f"-model-{model + 1}" if model else "")
        files.setdefault(name, []).append(json.dumps(record, ensure_ascii=False))
    for name, lines in files.items():
        with whole(folder / RUNGS / f"{name}.jsonl") as partial:
            partial.write_text("\n".join(lines) + "\n", encoding="utf-8")


def launcher_of(workers: int, device: str) -> LauncherConfig:
    """Workers of this machine."""
    if workers == 1 and device == "cpu":
        return InProcess()
    return Local(workers=workers, gpus=None if device == "cuda" else 0)
