"""The folder of the model: written beside its place and moved there whole."""

from __future__ import annotations

import contextlib
import math
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from benchmarks.datasets import DATASETS, MultiDomainData
from benchmarks.models.backbones import PREFIX
from benchmarks.runs.environment import LIBRARIES, environment
from benchmarks.runs.features import features_path, frozen_backbone
from benchmarks.runs.model_folder import Description, save
from benchmarks.runs.model_folder.predict import table_of
from benchmarks.runs.prepared import prepared_path
from benchmarks.studies.choose.card import card
from benchmarks.studies.choose.expectation import Interval, Left, Verdict
from benchmarks.studies.choose.final import LastTraining, Trained
from benchmarks.studies.choose.picture import draw
from benchmarks.studies.choose.script import Files, prediction_lines, train_script
from benchmarks.studies.choose.search import Found

CARD, PICTURE, HELD_OUT, SCRIPT = "model_card.md", "expectation.png", "held_out.parquet", "train.py"


@dataclass(frozen=True)
class Made:
    """All that goes into the folder.

    Attributes:
        found, verdict: Of the search.
        last, trained: The last training.
        data: That it was trained on.
        notes: What else the person has to know, sentence by sentence.
        minutes: That were asked for.
    """

    found: Found
    verdict: Verdict
    last: LastTraining
    trained: Trained
    data: MultiDomainData
    notes: tuple[str, ...]
    minutes: float


@contextlib.contextmanager
def whole_folder(place: Path) -> Iterator[Path]:
    """Gives a folder beside `place` that takes its place in the end; what could not be written to its end is removed.

    What a process left that was killed is removed too, and the folder that it had moved away comes back: one process
    at a time may write.

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp()) / "model"
        >>> with whole_folder(place) as partial:
        ...     _ = (partial / "a").write_text("1")
        ...     place.exists()
        False
        >>> sorted(path.name for path in place.parent.iterdir())
        ['model']
    """
    sign = uuid.uuid4().hex[:8]
    partial, old = (place.with_name(f"{place.name}.{sign}.{word}") for word in ("partial", "old"))
    for left in place.parent.glob(f"{place.name}.*.old"):
        if not place.exists():
            left.rename(place)
    for left in [*place.parent.glob(f"{place.name}.*.old"), *place.parent.glob(f"{place.name}.*.partial")]:
        shutil.rmtree(left)
    partial.mkdir(parents=True)
    try:
        yield partial
        if place.exists():
            place.rename(old)  # a folder cannot be put in the place of another in one step
        partial.rename(place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if not place.exists() and old.exists():
            old.rename(place)
        shutil.rmtree(old, ignore_errors=True)


def write(made: Made, output: Path, place: Path) -> Description:
    """Writes the folder `place` of the output; returns what ``model.json`` says."""
    about = described(made)
    with whole_folder(place) as partial:
        save(partial, about, made.trained.model, made.trained.seen.tensors())
        held_out(made).to_parquet(partial / HELD_OUT, index=False)
        draw(made.verdict, about, partial / PICTURE)
        files, script, lines = _files(made, output, place), "", ""
        with contextlib.suppress(ValueError):  # a network without lines has none on the card either
            lines = prediction_lines(about, files.n_features)
        try:
            entry = DATASETS[made.last.config.dataset]
            script = train_script(made.last, about, files, made.trained.weights, entry.loss)
            (partial / SCRIPT).write_text(script, encoding="utf-8")
        except ValueError as error:
            made = replace(made, notes=(*made.notes, f"There is no {SCRIPT}: {error}."))
        text = card(about, made.verdict, made.notes, lines, bool(script))
        (partial / CARD).write_text(text, encoding="utf-8")
    return about


def _files(made: Made, output: Path, place: Path) -> Files:
    """Where ``train.py`` finds its data: what sweeps keep in the output folder."""
    up = "../" * len(place.relative_to(output).parts)
    data = f"{up}{prepared_path(made.last.config.dataset, output).relative_to(output)}"
    backbone = frozen_backbone(made.last.config, made.data.input_shape)
    if not made.trained.about.network.model.startswith(PREFIX):
        return Files(data)
    head: Any = made.trained.model.network.get_submodule("head")
    linear = next(layer for layer in head.modules() if isinstance(layer, torch.nn.Linear))
    if backbone is None:
        return Files(data, n_features=linear.in_features)
    features = features_path(made.data, backbone, output).relative_to(output)
    return Files(data, f"{up}{features}", linear.in_features)


def held_out(made: Made) -> pd.DataFrame:
    """The predictions of every example by the model that was trained without its domain, seed by seed."""
    entry = DATASETS[made.last.config.dataset]
    names = entry.origin.examples() if entry.origin else {}
    what = "file" if entry.origin and entry.origin.reading["scheme"] == "folder" else "row"
    parts = []
    for place, one in enumerate(made.verdict.taken.domains.values()):
        own = names.get(one.name, ())
        domain = made.data.domains[place]
        for seed, (outputs, labels, tested) in enumerate(zip(one.outputs, one.labels, one.tested, strict=True)):
            numbers = tested.tolist()
            first: dict[str, Any] = {
                "domain": [one.name] * len(numbers),
                "number": numbers,
                "seed": [seed] * len(numbers),
            }
            if len(own) == len(domain):
                first[what] = [own[number] for number in numbers]
            if domain.groups is not None:
                first["group"] = domain.groups[tested].tolist()
            about = made.trained.about
            first["truth"] = (
                [about.classes[number] for number in labels.tolist()]
                if about.classes
                else (labels[:, 0].double() * about.scale).tolist()
            )
            parts.append(table_of(first, outputs, about))
    return pd.concat(parts, ignore_index=True)


def described(made: Made) -> Description:
    """The description with all that the search found."""
    config, found, space = made.last.config, made.found, made.found.space
    confidence = made.verdict.taken.confidence
    about = made.trained.about
    surroundings = environment()
    versions = {name: str(surroundings[name]) for name in ("python", *LIBRARIES, "commit", "code")}
    return about.model_copy(
        update={
            "versions": versions,
            "data": {
                "name": space.dataset,
                "digest": made.data.digest(),
                "domains": {domain.name: len(domain) for domain in made.data.domains},
                "source": DATASETS[space.dataset].source,
            },
            "choice": {
                "algorithm": config.algorithm,
                "hparams": dict(config.hparams),
                "model": config.model,
                "weights": config.weights,
                "tuning": config.tuning,
                "batch_norm": config.batch_norm,
                "rollouts": config.refit,
                "of": config.rollouts,
                "plain_erm": not made.verdict.better,
                "candidates": list(found.candidates),
                "points": space.size.points,
                "seeds": space.size.seeds,
                "minutes": made.minutes,
                "stopped": found.stopped,
                "metric": config.metric or getattr(DATASETS[space.dataset].metric, "__name__", "metric"),
            },
            "expectation": _expectation(made.verdict),
            "unlike": {"left_out": {one.name: one.unlike for one in made.verdict.taken.domains.values()}},
            "confidence": {}
            if confidence is None
            else {
                "limit": confidence.limit,
                "error": confidence.error,
                "plain_error": confidence.plain_error,
                "helps": confidence.helps,
            },
        }
    )


def _expectation(verdict: Verdict) -> dict[str, Any]:
    taken = verdict.taken
    figures: Mapping[str, Callable[[Left], float]] = {
        "value": lambda one: one.value,
        "calibration": lambda one: one.calibration,
        "constant": lambda one: one.constant,
        "promised": lambda one: one.promised,
    }
    domains: dict[str, Any] = {}
    for name, one in taken.domains.items():
        domains[name] = {key: _plain(figure(one)) for key, figure in figures.items()}
        domains[name] |= {"examples": one.examples, "interval": _ends(one.inside), "algorithm": one.algorithm}
        domains[name]["plain_erm"] = _plain(verdict.default.domains[name].value)
        domains[name]["choice"] = _plain(verdict.choice.domains[name].value)
    return {
        "mean": _plain(taken.mean),
        "interval_of_mean": _ends(taken.of_mean),
        "interval_of_next": _ends(taken.of_next),
        "worst": {"domain": taken.worst.name, "value": _plain(taken.worst.value)},
        "over_plain_erm": {"mean": _plain(verdict.difference), "interval": _ends(verdict.of_difference)},
        "domains": domains,
    }


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value


def _ends(interval: Interval) -> list[float] | None:
    return [interval.low, interval.high] if interval.known else None
