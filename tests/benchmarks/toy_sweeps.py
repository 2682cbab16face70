"""What the tests of sweeps share."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from benchmarks.sweeps.files import validated

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
TOYS = str(HERE / "toys.py")


def toy_sweep(*algorithms, launcher="in-process", seeds=1, points=1, **more):
    """A sweep of small runs: three held-out domains for each algorithm, seed and point."""
    content = {
        "plugins": [TOYS],
        "datasets": ["toy"],
        "algorithms": algorithms or ("toy-sgd",),
        "seeds": seeds,
        "points": points,
        "settings": {"rollouts": 2, "evaluate_every": 1, "batch_size": 4, "splits": 1, "model": "line"},
        "launcher": launcher,
    }
    return validated({**content, **more})


def comparable(records):
    """What has to be the same whoever did a run, wherever and after whatever."""
    names = ("key", "config", "status", "curves", "domain_curves", "measures", "selections", "diagnostics", "failure")
    return [{name: record[name] for name in names if name in record} for record in records]


def command(*words, **options):
    """Starts ``python -m benchmarks`` in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks", *map(str, words)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def end(process):
    """Ends what a command may have left behind."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
