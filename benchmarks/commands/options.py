"""Options that the commands about sweeps share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import cyclopts
from cyclopts import Parameter

from benchmarks.sweeps.config import SweepConfig
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
    algorithms
        Names of algorithms.
    seeds
        Number of seeds: data split, initialisation and order of the batches.
    points
        Points of random search for each algorithm, seed and held-out set; the first one is the defaults.
    leave_out
        How many domains are held out at a time.
    selection
        Methods: training-domain, last, leave-one-domain-out (costs more runs), oracle.
    rollouts
        Length of the runs in roll-outs.
    plugin
        Modules or files of your own that register data sets, algorithms or models.
    launcher
        in-process, local, slurm or ray.
    workers
        How many of them.
    """

    datasets: Words = None
    algorithms: Words = None
    seeds: Positive = None
    points: Positive = None
    leave_out: Positive = None
    selection: Words = None
    rollouts: Positive = None
    plugin: Words = None
    launcher: str | None = None
    workers: Positive = None

    def content(self) -> dict[str, Any]:
        """In the shape of a sweep file."""
        names = ("datasets", "algorithms", "seeds", "points", "leave_out", "selection")
        content = {name: value for name in names if (value := getattr(self, name)) is not None}
        if self.rollouts is not None:
            content["settings"] = {"rollouts": self.rollouts}
        if self.plugin is not None:
            content["plugins"] = self.plugin
        engine = {"kind": self.launcher, "workers": self.workers}
        engine = {name: value for name, value in engine.items() if value is not None}
        return {**content, "launcher": engine} if engine else content


def sweep_from(file: Path | None, chosen: Chosen | None) -> SweepConfig:
    """The sweep of a file and of options.

    Raises:
        ConfigError: if they do not describe one.
    """
    words = chosen.content() if chosen is not None else {}
    if file is None:
        if "datasets" not in words:
            raise ConfigError("which data sets? Name a sweep file, or give --datasets")
        return validated(words, "arguments")
    content, lines = read(file)
    for name, value in words.items():
        lines = {place: line for place, line in lines.items() if place[0] != name}
        old = content.get(name)
        if (
            name in ("settings", "launcher")
            and isinstance(old, dict)
            and value.get("kind", old.get("kind")) == old.get("kind")
        ):
            content[name] = {**old, **value}
        elif name == "datasets" and isinstance(old, dict):
            content[name] = {each: old.get(each) or {} for each in value}
        else:
            content[name] = value
    if "rollouts" in words.get("settings", {}) and isinstance(content.get("datasets"), dict):
        for own in content["datasets"].values():
            (own or {}).pop("rollouts", None)  # the option is for all data sets
    plugins = content.get("plugins", ())
    plugins = (plugins,) if isinstance(plugins, str) else plugins
    if "plugins" not in words and isinstance(plugins, (list, tuple)):
        content["plugins"] = [_beside(file, name) for name in plugins]
    return validated(content, str(file), lines)


def _beside(file: Path, name: Any) -> Any:
    """A plugin that is named by a path lies relative to the sweep file."""
    if not isinstance(name, str) or not name.endswith(".py"):
        return name
    return str(file.resolve().parent / name)


def address(store: str | None, output: Path) -> str:
    """Of the store: by default a file in the output folder."""
    return store or str(output / "store.sqlite")
