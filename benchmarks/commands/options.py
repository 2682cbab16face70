"""Options that the commands about sweeps share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import cyclopts
import yaml
from cyclopts import Parameter

from benchmarks.base.errors import unknown
from benchmarks.datasets.lookup import SCHEMES
from benchmarks.datasets.named import with_allowed
from benchmarks.sweeps.config import SweepConfig, SweepSettings
from benchmarks.sweeps.files import ConfigError, read, validated

Words = Annotated[tuple[str, ...] | None, Parameter(consume_multiple=True, negative="")]
Positive = Annotated[int | None, Parameter(validator=cyclopts.validators.Number(gte=1))]


@Parameter(name="*")
@dataclass(frozen=True)
class Chosen:
    """What a command line says about a sweep; what it says goes before what the file says.

    Attributes
    ----------
    datasets
        Names of data sets.
    allow
        Words of findings about your own data, folder:PATH or table:PATH, to go on nevertheless.
    algorithms
        Names of algorithms.
    seeds
        Number of seeds: data split, initialisation and order of the batches.
    points
        Points of random search for each algorithm, seed and held-out set; the first one is the defaults.
    leave_out
        How many domains are held out at a time.
    selection
        Rules: validation, validation-loss, leave-one-domain-out and both (cost more runs), last, oracle; with -shared
        behind the name one choice for all seeds.
    search
        narrow or wide: the ranges of learning rates.
    share_points
        All seeds try the same points.
    widen
        How often the search is widened where its best point lies at the edge of a range, at most.
    refit
        Train again on training and validation parts what the rules chose.
    rollouts
        Length of the runs in roll-outs.
    evaluate_every
        Roll-outs between checkpoints.
    batch_size
        Examples per gradient evaluation.
    splits
        Gradient evaluations of a roll-out for every training domain.
    model
        Name of the network; see the command models.
    width
        Hidden units of the network.
    depth
        Hidden layers of the MLP, or of the head on a network of timm.
    weights
        Of a network of timm.
    tuning
        full, frozen or last-K.
    batch_norm
        train, frozen-statistics or frozen.
    image_size
        Pixels that pictures are scaled to for the network.
    lr_scale
        Every learning rate of the search is multiplied by it.
    regime
        What is trained, for a wide search: from-scratch, features, fine-tuning, sequence or regression.
    class_weights
        Of the loss: none, balanced, or numbers joined by commas.
    metric
        What chooses points and checkpoints: accuracy, balanced-accuracy, macro-f1 or auc; else the data set's own.
    measures
        What is measured beside it: the same names, and calibration-error.
    folds
        How groups are dealt to folds: balanced or hashed.
    set
        KEY=VALUE for anything else that a sweep file can say: a setting (batch_size=8), or a path of names joined by
        dots (fixed.pgrad.n_components=2, launcher.memory=4, outputs.weights=best).
    plugin
        Modules or files of your own that register data sets, algorithms or models.
    launcher
        in-process, local, slurm or ray.
    workers
        How many of them.
    """

    datasets: Words = None
    allow: Words = None
    algorithms: Words = None
    seeds: Positive = None
    points: Positive = None
    leave_out: Positive = None
    selection: Words = None
    search: str | None = None
    share_points: bool | None = None
    widen: Positive = None
    refit: bool | None = None
    rollouts: Positive = None
    evaluate_every: Positive = None
    batch_size: Positive = None
    splits: Positive = None
    model: str | None = None
    width: Positive = None
    depth: int | None = None
    weights: str | None = None
    tuning: str | None = None
    batch_norm: str | None = None
    image_size: Positive = None
    lr_scale: float | None = None
    regime: str | None = None
    class_weights: str | None = None
    metric: str | None = None
    measures: Words = None
    folds: str | None = None
    set: Words = None
    plugin: Words = None
    launcher: str | None = None
    workers: Positive = None

    def content(self) -> dict[str, Any]:
        """In the shape of a sweep file."""
        names = ["datasets", "algorithms", "seeds", "points", "leave_out", "selection"]
        names += ["search", "share_points", "widen", "refit"]
        content = {name: value for name in names if (value := getattr(self, name)) is not None}
        settings = {name: value for name in SweepSettings.model_fields if (value := getattr(self, name)) is not None}
        if settings:
            content["settings"] = settings
        if self.plugin is not None:
            content["plugins"] = self.plugin
        engine = {"kind": self.launcher, "workers": self.workers}
        engine = {name: value for name, value in engine.items() if value is not None}
        if engine:
            content["launcher"] = engine
        for word in self.set or ():
            path, value = assigned(word)
            _put(content, path, value, word)
        return content


def assigned(word: str) -> tuple[tuple[str, ...], Any]:
    """The place in a sweep file, and the value, that ``KEY=VALUE`` names. The value is YAML.

    Raises:
        ConfigError: if it has another form, or begins with a name that sweep files do not know.

    Example:
        >>> assigned("batch_size=8"), assigned("fixed.pgrad.n_components=2")
        ((('settings', 'batch_size'), 8), (('fixed', 'pgrad', 'n_components'), 2))
    """
    key, equals, text = word.partition("=")
    if not equals or not key or not text:
        raise ConfigError(f"--set {word}: must be KEY=VALUE, as in --set batch_size=8")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {word}: {text!r} is no YAML: {error}") from error
    first, *others = key.split(".")
    if first in SweepSettings.model_fields and not others:
        return ("settings", first), value
    if first not in SweepConfig.model_fields or first == "datasets":
        known = [*SweepSettings.model_fields, *(name for name in SweepConfig.model_fields if name != "datasets")]
        raise ConfigError(f"--set {word}: {unknown(first, known)}")
    return (first, *others), value


def _put(content: dict[str, Any], path: tuple[str, ...], value: Any, word: str) -> None:
    inner = content
    for name in path[:-1]:
        inner = inner.setdefault(name, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {word}: {name} is {inner!r} already, which has no parts")
    if path[-1] in inner:
        raise ConfigError(f"--set {word}: {'.'.join(path)} is given twice")
    inner[path[-1]] = value


def sweep_from(file: Path | None, chosen: Chosen | None) -> SweepConfig:
    """The sweep of a file and of options.

    Raises:
        ConfigError: if they do not describe one.
    """
    words = chosen.content() if chosen is not None else {}
    if file is None:
        if "datasets" not in words:
            raise ConfigError("which data sets? Name a sweep file, or give --datasets")
        return validated(_with_allowed(words, chosen), "arguments")
    content, lines = read(file)
    for name, value in words.items():
        lines = {place: line for place, line in lines.items() if place[0] != name}
        old = content.get(name)
        if name in ("settings", "launcher", "fixed", "outputs") and isinstance(old, dict) and isinstance(value, dict):
            content[name] = _merged(old, value) if value.get("kind", old.get("kind")) == old.get("kind") else value
        elif name == "datasets" and isinstance(old, dict):
            content[name] = {each: old.get(each) or {} for each in value}
        else:
            content[name] = value
    if isinstance(content.get("datasets"), dict):
        for own in content["datasets"].values():
            for name in words.get("settings", {}) if isinstance(own, dict) else ():
                own.pop(name, None)  # the option is for all data sets
    plugins = content.get("plugins", ())
    plugins = (plugins,) if isinstance(plugins, str) else plugins
    if "plugins" not in words and isinstance(plugins, (list, tuple)):
        content["plugins"] = [_beside(file, name) for name in plugins]
    return validated(_with_allowed(content, chosen), str(file), lines)


def _with_allowed(content: dict[str, Any], chosen: Chosen | None) -> dict[str, Any]:
    """What ``--allow`` allows stands in the name of the user's own data, and so in every record.

    Raises:
        ConfigError: if it is not clear which data are meant.
    """
    datasets = content.get("datasets")
    if chosen is None or not chosen.allow or not isinstance(datasets, (str, list, tuple, dict)):
        return content
    names = [datasets] if isinstance(datasets, str) else list(datasets)
    own = [name for name in names if isinstance(name, str) and name.partition(":")[0] in SCHEMES]
    if len(own) != 1:
        found = ", ".join(own) if own else "none"
        raise ConfigError(
            f"--allow is for one data set of yours, folder:PATH or table:PATH, and the sweep has {found}; where there "
            "are several, write ?allow=WORD,WORD behind their paths"
        )
    try:
        allowed = with_allowed(own[0], [each for word in chosen.allow for each in word.split(",")])
    except ValueError as error:
        raise ConfigError(f"--allow: {error}") from error
    if isinstance(datasets, dict):
        return {**content, "datasets": {allowed if name == own[0] else name: datasets[name] for name in names}}
    return {**content, "datasets": [allowed if name == own[0] else name for name in names]}


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    both = {**old, **new}
    for name, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(name), dict):
            both[name] = _merged(old[name], value)
    return both


def _beside(file: Path, name: Any) -> Any:
    """A plugin that is named by a path lies relative to the sweep file."""
    if not isinstance(name, str) or not name.endswith(".py"):
        return name
    return str(file.resolve().parent / name)


def address(store: str | None, output: Path) -> str:
    """Of the store: by default a file in the output folder."""
    return store or str(output / "store.sqlite")
