"""`make` sets an environment up once, again when an input changed or it broke off, and never on an old Python.

A stand-in for the interpreter makes "environments" whose pip and uv only write down what they are asked.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PYTHON = """#!/bin/sh
echo "$*" >>"$LOG"
case "$1 $2" in
    "-c "*) test "$STANDIN" != 3.9 && case "$2" in *print*) echo "$STANDIN";; esac ;;
    "--version "*) echo "Python $STANDIN.1" ;;
    "-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && cp "$UV" "$3/bin/uv" ;;
esac
"""
UV = """#!/bin/sh
echo "uv $*" >>"$LOG"
test ! -e "$BREAK"
"""


class Checkout:
    """A copy of what `make` reads, with the log of what the stand-ins were asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkout"
        self.folder.mkdir()
        for name in ("Makefile", "setup.cfg", "pyproject.toml", "constraints.txt"):
            shutil.copy2(ROOT / name, self.folder)
        self.log, self.broken, self.python, uv = (folder / name for name in ("log", "broken", "python", "uv"))
        for path, text in ((self.python, PYTHON), (uv, UV)):
            path.write_text(text)
            path.chmod(0o755)
        self.environment = {"LOG": str(self.log), "BREAK": str(self.broken), "UV": str(uv)}

    def make(self, *arguments: str, version: str = "3.11") -> tuple[int, str, list[str]]:
        """Exit status, what was printed, and what the stand-ins were asked beyond their version."""
        self.log.write_text("")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "VENV", "PYTHON"))}
        done = subprocess.run(
            ["make", f"PYTHON={self.python}", *arguments],
            cwd=self.folder,
            env={**kept, **self.environment, "STANDIN": version},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        asked = [line for line in self.log.read_text().splitlines() if not line.startswith(("-c", "--version"))]
        return done.returncode, done.stdout, asked

    def installs(self, *arguments: str, version: str = "3.11") -> list[str]:
        """What a call of make that succeeds made and installed: 'venv', and the extras."""
        status, printed, asked = self.make(*arguments, version=version)
        assert status == 0, printed
        made = ["venv" for line in asked if line.startswith("-m venv")]
        return made + [line.split()[-1] for line in asked if line.startswith("uv pip install")]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_bench_installs_once_and_runs_the_quick_benchmark(checkout: Checkout) -> None:
    status, printed, asked = checkout.make("bench")
    assert status == 0, printed
    assert [line.split(" -c ")[0] for line in asked] == [
        "-m venv .venv",
        "-m pip install --quiet --disable-pip-version-check",
        "uv pip install --quiet",
        "-m benchmarks quick",
    ]
    assert checkout.make("bench")[2] == ["-m benchmarks quick"]


def test_installs_again_into_the_same_environment_when_an_input_changed(checkout: Checkout) -> None:
    assert checkout.installs("bench") == ["venv", ".[bench]"]
    for name in ("setup.cfg", "pyproject.toml", "constraints.txt"):
        later = (checkout.folder / ".venv" / ".bench-3.11").stat().st_mtime + 10
        os.utime(checkout.folder / name, (later, later))
        os.utime(checkout.folder / ".venv" / ".bench-3.11", (later - 5, later - 5))
        assert checkout.installs("bench") == [".[bench]"], name
        now = later + 5
        os.utime(checkout.folder / ".venv" / ".bench-3.11", (now, now))
        assert checkout.installs("bench") == [], name


def test_starts_afresh_after_an_installation_that_broke_off(checkout: Checkout) -> None:
    checkout.broken.touch()
    status, _, asked = checkout.make("bench")
    assert status != 0
    assert "-m benchmarks quick" not in asked
    checkout.broken.unlink()
    assert checkout.installs("bench") == ["venv", ".[bench]"]


def test_tests_extend_the_environment_of_the_benchmark(checkout: Checkout) -> None:
    checkout.installs("bench")
    assert checkout.installs(".venv/.test-3.11") == [".[test]"]
    assert checkout.installs("bench") == []


def test_another_python_gets_another_environment(checkout: Checkout) -> None:
    checkout.installs("bench")
    assert checkout.installs("bench", version="3.13") == ["venv", ".[bench]"]


def test_says_which_python_is_too_old(checkout: Checkout) -> None:
    for target in ("bench", "test", "test-core", "gpu"):
        status, printed, asked = checkout.make(target, version="3.9")
        assert status != 0
        assert "pgrad needs Python 3.10 or newer" in printed
        assert "Python 3.9.1" in printed
        assert asked == []


def test_does_not_remove_an_environment_it_did_not_make(checkout: Checkout) -> None:
    kept = checkout.folder / ".venv" / "kept"
    kept.mkdir(parents=True)
    status, printed, _ = checkout.make("bench")
    assert status != 0
    assert "was not made by this Makefile" in printed
    assert kept.exists()


def test_gpu_installs_the_benchmark_and_what_its_tests_import(checkout: Checkout) -> None:
    status, printed, asked = checkout.make("gpu", "OUTPUT=somewhere", "ARGS=--rounds 3")
    assert status == 0, printed
    *_, install, run = asked
    assert install.endswith("accelerate hypothesis pytest pytest-timeout -e .[bench,timm]")
    assert run == "-m benchmarks gpu --device cuda --output somewhere --rounds 3"


def test_other_torch_gets_its_own_environment_without_the_pins_of_torch(checkout: Checkout) -> None:
    _, _, asked = checkout.make("test-core", "TORCH=2.11.0", version="3.12")
    (install,) = (line for line in asked if line.startswith("uv pip install"))
    assert "torch==2.11.0" in install
    pins = (checkout.folder / ".venv-torch2.11.0-3.12" / "constraints.txt").read_text()
    assert "numpy==" in pins
    assert "torch" not in pins


def test_docs_installs_its_own_extra_then_builds_and_looks(checkout: Checkout) -> None:
    status, printed, asked = checkout.make("docs")
    assert status == 0, printed
    *_, install, build, look = asked
    assert install.endswith("-e .[docs]")
    assert build.startswith("-m sphinx -W ")
    assert build.endswith(" docs build/site/html")
    assert look.strip() == "-m pytest tests/site"
    assert checkout.installs("docs") == []


def test_release_tags_when_it_is_told_to(checkout: Checkout) -> None:
    assert checkout.make("release")[2][-1].strip() == "tools/release.py"
    assert checkout.make("release", "TAG=yes")[2][-1].strip() == "tools/release.py --tag"
    assert checkout.make("release", "TAG=no")[2][-1].strip() == "tools/release.py"


def test_help_lists_the_targets(checkout: Checkout) -> None:
    status, printed, asked = checkout.make()
    assert status == 0
    assert asked == []
    for target in (
        "bench",
        "test",
        "quick-test",
        "lint",
        "types",
        "format",
        "perf",
        "gpu",
        "docs",
        "release",
        "clean",
        "help",
    ):
        assert f"make {target} " in printed
