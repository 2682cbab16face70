"""Pokémon Showdown's simulator, from two packages of npm, run by Node.js.

The packages (`PACKAGES`, all MIT) are fetched as archives and nothing of them is installed. Each `Simulator` unpacks
them into a folder of its own, which is gone when it is closed, and starts one process of Node.js there: our
``pokemon_simulator.js``, which answers a line of JSON with another.

A battle is of a generation, between two teams that the simulator draws. It is fixed by its seed and by the choices of
both sides, on every machine.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from benchmarks.datasets.decisions.packages import kept
from benchmarks.datasets.fetch import FetchError, Package

PACKAGES = (
    Package(
        "npm", "@pkmn/sim", "0.10.11",
        "sha512-v45jqIgFnEB3hc7e97QlWDnfkIef6mfZ0WjWHWw+f21cYyksGVLzxIEulR9xuOazeszA+ycDx6O6B3JOJAS5Xg==",
    ),
    Package(
        "npm", "@pkmn/randoms", "0.10.6",
        "sha512-cL0pIheHatpNoJt44YPWaKz8fxud6IFTNy1+5opKkmtsbdPkWbo1khnNOD99UHg6v89FFKcY8cGjWhm6r2kj2Q==",
    ),
    Package(
        "npm", "@pkmn/sets", "5.2.0",
        "sha512-WHAW6bZu0WCo/3b+LTW7BE0fBhYZnWH1lCXIu2an8/wTiZ/+s1eTcQYj7W/YQKxWT5dm/La03AZ6CeqdJip9CQ==",
    ),
    Package(
        "npm", "@pkmn/streams", "1.1.0",
        "sha512-Pp9k7gt4xd76DqTU+LQEUyzuaauM4bV1MlehVtX1NS7o9zMFtjw50MfaEQ62dIMZyzxNjsJGoLGBeY1iSYLsRA==",
    ),
    Package(
        "npm", "ts-chacha20", "1.2.0",
        "sha512-PTyPoWYHc2we8P2NTn5hpYG211popWbkjiw+k63xqjeMrx9pPtXSclz9F3fu0Tpr+vfR1xxcQFwsEkh1cXMLqw==",
    ),
)  # fmt: skip
"""What the simulator loads."""

OLDEST = 18
"""Of Node.js."""

SCRIPT = Path(__file__).with_suffix(".js")
ENDINGS = (".js", ".json", "LICENSE")
"""Of the files that are needed."""


@dataclass(frozen=True)
class Update:
    """What a battle says after its beginning, or after choices.

    Attributes:
        lines: Of the log that every spectator sees.
        asked: Who must choose now (``p1``, ``p2``), and the simulator's request: what only that side is told.
        ended: Whether it is over.
    """

    lines: tuple[str, ...]
    asked: Mapping[str, Mapping[str, Any]]
    ended: bool


class Battles(Protocol):
    """Where battles are fought."""

    def start(self, generation: int, seed: int) -> tuple[int, Update]:
        """A new battle: its number, and how it begins."""

    def choose(self, battle: int, choices: Mapping[str, str]) -> Update:
        """Goes on with the choices, by side, in the simulator's words, such as ``move 2`` or ``switch 3``."""

    def end(self, battle: int) -> None:
        """Forgets a battle."""


def node() -> str:
    """The program.

    Raises:
        FetchError: If there is none, or it is too old.
    """
    found = shutil.which("node")
    if found is None:
        raise FetchError(
            "battles are simulated by Node.js, and there is no program 'node' here; install Node.js "
            f"{OLDEST} or newer, or copy the prepared data set from a machine that has it (that is enough to train)"
        )
    said = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=60, check=False).stdout.strip()
    number = said.removeprefix("v").partition(".")[0]
    if not number.isdecimal() or int(number) < OLDEST:
        raise FetchError(
            f"battles need Node.js {OLDEST} or newer; {found} says it is {said or 'nothing'}: install a newer one"
        )
    return found


class Simulator:
    """One process; a context manager that ends it.

    Raises:
        FetchError: If Node.js or a package is missing.
    """

    def __init__(self) -> None:
        program = node()
        archives = [kept(package) for package in PACKAGES]
        self._folder = tempfile.TemporaryDirectory(prefix="pgrad-")
        root = Path(self._folder.name)
        try:
            for package, archive in zip(PACKAGES, archives, strict=True):
                _unpack(archive, root / "node_modules" / package.name, package)
            with (root / "errors").open("wb") as errors:
                self._process = subprocess.Popen(
                    [program, str(SCRIPT), str(root)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    encoding="utf-8",
                )
        except BaseException:
            self._folder.cleanup()
            raise
        self._battles = 0
        self._closed = weakref.finalize(self, _close, self._process, self._folder)

    def __enter__(self) -> Simulator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process; once is enough."""
        self._closed()

    def start(self, generation: int, seed: int) -> tuple[int, Update]:
        """See `Battles`."""
        self._battles += 1
        seeds = {what: f"{number:08x}{seed:024x}" for number, what in enumerate(("battle", "p1", "p2"))}
        said = self._ask(what="start", id=self._battles, generation=generation, seed=seeds)
        return self._battles, _update(said)

    def choose(self, battle: int, choices: Mapping[str, str]) -> Update:
        """See `Battles`."""
        return _update(self._ask(what="choose", id=battle, choices=dict(choices)))

    def end(self, battle: int) -> None:
        """See `Battles`."""
        self._ask(what="end", id=battle)

    def dex(self, generation: int) -> dict[str, Any]:
        """Moves, species and types of a generation, as the simulator has them."""
        return self._ask(what="dex", generation=generation)

    def _ask(self, **question: Any) -> dict[str, Any]:
        own = self._process
        if own.stdin is None or own.stdout is None:
            raise RuntimeError("the simulator was started without pipes")
        try:
            own.stdin.write(json.dumps(question) + "\n")
            own.stdin.flush()
            line = own.stdout.readline()
        except OSError:
            line = ""  # it is gone, and has said why
        if not line:
            errors = (Path(self._folder.name) / "errors").read_text(encoding="utf-8", errors="replace").strip()
            said = "\n".join(errors.splitlines()[-8:]) or "nothing"
            raise RuntimeError(f"the simulator ended in the middle (Node.js said: {said}); try again")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"the simulator could not do {question}: {answer['error']}")
        return answer


def _update(said: Mapping[str, Any]) -> Update:
    return Update(tuple(said["lines"]), said["asked"], said["ended"])


def _close(process: subprocess.Popen[str], folder: tempfile.TemporaryDirectory[str]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    folder.cleanup()


def _unpack(archive: Path, target: Path, package: Package) -> None:
    """The files that Node.js needs; nothing may lie elsewhere."""
    try:
        with tarfile.open(archive) as opened:
            for member in opened:
                path = PurePosixPath(*PurePosixPath(member.name).parts[1:])
                if not member.isfile() or not member.name.endswith(ENDINGS):
                    continue
                if path.is_absolute() or ".." in path.parts:
                    raise FetchError(f"{package}: the archive has a file outside of its folder, {member.name}")
                content = opened.extractfile(member)
                if content is not None:
                    place = target / path
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.write_bytes(content.read())
    except (tarfile.TarError, EOFError, OSError) as error:
        raise FetchError(f"{package} cannot be unpacked: {type(error).__name__}: {error}") from error


def started() -> Simulator:
    """The simulator of this process, for whoever plays.

    Raises:
        FetchError: If Node.js or a package is missing.
    """
    return _started(os.getpid())


@functools.cache
def _started(process: int) -> Simulator:  # noqa: ARG001  a forked process must not talk to another one's
    return Simulator()
