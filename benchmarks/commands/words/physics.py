"""``physics``."""

from __future__ import annotations

from typing import Annotated

import cyclopts

from benchmarks.base.errors import require_known
from benchmarks.commands.early import known
from benchmarks.commands.kinds import Positive, Words, at_least
from benchmarks.commands.say import refusing

app = cyclopts.App(name="physics", version_flags=[])


@app.command
@refusing
def settings() -> int:
    """The settings: where their bins lie, how many events they hold, how large the errors are."""
    from benchmarks.commands import physics

    return physics.settings()


@app.command
@refusing
def agreement() -> int:
    """The cross section beside that of gepard, which has to be installed."""
    from benchmarks.commands import physics

    return physics.agreement_command()


@app.command
@refusing
def baselines(
    *,
    datasets: Words = (),
    algorithms: Words = ("erm", "pgrad", "reptile"),
    seeds: Positive = 2,
    rollouts: Positive = 200,
) -> int:
    """RMS pulls on every setting held out in turn, at the defaults, with the spread over seeds.

    Parameters
    ----------
    datasets:
        By default both: bethe-heitler-plain and bethe-heitler-physics.
    algorithms:
        Names of algorithms.
    seeds:
        Number of seeds.
    rollouts:
        Length of the runs in roll-outs.
    """
    require_known("--algorithms", algorithms, known("algorithms"))
    from benchmarks.commands import physics

    return physics.baselines(datasets, algorithms, seeds, rollouts)


@app.command
@refusing
def uncertainty(
    *,
    datasets: Words = (),
    algorithm: str = "erm",
    held_out: Words = (),
    replicas: Annotated[int, at_least(2)] = 6,
    rollouts: Positive = 200,
) -> int:
    """Random targets: what of the error is the noise of the training data, and what is ignorance.

    Parameters
    ----------
    datasets:
        By default both: bethe-heitler-plain and bethe-heitler-physics.
    algorithm:
        Name of an algorithm.
    held_out:
        Settings to hold out in turn; by default all.
    replicas:
        Networks, each trained on targets drawn anew within their errors.
    rollouts:
        Length of the runs in roll-outs.
    """
    require_known("--algorithm", (algorithm,), known("algorithms"))
    from benchmarks.commands import physics

    return physics.uncertainty(datasets, algorithm, held_out, replicas, rollouts)
