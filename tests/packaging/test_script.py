"""`pgrad-bench` finds the checkout that is meant."""

import subprocess
import sys
from pathlib import Path

import pytest

from pgrad_bench import MARKS, checkout

ROOT = Path(__file__).parents[2]


def make(folder: Path) -> Path:
    for mark in MARKS:
        (folder / mark).parent.mkdir(parents=True, exist_ok=True)
        (folder / mark).touch()
    return folder


def test_the_checkout_around_the_current_folder_goes_first(tmp_path: Path) -> None:
    here, installed = make(tmp_path / "here"), make(tmp_path / "installed")
    (here / "docs" / "deep").mkdir(parents=True)
    assert checkout(here, installed) == here
    assert checkout(here / "docs" / "deep", installed) == here
    assert checkout(tmp_path, installed) == installed
    assert checkout(tmp_path, tmp_path / "site-packages") is None


@pytest.mark.slow
def test_it_runs_from_the_checkout_and_from_elsewhere(tmp_path: Path) -> None:
    for folder, words in ((ROOT / "docs", ["--version"]), (tmp_path, ["status", "nowhere"])):
        command = [sys.executable, str(ROOT / "pgrad_bench.py"), *words]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if words == ["--version"]:
            assert (done.returncode, done.stdout.split()[0]) == (0, "pgrad-bench")
        else:
            assert done.returncode == 2
            assert "there is no store in nowhere" in done.stderr
