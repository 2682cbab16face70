"""``decisions:PATH`` where logs of Pokémon Showdown are.

Every file that ends in .log, .txt, .json or .html, in the folder or below it, is one battle:

- .log and .txt: the log itself, lines that begin with a bar;
- .json: a replay, an object whose field ``log`` is that text;
- .html: a page that was saved after a battle, which holds it.

Both players of each battle become episodes; the domain is the generation that the log names, and the return 1 for the
winner. Nobody tells what the players' teams were: they are what the whole log shows. There is no teacher to ask in it
either: the teacher is the bot of ``pokemon-generations``. Battles that do not go to their end are counted, not used.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.datasets.base import DatasetEntry, MultiDomainData
from benchmarks.datasets.decisions.logged import OPTIONS, entry_of, window_of
from benchmarks.datasets.decisions.pokemon_battle import told
from benchmarks.datasets.decisions.pokemon_dex import GENERATIONS, Dex, kept_dexes
from benchmarks.datasets.decisions.pokemon_logs import read as read_log
from benchmarks.datasets.decisions.pokemon_scene import BrokenLogError
from benchmarks.datasets.decisions.steps import Episode, windows
from benchmarks.datasets.fetch import FetchError
from benchmarks.datasets.named import checked_domains, parse

ENDINGS = (".log", ".txt", ".json", ".html")
SHOWN = 30
"""Lines of a battle on a page."""


@dataclass(frozen=True)
class Battles:
    """What a folder holds.

    Attributes:
        data: All of it.
        files: How many battles there are.
        unfinished: How many of them do not go to their end.
        identity: SHA-256 of all files.
        pages: The beginning of a battle of each generation, to read.
    """

    data: MultiDomainData
    files: int
    unfinished: int
    identity: bytes
    pages: Mapping[str, str]

    @property
    def description(self) -> str:
        """In one sentence."""
        without = f" ({self.unfinished} without an end are left out)" if self.unfinished else ""
        return f"{self.files} logged battles{without}: moves and switches of both players; a domain is a generation"


def of_battles(path: Path) -> bool:
    """Whether a path leads to a folder with files that may be logs of battles."""
    return path.is_dir() and any(file.suffix.lower() in ENDINGS for file in path.rglob("*"))


def entry(rest: str) -> DatasetEntry:
    """The data set that stands after ``decisions:``; its numbers need no scaling.

    Raises:
        ValueError: As `read`.
    """
    path, options = parse("decisions", rest, OPTIONS)
    found = read(path, *window_of(options))
    identity = hashlib.sha256(found.identity + b"\0" + rest.partition("?")[2].encode()).hexdigest()[:16]
    line = entry_of(path, options, found.data, identity, found.description)
    return replace(line, shown=lambda: found.pages)


def read(folder: Path, length: int, discount: float, dexes: Mapping[int, Dex] | None = None) -> Battles:
    """All battles of a folder, in windows.

    Raises:
        ValueError: If a file holds no log of a battle that can be read, or battles are of one generation alone; names
            the file and the line. Or if the tables of the game are not kept yet, and cannot be had.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    if not paths:
        raise ValueError(f"{folder} is a folder without a log of a battle; its files must end in {', '.join(ENDINGS)}")
    try:
        known = kept_dexes() if dexes is None else dexes
    except FetchError as error:
        raise ValueError(f"{folder}: to read battles, tables of the game are needed, and {error}") from error
    domains = {number: domain for domain, number in GENERATIONS.items()}
    episodes, unfinished, hashed = list[Episode](), 0, hashlib.sha256()
    first: dict[bytes, str] = {}
    pages: dict[str, str] = {}
    for path in paths:
        content = path.read_bytes()
        name = path.relative_to(folder).as_posix()
        hashed.update(f"{name}\0{len(content)}\0".encode() + content)
        try:
            lines = lines_of(path.suffix.lower(), content)
            found = read_log(lines, known)
        except (BrokenLogError, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: {error}; mend the file, or take it out of the folder") from error
        before = first.setdefault(hashlib.sha256("\n".join(filter(None, lines)).encode()).digest(), name)
        if before != name:
            raise ValueError(
                f"{path} holds the same battle as {before}: it would be in training and validation; take one of them "
                "out of the folder"
            )
        unfinished += not found.finished
        for side, decided in found.decided.items():
            if found.finished and decided.moments:
                steps = decided.steps(found.winner == side)
                episodes.append(Episode(domains[found.generation], name, steps))
                pages.setdefault(domains[found.generation], "\n".join(told(lines).splitlines()[:SHOWN]))
    names = checked_domains([name for name in GENERATIONS if any(e.domain == name for e in episodes)], str(folder))
    data = windows(episodes, names, length, discount, "int16")
    return Battles(data, len(paths), unfinished, hashed.digest(), pages)


def lines_of(ending: str, content: bytes) -> Sequence[str]:
    """The log in a file.

    Raises:
        BrokenLogError: If there is none.

    Example:
        >>> lines_of(".json", b'{"log": "|turn|1\\\\n|win|x"}')
        ['|turn|1', '|win|x']
    """
    text = content.decode("utf-8")
    if ending == ".json":
        try:
            replay = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BrokenLogError(f"it is no JSON: {error}") from error
        found = replay.get("log") if isinstance(replay, dict) else None
        if not isinstance(found, str):
            raise BrokenLogError("it is no replay: an object whose field 'log' is a text")
        text = found
    elif ending == ".html":
        script = re.search(r'<script[^>]*class="battle-log-data"[^>]*>(.*?)</script>', text, flags=re.DOTALL)
        if script is None:
            raise BrokenLogError("it is no saved battle: it has no script of the class battle-log-data")
        text = script[1].replace("<\\/", "</")
    # What players say may hold other signs that part lines.
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    if not any(line.startswith("|turn|") for line in lines):
        raise BrokenLogError("it is no log of a battle: no line begins with |turn|")
    return lines
