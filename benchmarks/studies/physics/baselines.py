"""The Bethe-Heitler data sets before any sweep: their settings, baselines, and noise against ignorance.

All figures are root mean square pulls, errors in units of the statistical error; the truth has 1.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.algorithms import ALGORITHMS, Setup
from benchmarks.base.records import MEAN, constant_key
from benchmarks.base.search import draw
from benchmarks.base.seeds import seed_from
from benchmarks.datasets import DATASETS, MultiDomainData
from benchmarks.datasets.bethe_heitler import EFFICIENCY_ERROR, SETTINGS, measure
from benchmarks.models import build
from benchmarks.runs.config import RunConfig, Settings
from benchmarks.runs.protocol import Split, batches, fitted, leave_out
from benchmarks.runs.runner import run
from benchmarks.runs.view import Outcome
from benchmarks.studies.physics.random_targets import Uncertainty, redraw, separate

Array = NDArray[np.float64]
Row = dict[str, str | int | float]

LENGTH = Settings(rollouts=200, evaluate_every=25, batch_size=32, splits=3, model="mlp", width=64)
"""Of the runs; a few seconds each."""


def settings() -> Iterator[Row]:
    """A row for each setting: where its bins lie, and what was measured there."""
    for name, setting in SETTINGS.items():
        found = measure(name)
        point, pull = found.point, (found.value - found.truth) / found.error
        events = 1 / (found.error**2 - EFFICIENCY_ERROR**2)
        yield {
            "setting": name,
            "E": setting.beam_energy,
            "x_B": _range(point.x_b),
            "Q^2": _range(point.q2),
            "-t": _range(-point.t),
            "y": _range(point.y),
            "bins": len(pull),
            "events in a bin": f"{events.min():.0f} .. {events.max():.0f}",
            "median error": f"{np.median(found.error):.1%}",
            "cross section [pb]": f"{1000 * np.exp(found.truth.min()):.2g} .. {1000 * np.exp(found.truth.max()):.2g}",
            "truth within 1 error": f"{np.mean(np.abs(pull) < 1):.1%}",
        }


def _range(values: Array) -> str:
    return f"{values.min():.2f} .. {values.max():.2f}"


def baselines(datasets: Sequence[str], algorithms: Sequence[str], seeds: int, length: Settings) -> Iterator[Row]:
    """A row for each data set and algorithm at its defaults: RMS pulls of the checkpoint that validation chooses.

    The last row of a data set is the mean target of the training parts, which looks at no input.

    Raises:
        RuntimeError: If a run fails.
    """
    for dataset in datasets:
        inputs = dataset.removeprefix("bethe-heitler-")
        seen, unseen = np.empty((2, seeds, len(SETTINGS)))
        constant = np.empty((2, seeds, len(SETTINGS)))
        for algorithm in algorithms:
            for (i, name), seed in itertools.product(enumerate(SETTINGS), range(seeds)):
                outcome = _outcome(dataset, algorithm, name, seed, length)
                seen[seed, i] = -outcome["selection"]["validation"]
                unseen[seed, i] = -outcome["selection"]["held_out"]
                told = outcome["diagnostics"]
                constant[:, seed, i] = [-told[constant_key(MEAN, part)][0] for part in ("validation", "held out")]
            yield _row(inputs, algorithm, seen, unseen)
        yield _row(inputs, MEAN, *constant)


def _outcome(dataset: str, algorithm: str, held_out: str, seed: int, length: Settings) -> Outcome:
    config = RunConfig(
        dataset=dataset, algorithm=algorithm, held_out=(held_out,), seed=seed, point=0,
        hparams=draw(ALGORITHMS[algorithm].space, 0, 0), **length.model_dump(),
    )  # fmt: skip
    outcome = run(config)
    if outcome["status"] != "finished":
        raise RuntimeError(f"{algorithm} on {dataset} without {held_out!r}, seed {seed}: {outcome['error']}")
    return outcome


def _row(inputs: str, name: str, seen: Array, unseen: Array) -> Row:
    """Of pulls ``[seeds, settings]``."""
    return {
        "inputs": inputs,
        "algorithm": name,
        "seen settings": _mean(seen.mean(axis=1)),
        "unseen setting": _mean(unseen.mean(axis=1)),
        **{setting: round(float(value), 1) for setting, value in zip(SETTINGS, unseen.mean(axis=0), strict=True)},
    }


def _mean(over_seeds: Array) -> str:
    """And half the range of two seeds, the standard error of more."""
    spread = over_seeds.std(ddof=1) / len(over_seeds) ** 0.5 if len(over_seeds) > 1 else float("nan")
    return f"{over_seeds.mean():.2f} ± {spread:.2f}"


def uncertainties(
    dataset: str, algorithm: str, held_out: str, replicas: int, length: Settings, seed: int = 0
) -> dict[str, tuple[Uncertainty, float]]:
    """Noise and ignorance on the ``seen`` settings (validation parts) and on the ``unseen`` one.

    Beside them stands the spread between as many fits to the targets as they were measured, each with an
    initialisation and an order of its own: the part of ignorance that shows where the truth is not known.
    """
    split = fitted(leave_out(_with_truth(dataset), [held_out], seed), DATASETS[dataset].fit)
    measured = split.labels[:, :2]
    generator = torch.Generator().manual_seed(seed_from("random targets", dataset, held_out, seed))
    redrawn = [_fit(split, redraw(measured, generator), dataset, algorithm, length, seed) for _ in range(replicas)]
    again = [_fit(split, measured, dataset, algorithm, length, seed + number) for number in range(replicas)]
    found = {}
    for part, domains in (("seen", split.validation), ("unseen", split.held_out)):
        labels = np.concatenate([domain.labels.double().numpy() for domain in domains])
        error, truth = labels[:, 1], labels[:, 2]
        spread = separate(np.stack([each[part] for each in again]), truth, error).noise
        found[part] = separate(np.stack([each[part] for each in redrawn]), truth, error), spread
    return found


def _with_truth(dataset: str) -> MultiDomainData:
    """The data set with a third column of labels, which no model sees."""
    data = DATASETS[dataset].factory()
    domains = []
    for domain in data.domains:
        truth = torch.tensor(measure(domain.name).truth, dtype=torch.float32)
        domains.append(replace(domain, labels=torch.column_stack([domain.labels, truth])))
    return replace(data, domains=tuple(domains))


def _fit(
    split: Split, labels: torch.Tensor, dataset: str, algorithm: str, length: Settings, seed: int
) -> dict[str, Array]:
    """Trains on `labels`; returns the final model's predictions for seen and unseen settings."""
    entry, n_domains = ALGORITHMS[algorithm], len(split.validation)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_from("initialisation", dataset, seed))
        model = build(length, tuple(split.inputs.shape[1:]), n_outputs=1)
    updates = length.rollouts * length.splits * n_domains // entry.evaluations(n_domains)
    setup = Setup(length.splits * n_domains, n_domains, updates, seed=seed, loss=DATASETS[dataset].loss)
    learner = entry.factory(model, draw(entry.space, 0, 0), setup)
    order = batches(entry.batches, split.domains, length.batch_size, length.splits, seed_from("order", dataset, seed))
    for index in itertools.islice(order, updates):
        if entry.batches == "single-domain":
            learner.begin(int(split.domains[index[0]]))
        learner.update(split.inputs[index], labels[index])
    with learner.evaluated() as final, torch.inference_mode():
        final.eval()
        return {
            part: np.concatenate([final(domain.inputs).squeeze(-1).double().numpy() for domain in domains])
            for part, domains in (("seen", split.validation), ("unseen", split.held_out))
        }


def noise_and_ignorance(
    datasets: Sequence[str], algorithm: str, held_out: Sequence[str], replicas: int, length: Settings
) -> Iterator[Row]:
    """A row for each data set and unseen setting, and one for the settings that were seen."""
    for dataset, name in itertools.product(datasets, held_out):
        for part, (found, spread) in uncertainties(dataset, algorithm, name, replicas, length).items():
            yield {
                "inputs": dataset.removeprefix("bethe-heitler-"),
                "unseen setting": name,
                "examples of": part,
                "noise": f"{found.noise:.2f}",
                "ignorance": f"{found.ignorance:.2f}",
                "deviation": f"{found.deviation:.2f}",
                "between seeds": f"{spread:.2f}",
            }
