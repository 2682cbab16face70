"""Starts programs on this machine, and leaves nothing of them behind."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[3]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def run(command):
    """Exit code and output; nothing of it is left behind."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, env=ENVIRONMENT, **pipes) as process:
        try:
            output, _ = process.communicate()
        finally:
            process.terminate()  # if it still runs: torchrun then ends its ranks, which a kill would leave behind
            try:
                process.wait(40)
            finally:
                process.kill()
    return process.returncode, output


def torchrun(ranks, script, *arguments):
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    return run([sys.executable, *launch, str(script), *map(str, arguments)])
