"""What the results were made with: the code, the libraries and the machine."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

from benchmarks.datasets.lookup import identity
from benchmarks.runs import plugins

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn")
SOURCES = (
    "pgrad/*.py",
    *(f"pgrad/{room}/*.py" for room in ("_engine", "averaging", "data")),
    *(f"benchmarks/{room}/*.py" for room in ("algorithms", "datasets", "models", "physics", "runs")),
    "benchmarks/datasets/decisions/*.py",
    "benchmarks/datasets/*.txt",
    *(f"benchmarks/base/{name}.py" for name in ("judges", "losses", "metrics", "search", "seeds", "values")),
)
"""The files that can change the result of a run; a change anywhere else makes no run out of date."""

OF_SCHEME = {"wilds": ("pgrad/integrations/wilds/*.py", "benchmarks/studies/wilds/*.py")}
"""More of them, for data sets whose names begin with such a word and a colon."""


def code_fingerprint(*others: Path) -> str:
    """A hash of the sources that can change the result of a run, and of `others`.

    Finished runs are taken over only from the same code. The commit is not enough: it does not see changes that are
    not committed, and it changes with every page of documentation.
    """
    digest = hashlib.sha256()
    for path in sorted(path for pattern in SOURCES for path in ROOT.glob(pattern)):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    for path in others:  # by content alone: a user's file may lie anywhere
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def fingerprint(dataset: str = "", algorithm: str = "", model: str = "") -> str:
    """`code_fingerprint` with the files of the plugins that registered these names, those of the
    data set's scheme, and the user's own data."""
    patterns = OF_SCHEME.get(dataset.partition(":")[0], ())
    others = sorted(path for pattern in patterns for path in ROOT.glob(pattern))
    code = code_fingerprint(*plugins.sources(dataset, algorithm, model), *others)
    own = identity(dataset)
    return hashlib.sha256(f"{code}\0{own}".encode()).hexdigest()[:16] if own else code


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None  # not a checkout, or no git here
    return done.stdout.strip()


def environment() -> dict[str, str | int | bool | None]:
    """The commit (None outside a checkout), whether files differ from it, the code, the libraries, the machine."""
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return {
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": None if changes is None else bool(changes),
        "code": code_fingerprint(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in LIBRARIES},
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu_count": os.cpu_count(),
    }
