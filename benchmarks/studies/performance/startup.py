"""What must answer at once: processor time of help, version, completion, status and refused options.

Each is a process of its own, as a user starts it; its processor time (user and system, children too) is what the
system says when it has ended, so that other programs disturb it little. The first start of each fills caches and does
not count. Compiled modules are kept in a folder of their own, as an installation has them.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.runs.environment import ROOT
from benchmarks.sweeps.config import SweepConfig
from benchmarks.sweeps.store import Store

HEAVY = ("torch", "pandas", "matplotlib", "scipy", "sqlalchemy", "numpy", "sklearn", "pydantic")

_CALL = """
import atexit, sys
path, words = sys.argv[1], sys.argv[2:]
atexit.register(lambda: open(path, "w").write("\\n".join(sys.modules)))
sys.argv = ["pgrad-bench", *words]
from benchmarks.__main__ import main
main()
"""


@dataclass(frozen=True)
class Startup:
    """One command: its words, the exit status, processor seconds of every start, and the modules it loaded."""

    words: str
    status: int
    seconds: tuple[float, ...]
    modules: frozenset[str]

    @property
    def heavy(self) -> list[str]:
        """Of the packages that take long to import, those that were loaded."""
        return [name for name in HEAVY if name in self.modules]


def commands(folder: Path) -> dict[str, list[str]]:
    """What is measured; the folder gets a store with a sweep of some hundred runs."""
    sweep = SweepConfig.model_validate({"datasets": ["rotated-digits", "coloured-digits"], "seeds": 4, "points": 4})
    with Store(folder / "store.sqlite") as store:
        store.enter(sweep)
    absent = folder / "absent.yaml"
    return {
        "--help": ["--help"],
        "sweep --help": ["sweep", "--help"],
        "--version": ["--version"],
        "--install-completion": ["--install-completion", "--shell", "bash"],
        "status": ["status", str(folder)],
        "no such option": ["sweep", "--seedz", "2"],
        "--seeds 1.5": ["plan", "--datasets", "coloured-digits", "--seeds", "1.5"],
        "no such file": ["sweep", str(absent)],
        "report of a sweep file": ["report", "sweep.yaml"],
        "no such algorithm": ["sweep", "sweep.yaml", "--algorithms", "pgard"],
        "no such key in a file": ["plan", "wrong.yaml"],
        "no such command": ["sweeep"],
        "no data sets": ["sweep"],
        "no such folder of pictures": ["plan", "--datasets", "folder:absent"],
        "no such rule": ["plan", "sweep.yaml", "--selection", "validaton"],
        "no such setting": ["plan", "sweep.yaml", "--set", "batch_sise=3"],
        "no such kind of search": ["plan", "sweep.yaml", "--search", "tpee"],
    }


def measure(rounds: int) -> list[Startup]:
    """Starts every command once and then so often."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        home = {**os.environ, "HOME": folder, "PYTHONPYCACHEPREFIX": str(place / "compiled"), "PYTHONPATH": str(ROOT)}
        home.pop("PYTHONDONTWRITEBYTECODE", None)
        (place / "sweep.yaml").write_text("datasets: coloured-digits\n", encoding="utf-8")
        (place / "wrong.yaml").write_text("datasets: coloured-digits\nseedz: 2\n", encoding="utf-8")
        return [start(name, words, rounds, place, home) for name, words in commands(place).items()]


def start(name: str, words: Sequence[str], rounds: int, place: Path, environment: Mapping[str, str]) -> Startup:
    """Starts a command in the folder once and then so often."""
    path = place / "modules.txt"
    command = [sys.executable, "-c", _CALL, str(path), *words]
    seconds = []
    for _ in range(rounds + 1):
        before = _children()
        done = subprocess.run(
            command, cwd=place, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        seconds.append(_children() - before)
    modules = frozenset(path.read_text(encoding="utf-8").split())
    return Startup(name, done.returncode, tuple(seconds[1:]), modules)


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def table(found: Sequence[Startup]) -> str:
    """In Markdown."""
    lines = [
        "| command | status | CPU seconds, median | largest | modules | heavy ones |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for one in found:
        figures = f"{statistics.median(one.seconds):.2f} | {max(one.seconds):.2f} | {len(one.modules)}"
        lines.append(f"| {one.words} | {one.status} | {figures} | {', '.join(one.heavy) or 'none'} |")
    return "\n".join(lines)
