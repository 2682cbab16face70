"""``performance``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import cyclopts

from benchmarks.commands.kinds import Positive, Words
from benchmarks.commands.places import output_folder
from benchmarks.commands.say import refusing

app = cyclopts.App(name="performance", version_flags=[])


@app.default
@refusing
def performance_command(
    *,
    output: Path = Path("runs/performance"),
    problems: Words = (),
    methods: Words = (),
    full: bool = False,
    steps: Positive = 9,
    rounds: Positive = 7,
    clock: Literal["wall", "cpu"] = "wall",
    device: str | None = None,
    batch: Positive | None = None,
    fused: bool = False,
    variants: bool = True,
    memory: bool = True,
) -> int:
    """Time, memory and limits of a roll-out; the protocol is above.

    Parameters
    ----------
    output:
        Folder for results.json and overhead.png.
    problems:
        Which models; the quick ones by default.
    methods:
        What to compare, by default all; the inner optimizer alone is always among them.
    full:
        All models, also those that take an hour, tens of gigabytes or a GPU.
    steps:
        T, the inner steps of a roll-out.
    rounds:
        How often each method has its turn.
    clock:
        Time that passes, or processor time of one thread (for a machine that is not idle).
    device:
        Where it runs; by default cuda if there is one.
    batch:
        Samples in a micro-batch, instead of each problem's own.
    fused:
        Whether Adam is torch's fused one: the fastest base line.
    variants:
        Whether to measure PGrad with bfloat16 displacements too.
    memory:
        Whether to measure memory of models from a million parameters on, each method in a process of its own.
    """
    output_folder(output)
    from benchmarks.commands import performance

    performance.performance(
        output=output,
        problems=problems,
        methods=methods,
        full=full,
        steps=steps,
        rounds=rounds,
        clock=clock,
        device=device,
        batch=batch,
        fused=fused,
        variants=variants,
        memory=memory,
    )
    return 0


@app.command(name="startup")
@refusing
def startup_command(*, rounds: Positive = 5) -> int:
    """Processor time of what must answer at once: help, version, completion, status, refused options.

    Each command is a process of its own, once to fill the caches of the system and then so often; the table shows the
    median and the largest, and how many modules were loaded.

    Parameters
    ----------
    rounds:
        How often each command is measured.
    """
    from benchmarks.studies.performance import startup

    print(startup.table(startup.measure(rounds)))
    return 0


@app.command(name="trainings")
@refusing
def trainings_command(*, rounds: Positive = 5) -> int:
    """What one training for an algorithm and its averages saves: runs alone and together, in turns.

    Parameters
    ----------
    rounds:
        How often each is measured.
    """
    from benchmarks.studies.performance import trainings

    print(trainings.table(trainings.measure(rounds)))
    return 0
