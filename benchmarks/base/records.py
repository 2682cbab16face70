"""The record of a run: what the store returns and what tables, pictures and reports read. This page is the schema.

``Store.records()`` gives a list of plain dictionaries that survive a round trip through JSON, in the order of the
sweep; ``records.jsonl`` holds the same, one per line. A run that has ended gives exactly one record, however often it
was tried: ``status`` is ``"finished"``, ``"failed"`` or ``"diverged"``. Numbers are finite; what could not be measured
is None.

Fields that every record has:

``key``
    Name of the run: the hash of its ``config`` (16 hexadecimal digits).
``config``
    Everything that decides the result except the code: ``dataset``, ``algorithm``, ``held_out``, ``seed``, ``point``,
    ``hparams`` (name to number), ``model``, ``rollouts``, ``evaluate_every``, ``batch_size``, ``splits``, ``width``;
    where they are not at their defaults ``depth`` (None), ``weights`` (``"none"``, or their name; a file's ends in
    ``#`` and the beginning of its SHA-256), ``tuning`` (``"full"``), ``batch_norm`` (None), ``image_size`` (None),
    ``class_weights`` (``"none"``), ``metric`` (None: the data set's), ``measures`` (``[]``), ``folds`` (None),
    ``refit`` (None; of a run that trains a choice again, on training and validation parts: the roll-outs that it does)
    ``valley`` (``[]``; the validation losses that such a run tells its algorithm) and ``until`` (None; of a run of the
    search that was cut short, to see whether its point goes on: the roll-outs that it does. No rule chooses it).
    ``held_out`` is one string: the name of the held-out domain, or the names joined by ``+`` (see
    `held_out_domains`) if a run leaves out several. Runs on WILDS (``wilds:NAME``) have the fields of
    `benchmarks.studies.wilds.config.WildsConfig` instead; their held-out domain is the split ``test``, and
    their validation part the split ``val``.
``status``
    ``"finished"``, ``"failed"``, or ``"diverged"``: its loss or its outputs were no numbers, which is a result of that
    point, and no method of selection chooses it. Records of older versions call such a run ``"failed"``, with the
    ``failure`` ``"diverged"``: `has_diverged` knows both.
``timings``
    ``wall_seconds`` and ``cpu_seconds`` of the run itself, of all processes that it took where it goes on from a file,
    its part where one training did several runs; ``started`` and ``ended`` in seconds since 1970.
``evaluations``
    Gradient evaluations that the configuration pays for; None in imported records, and on WILDS, where the number of
    examples decides.
``peak_memory``
    ``resident_bytes``: the largest resident set of the worker process up to the end of the run (a long-lived worker
    never shrinks it); ``cuda_bytes``: the most that torch held on the GPU during the run, None without one.
``environment``
    ``commit``, ``uncommitted_changes``, ``code`` (fingerprint of the sources), library versions, machine.
``worker``
    ``name``, ``host``, ``pid``, ``launcher`` of the process that did it.
``attempts``
    Every try, oldest first: ``number``, ``status`` (``finished``, ``failed``, ``diverged``, ``lost``: its process died
    or fell silent, ``interrupted``: stopped by the user, or ended together with its coordinator or machine,
    ``superseded``: came second), ``failure``,
    ``error``, ``worker``, ``started``, ``ended``.

Fields of finished runs, and of the others as far as they came:

``curves``
    Lists of equal length, one entry for each checkpoint: ``step`` (gradient evaluations so far), ``loss`` (mean
    training loss since the checkpoint before), ``validation`` (mean over the training domains' validation parts),
    ``held_out`` (mean over the held-out domains).
``domain_curves``
    Domain name to the list of its scores at the same checkpoints: the validation part of a training domain, all of a
    held-out one.
``measures``
    Name of another figure of merit (``balanced accuracy``) to its ``domain_curves``; ``{}`` if there is none. None
    where it is not defined (an AUC of a part with one class).

Fields of finished runs only:

``selection``
    The checkpoint that training-domain validation chose: ``step``, ``validation``, ``held_out``.
``selections``
    The same for each method that needs one run only: ``training-domain``, ``last`` (the final checkpoint) and
    ``oracle`` (the best on the held-out domains themselves: it cheats, and has ``"oracle": true``; the others have
    false). Other rules need more than this: see `benchmarks.runs.rules`.
``diagnostics``
    Name to list of numbers, what the algorithm says about its training; ``{}`` where there is nothing. Names of the run
    itself: ``majority class: validation`` and ``majority class: held out`` (of a regression ``mean target: ...``), what
    the predictor reaches that says that of the training parts whatever it is shown, by the metric, and ``majority
    class: held out, NAME`` for each measure NAME (see `constant_key`); ``majority class: validation, best in
    hindsight``, the most that one answer for all examples can reach there; ``repetition``, how often a roll-out goes
    through the examples of each training domain (a pooled mini-batch: through all), where that is more than once for
    one of them; ``validation loss``, at every checkpoint the loss of the evaluated model, mean over the validation
    parts of the training domains, None where it is not finite (records of earlier versions do not have it);
    ``validation loss in training``, what an algorithm that asks for it while it trains (SWAD) was told.
``model_file``
    Path of the kept weights, relative to the output folder; None if none were kept (the default).

Fields of failed runs, and of those that diverged:

``failure``
    ``diverged``, ``out-of-memory``, ``import``, ``killed`` (the process died at every attempt) or ``error``.
``error``, ``traceback``
    One line that says what happened, and where (``traceback`` may be empty if the process was killed).

Which point of random search counts is not part of a record: `benchmarks.runs.selection.select` chooses among the
records of one algorithm, seed and held-out set.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from typing_extensions import NotRequired

SEPARATOR = "+"
"""Between the names of several held-out domains."""

Failure = Literal["diverged", "out-of-memory", "import", "killed", "error"]


class Timings(TypedDict):
    """Seconds; `started` and `ended` since 1970."""

    wall_seconds: float | None
    cpu_seconds: float | None
    started: float | None
    ended: float | None


class PeakMemory(TypedDict):
    """Bytes."""

    resident_bytes: int | None
    cuda_bytes: int | None


class Checkpoint(TypedDict):
    """What a selection method chose in one run."""

    step: float
    validation: float
    held_out: float
    oracle: NotRequired[bool]


class Record(TypedDict):
    """One run; the module's docstring explains the fields."""

    key: str
    config: dict[str, Any]
    status: Literal["finished", "failed", "diverged"]
    timings: Timings
    evaluations: int | None
    peak_memory: PeakMemory
    environment: dict[str, Any]
    worker: dict[str, Any] | None
    attempts: list[dict[str, Any]]
    curves: NotRequired[dict[str, list[float]]]
    domain_curves: NotRequired[dict[str, list[float]]]
    measures: NotRequired[dict[str, dict[str, list[float]]]]
    selection: NotRequired[Checkpoint]
    selections: NotRequired[dict[str, Checkpoint]]
    diagnostics: NotRequired[dict[str, list[float]]]
    model_file: NotRequired[str | None]
    failure: NotRequired[Failure]
    error: NotRequired[str]
    traceback: NotRequired[str]


MAJORITY, MEAN = "majority class", "mean target"
"""Predictors that look at no input: of classes, and of a quantity."""


VALIDATION_LOSS_CURVE, ASKED = "validation loss", "validation loss in training"
"""Among the diagnostics: of the evaluated model at every checkpoint, and of the model in training if it was asked."""

HINDSIGHT = "best in hindsight"
"""In the place of a measure: of the best answer that is the same for all examples."""


def constant_key(name: str, part: Literal["validation", "held out"], measure: str = "") -> str:
    """Of a figure of such a predictor among the diagnostics.

    Example:
        >>> constant_key(MAJORITY, "held out", "AUC")
        'majority class: held out, AUC'
    """
    return f"{name}: {part}" + (f", {measure}" if measure else "")


def has_diverged(record: Mapping[str, Any]) -> bool:
    """Whether the run came to no numbers, in a record of any version."""
    return record["status"] == "diverged" or (record["status"] == "failed" and record.get("failure") == "diverged")


def held_out_domains(held_out: str) -> tuple[str, ...]:
    """The names in the field ``held_out``.

    Example:
        >>> held_out_domains("15°+45°")
        ('15°', '45°')
    """
    return tuple(held_out.split(SEPARATOR))


def moment(seconds: float) -> str:
    """A time of the record to read, in UTC.

    Example:
        >>> moment(0.0)
        '1970-01-01 00:00:00'
    """
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
