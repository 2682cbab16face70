"""How good is `choose`? The choice on domains of data sets where one more domain is known, and was not looked at.

A trial takes one domain of a data set for the unseen one and makes a choice from the others, with the minutes of a
person. Then it looks:

- *regret*: how far the model is behind the best in hindsight: of all candidates at their full length, at all
  checkpoints, the one that is best on one half of the unseen domain, refitted or not as that half says, measured on the
  other half, as the model is;
- the regret of *training-domain validation* on the same grid, without halving: it has more to choose from, and
  more time;
- the gain over ERM at its default, and over the recipe's fixed setting, neither of which needs a search;
- whether the promised interval holds what the model reached, and whether it is below plain ERM by more than that;
- how far the estimate without labels was off, and the plain guess that the domain is as easy as the others;
- whether the unseen domain counts as unlike all that was seen, and whether less was reached there.

Trained choices are refitted everywhere else. A trial is a line of ``study.jsonl``; the same command goes on after the
last line. A trial that was stopped goes on too, but for its search, which begins anew: it may not have more than its
minutes (`benchmarks.studies.choose.resumed`).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from torch import Tensor

from benchmarks.base.errors import ConfigError
from benchmarks.base.whole import whole
from benchmarks.base.wording import count
from benchmarks.datasets import DATASETS
from benchmarks.runs.config import RunConfig
from benchmarks.runs.model_folder.confidence import said
from benchmarks.runs.prepared import prepared
from benchmarks.studies.choose.candidates import Candidate, Outer, Space, space_of
from benchmarks.studies.choose.expectation import Verdict, verdict
from benchmarks.studies.choose.halves import halved, register
from benchmarks.studies.choose.halving import Chosen
from benchmarks.studies.choose.keeping import kept, kept_path
from benchmarks.studies.choose.recipe import RECIPE, Recipe
from benchmarks.studies.choose.resumed import earlier, keep
from benchmarks.studies.choose.search import KEEPING, Found, Search, launcher_of
from benchmarks.studies.choose.sizing import fitting, measured
from benchmarks.sweeps.settings import SweepSettings
from benchmarks.sweeps.store import Store

PLUGIN = "benchmarks.studies.choose.unseen"
LINES = "study.jsonl"
NOBODY: Outer = frozenset()


@dataclass(frozen=True)
class Trial:
    """What was found for one unseen domain; figures of the measure, on the second half where regret asks for it.

    Attributes:
        dataset, unseen, minutes, workers: Of the trial.
        size: Algorithms, points, roll-outs and seeds of the search that fitted.
        algorithm: That was taken.
        reached: By the model on the unseen domain.
        promised: The expectation: mean of the domains that were left out.
        low, high: Of the promised interval; NaN where nothing was promised.
        default, fixed, validation: Reached by plain ERM, the fixed setting, and training-domain validation.
        validation_said: What training-domain validation promised of its own choice.
        half: Reached on the second half by the model.
        validation_half: The same by training-domain validation.
        hindsight_half: The same by the best of the first half.
        estimate: Accuracy that was estimated without labels; NaN where it could not be.
        accuracy: What it is.
        guess: Mean accuracy of the left-out domains.
        helps: Whether the estimate would be shown: it was closer than the guess on the left-out domains.
        unlike: How unlike all that was seen the first half is; NaN where no model keeps that.
        most_unlike: The largest of the left-out domains.
        stopped: Why the search ended early; empty if it did not.
        models: That were asked for; empty for the data set's own.
    """

    dataset: str
    unseen: str
    minutes: float
    workers: int
    size: tuple[int, int, int, int]
    algorithm: str
    reached: float
    promised: float
    low: float
    high: float
    default: float
    fixed: float
    validation: float
    validation_said: float
    half: float
    validation_half: float
    hindsight_half: float
    estimate: float
    accuracy: float
    guess: float
    helps: bool
    unlike: float
    most_unlike: float
    stopped: str = ""
    models: tuple[str, ...] = ()


def unseen_of(dataset: str) -> list[str]:
    """Half of the domains: every second one, the first among them."""
    return list(DATASETS[dataset].domains[::2])


@dataclass
class Study:
    """Trials one after the other.

    Attributes:
        output: Folder; each trial has one of its own in it.
        minutes: Of each choice.
        workers: Of them.
        console: Is told how far it is.
        start: Seconds until workers have started.
        recipe: That is tried.
        models: See `benchmarks.studies.choose.candidates.space_of`.
    """

    output: Path
    minutes: float
    workers: int
    console: Console
    start: float = 10.0
    recipe: Recipe = RECIPE
    models: tuple[str, ...] = ()

    def run(self, datasets: Sequence[str]) -> list[Trial]:
        """All trials of some data sets that are not done; returns those that are, too.

        Raises:
            ConfigError: if the folder holds trials of other networks or with other workers.
        """
        done = trials(self.output)
        for one in done:
            if (one.models, one.workers) != (self.models, self.workers):
                raise ConfigError(
                    f"--output: {self.output} holds trials of {', '.join(one.models) or 'the usual networks'} with "
                    f"{count(one.workers, 'worker')}, another --model or --workers than now; name another folder"
                )
        known = {(one.dataset, one.unseen, one.minutes) for one in done}
        places = [(dataset, unseen) for dataset in datasets for unseen in unseen_of(dataset)]
        ahead = [place for place in places if (*place, self.minutes) not in known]
        self.console.print(
            f"{self.minutes:g} min: {count(len(ahead), 'trial')} to be done, {len(places) - len(ahead)} done already",
            highlight=False,
        )
        for dataset, unseen in ahead:
            self.console.print(f"{dataset}, unseen: {unseen}", style="bold", markup=False, highlight=False)
            trial = self.trial(dataset, unseen)
            self.output.mkdir(parents=True, exist_ok=True)
            with (self.output / LINES).open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(trial), ensure_ascii=False) + "\n")
            done.append(trial)
        return done

    def trial(self, dataset: str, unseen: str) -> Trial:
        """One choice, and what it is worth."""
        start = time.monotonic()
        register(dataset)
        name, halves = halved(dataset, unseen)
        folder = self.output / f"{dataset}-{DATASETS[dataset].domains.index(unseen)}-{self.minutes:g}"
        before = earlier(folder)
        space = space_of(name, self.models, SweepSettings(), self.recipe.sizes[0], self.recipe, halves)
        if before is None:
            speeds = measured(space, folder, launcher_of(self.workers, "cpu"), self.minutes)
            fits = fitting(space, speeds, self.minutes, self.workers, self.start)
            space, workers, after = fits.space, fits.workers, 1.3 * fits.need.after / fits.workers
            deadline = start + max(60 * self.minutes - after, 30 * self.minutes)
        else:
            space, workers, deadline = before.space(space), before.workers, math.inf
        with Store(str(folder / "store.sqlite")) as store:
            search = Search(space, store, folder, self.console, launcher_of(workers, "cpu"), deadline, (PLUGIN,))
            if before is None:
                found = search.run()
                keep(found, workers, folder)
            else:
                finished = (record for record in store.each_record() if record["status"] == "finished")
                search.records.update((record["key"], record) for record in finished)
                found = before.found(space, search.records)
            decided = verdict(found, prepared(name, folder), folder)
            return self._looked(dataset, unseen, folder, search, found, decided)

    def _looked(self, dataset: str, unseen: str, folder: Path, search: Search, found: Found, decided: Verdict) -> Trial:
        space = found.space
        last = len(space.recipe.rungs) - 1
        grid = [space.run(each, NOBODY, 0, last) for each in space.candidates()]
        search.also(grid, "all candidates at full length, for hindsight")
        chosen = found.chosen[NOBODY]
        default = Chosen(space.default, chosen.rung, space.last(chosen.rung), math.nan)
        ways = {
            "choice": chosen if decided.better else default,
            "default": default,
            "fixed": Chosen(Candidate(0, space.recipe.fixed, 0), last, space.last(last), math.nan),
            "validation": _best(space, search.records, last, lambda record: record["curves"]["validation"]),
            "hindsight": _best(space, search.records, last, lambda record: record["domain_curves"][space.unseen[0]]),
        }
        runs = {way: space.run(one.candidate, NOBODY, 0, one.rung) for way, one in ways.items()}
        search.must(list(runs.values()), "what was chosen, on all domains that were seen")
        again = {way: search.refit(run, ways[way].number) for way, run in runs.items()}
        search.must(list(again.values()), "their refits", KEEPING)
        halves = {way: _halves(space, search.records[run.key()], -1) for way, run in again.items()}
        as_it_was = _halves(space, search.records[runs["hindsight"].key()], ways["hindsight"].number)
        halves["hindsight"] = max(halves["hindsight"], as_it_was)  # by the first half
        whole = {way: float(np.mean(own)) for way, own in halves.items()}
        return Trial(
            dataset=dataset,
            unseen=unseen,
            minutes=self.minutes,
            workers=self.workers,
            size=(space.size.algorithms, space.size.points, space.size.rollouts, space.size.seeds),
            algorithm=ways["choice"].candidate.algorithm,
            reached=whole["choice"],
            promised=decided.taken.mean,
            low=decided.taken.of_next.low,
            high=decided.taken.of_next.high,
            default=whole["default"],
            fixed=whole["fixed"],
            validation=whole["validation"],
            validation_said=ways["validation"].figure,
            half=halves["choice"][1],
            validation_half=halves["validation"][1],
            hindsight_half=halves["hindsight"][1],
            **_without_labels(decided, folder, again["choice"]),
            stopped=found.stopped,
            models=self.models,
        )


def _best(space: Space, records: Mapping[str, Any], rung: int, curve: Any) -> Chosen:
    """The candidate and checkpoint with the highest value of a curve of the run that saw all but the unseen domain."""
    found = []
    for place, candidate in enumerate(space.candidates()):
        record = records.get(space.run(candidate, NOBODY, 0, rung).key())
        for number, value in enumerate(curve(record) if record is not None else ()):
            if value is not None:
                found.append((value, -place, -number, Chosen(candidate, rung, number, value)))
    return max(found, key=lambda one: one[:3])[3]


def _halves(space: Space, record: Mapping[str, Any], number: int) -> tuple[float, float]:
    first, second = (record["domain_curves"][name][number] for name in space.unseen)
    return (math.nan if first is None else first), (math.nan if second is None else second)


def _without_labels(decided: Verdict, folder: Path, refit: RunConfig) -> dict[str, Any]:
    """What can be told of the first half of the unseen domain without its labels, and its accuracy."""
    left = decided.taken.domains.values()
    found: dict[str, Any] = {
        **dict.fromkeys(("estimate", "accuracy", "guess", "unlike"), math.nan),
        "helps": False,
        "most_unlike": max(one.unlike for one in left),
    }
    if not kept_path(folder, refit.key()).is_file():
        return found
    file, confidence = kept(folder, refit.key()), decided.taken.confidence
    found["unlike"] = float(file["unlike"])
    if confidence is not None:
        found["estimate"] = said(file["outputs"], confidence.limit)
        found["helps"] = confidence.helps
        found["accuracy"] = _accuracy(file["outputs"], file["labels"])
        found["guess"] = float(
            np.mean([_accuracy(*pair) for one in left for pair in zip(one.outputs, one.labels, strict=True)])
        )
    return found


def _accuracy(outputs: Tensor, labels: Tensor) -> float:
    return float((outputs.argmax(dim=1) == labels).double().mean())


def trials(output: Path) -> list[Trial]:
    """Those that a folder holds."""
    path = output / LINES
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    lines = text[: text.rfind("\n") + 1]
    if lines != text:  # killed while it wrote: that trial looks again, which takes no training
        with whole(path) as partial:
            partial.write_text(lines, encoding="utf-8")
    found = [json.loads(line) for line in lines.splitlines()]
    return [Trial(**{**one, "size": tuple(one["size"]), "models": tuple(one["models"])}) for one in found]
