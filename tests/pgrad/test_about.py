"""``python -m pgrad`` says what a report of a fault needs."""

import platform
import subprocess
import sys

import torch

import pgrad


def test_it_prints_versions_and_the_environment(tmp_path):
    done = subprocess.run([sys.executable, "-m", "pgrad"], cwd=tmp_path, capture_output=True, text=True, check=True)
    said = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert said["pgrad"].startswith(f"{pgrad.__version__} in ")
    assert said["torch"] == torch.__version__
    assert platform.python_version() in said["python"]
    assert said["system"] == platform.platform()
    assert done.stderr == ""
