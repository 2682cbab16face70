"""``gpu``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts

from benchmarks.commands.kinds import Positive, Words, at_least, number_at_least
from benchmarks.commands.places import output_folder
from benchmarks.commands.say import refusing
from benchmarks.studies.gpu.settings import Settings

app = cyclopts.App(name="gpu", version_flags=[])
_DEFAULTS = Settings("cuda")


@app.default
@refusing
def gpu_command(
    *,
    output: Path = Path("runs/gpu"),
    device: str = _DEFAULTS.device,
    problems: Words = _DEFAULTS.problems,
    steps: Annotated[int, at_least(3)] = _DEFAULTS.steps,
    batch: Positive = _DEFAULTS.batch,
    rounds: Positive = _DEFAULTS.rounds,
    tests: Words = _DEFAULTS.tests,
    seconds: Annotated[float, number_at_least(1)] = _DEFAULTS.seconds,
) -> int:
    """Check one card: tests, times, bandwidth, copies to host memory; the protocol is above.

    The status is 0 if every part is done and no test failed, 1 if not, and 2 if there is no such device. A target
    that is missed changes nothing in it.

    Parameters
    ----------
    output:
        Folder for gpu.json and what the parts said.
    device:
        Of torch. Anything but a CUDA device is a rehearsal.
    problems:
        Which networks.
    steps:
        T, the inner steps of a roll-out.
    batch:
        Samples in a micro-batch.
    rounds:
        How often each method has its turn.
    tests:
        Files or node ids of tests, instead of all files that have some for a CUDA device.
    seconds:
        For all parts together; what does not fit any more is not run, and the record says so.
    """
    output_folder(output)
    from benchmarks.commands import gpu

    return gpu.gpu(output, Settings(device, problems, steps, batch, rounds, tests, seconds))
