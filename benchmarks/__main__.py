"""`python -m benchmarks`: the command line."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import cyclopts
import joblib
from cyclopts import Parameter
from rich.console import Console

from benchmarks.algorithms import ALGORITHMS, QUICK
from benchmarks.base.errors import all_different, unknown
from benchmarks.studies.quick import SETTINGS, compare, experiment

app = cyclopts.App(name="python -m benchmarks", help="Domain-generalization benchmarks of pgrad.", version_flags=[])


def _one_of(known: Collection[str]) -> Any:
    """A validator that points at the word that is not known, and at the nearest one that is."""

    def check(_: type, names: tuple[str, ...]) -> None:
        if not names:
            raise ValueError("name one at least")
        for name in names:
            if name not in known:
                raise ValueError(unknown(name, known))
        all_different(names)

    return Parameter(validator=check, consume_multiple=True, negative="")


_Positive = Parameter(validator=cyclopts.validators.Number(gte=1))


@app.command
def quick(
    *,
    output: Path = Path("runs/quick"),
    datasets: Annotated[tuple[str, ...], _one_of(SETTINGS)] = tuple(SETTINGS),
    algorithms: Annotated[tuple[str, ...], _one_of(ALGORITHMS)] = QUICK,
    seeds: Annotated[int, _Positive] = 4,
    points: Annotated[int, _Positive] = 2,
    rollouts: Annotated[int | None, _Positive] = None,
    workers: Annotated[int | None, _Positive] = None,
) -> int:
    """Compare algorithms on held-out domains of rotated and coloured handwritten digits, in about two minutes.

    Runs that the output folder holds already are not done again, if the code is the same.

    Parameters
    ----------
    output:
        Folder for records, tables and picture.
    datasets:
        Names of data sets.
    algorithms:
        Names of algorithms.
    seeds:
        Number of seeds: data split, initialisation and order of the batches.
    points:
        Points of random search for each algorithm, seed and held-out domain; the first one is the defaults.
    rollouts:
        Length of every run in roll-outs, instead of the data set's own.
    workers:
        Processes; by default one for each core.
    """
    plan = experiment(datasets, algorithms, seeds, points, rollouts)
    failed = compare(plan, output, workers or joblib.cpu_count(), Console())
    return 1 if failed else 0


_LAZY = {
    "plan": ("benchmarks.commands.sweep:plan_command", "Show the runs of a sweep and what they cost; nothing is done."),
    "sweep": ("benchmarks.commands.sweep:sweep_command", "Do the runs of a sweep that are not done yet."),
    "status": ("benchmarks.commands.sweep:status_command", "Show how far the sweeps of a store are."),
    "export": ("benchmarks.commands.transfer:export_command", "Write the records of a store to a file."),
    "import": ("benchmarks.commands.transfer:import_command", "Bring records into a store, DomainBed's too."),
    "data": ("benchmarks.commands.data:data_command", "Prepare data sets and show them; without names, list them."),
    "algorithms": ("benchmarks.commands.names:algorithms_command", "List the algorithms, or show all about some."),
    "datasets": ("benchmarks.commands.names:datasets_command", "List the data sets, or show all about some."),
    "models": ("benchmarks.commands.names:models_command", "List the models, or show all about some."),
    "report": ("benchmarks.commands.report:report", "Make a report of the records of sweeps."),
    "results": ("benchmarks.commands.results:results_command", "Write the tables of docs/results.md from the records."),
    "physics": ("benchmarks.commands.physics:app", "The tables of docs/physics.md."),
    "analyse": ("benchmarks.commands.analyse:analyse_command", "Directions of roll-outs against the Hessian's own."),
    "diagnose": (
        "benchmarks.commands.diagnose:diagnose_command",
        "Do components differ from the displacement?",
    ),
    "performance": ("benchmarks.commands.performance:app", "Time and memory of a roll-out against its inner steps."),
    "gpu": ("benchmarks.commands.gpu:app", "Check one CUDA card in a few minutes: tests, times, bandwidth, copies."),
    "wilds": ("benchmarks.commands.wilds:wilds", "Train on a WILDS data set and evaluate officially."),
}
for _name, (_path, _help) in _LAZY.items():  # each is imported when it is used
    app.command(_path, name=_name, help=_help)
app.register_install_completion_command()


if __name__ == "__main__":
    app()
