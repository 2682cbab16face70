"""One look into every file of a tree, kept beside the prepared data: kinds, values of deep pictures, copies."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from benchmarks.datasets import cache
from benchmarks.datasets.cache import track
from benchmarks.datasets.folder_tree import Tree
from benchmarks.datasets.pictures import Look, PictureError, Span, look

FORMAT = 1


@dataclass(frozen=True)
class Kind:
    """Pictures of one kind in one domain.

    Attributes:
        domain, number: where, and how many.
        small: how many are smaller than what is made of them.
        outside: how many have values beyond the span that they are scaled from.
        first: one of them, below the root.
        look: of that one; with the least and the most of all.
    """

    domain: str
    number: int
    small: int
    outside: int
    first: str
    look: Look


@dataclass(frozen=True)
class Scan:
    """What the files of a tree hold. Paths are below the root.

    Attributes:
        kinds: in the order of domains.
        unreadable: path -> why.
        frames: path -> how many pictures it holds, where that is more than one.
        copies: files that are the same, byte by byte; each as (domain, class, path).
    """

    kinds: tuple[Kind, ...]
    unreadable: Mapping[str, str]
    frames: Mapping[str, int]
    copies: tuple[tuple[tuple[str, str, str], ...], ...]

    @property
    def deep(self) -> bool:
        """Whether some are more than 8 bits of grey."""
        return any(kind.look.deep for kind in self.kinds)


def files_of(tree: Tree) -> Iterator[tuple[str, str, Path]]:
    """Domain, class and path of every picture."""
    for domain, classes in tree.items():
        for label, files in classes.items():
            yield from ((domain, label, file) for file in files)


def scanned(tree: Tree, root: Path, size: int, identity: str) -> Scan:
    """The scan of a tree, made once.

    Raises:
        ValueError: if the folder for prepared data cannot be written, or a file needs a package that is not installed.
    """
    path = cache.folder() / f"folder-{identity}.scan{FORMAT}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            found = _kept(path)
            if found is None:
                found = scan(tree, root, size)
                if not found.unreadable:  # another package, or rights to read, can change that
                    partial = path.with_suffix(".partial")
                    partial.write_text(json.dumps(dataclasses.asdict(found)), encoding="utf-8")
                    partial.replace(path)
            return found
    except OSError as error:
        raise ValueError(
            f"the folder of prepared data, {path.parent}, cannot be written ({error}); name another by {cache.VARIABLE}"
        ) from error


def _kept(path: Path) -> Scan | None:
    """What is there; None if nothing is, or what is there is damaged, for then it is made again."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        kinds = [Kind(**{**kind, "look": _look(kind["look"])}) for kind in content["kinds"]]
        copies = tuple(tuple((one[0], one[1], one[2]) for one in same) for same in content["copies"])
        return Scan(tuple(kinds), content["unreadable"], content["frames"], copies)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _look(content: dict[str, Any]) -> Look:
    span = content["span"]
    return Look(**{**content, "span": None if span is None else (span[0], span[1])})


def scan(tree: Tree, root: Path, size: int) -> Scan:
    """Looks into all files.

    Raises:
        MissingError: if one of them needs a package that is not installed.
    """
    files = list(files_of(tree))
    found: dict[tuple[str, str, Span | None], list[tuple[str, Look]]] = defaultdict(list)
    unreadable: dict[str, str] = {}
    frames: dict[str, int] = {}
    for domain, _, file in track(files, "looking at pictures", len(files)):
        name = _name(file, root)
        try:
            looked = look(file)
        except PictureError as error:
            unreadable[name] = str(error)
            continue
        if looked.frames > 1:
            frames[name] = looked.frames
        # What declares a span of its own is one kind, whatever it is; a depth goes with the kind.
        found[domain, looked.kind, None if looked.declared else looked.span].append((name, looked))
    kinds = [
        Kind(
            domain=domain,
            number=len(looks),
            small=sum(each.size < size for _, each in looks),
            outside=sum(each.outside for _, each in looks),
            first=looks[0][0],
            look=dataclasses.replace(
                looks[0][1],
                least=min(each.least for _, each in looks),
                most=max(each.most for _, each in looks),
            ),
        )
        for (domain, _, _), looks in found.items()
    ]
    return Scan(tuple(kinds), unreadable, frames, _copies(files, root))


def _name(file: Path, root: Path) -> str:
    return str(file.relative_to(root)).encode("utf-8", "backslashreplace").decode()


def _copies(files: Sequence[tuple[str, str, Path]], root: Path) -> tuple[tuple[tuple[str, str, str], ...], ...]:
    """Only files of the same size are read."""
    there = [each for each in files if each[2].is_file()]
    sizes = {each[2]: each[2].stat().st_size for each in there}
    number = Counter(sizes.values())
    same: dict[tuple[int, bytes], list[tuple[str, str, str]]] = defaultdict(list)
    for domain, label, file in there:
        if number[sizes[file]] > 1 and sizes[file]:
            with file.open("rb") as opened:
                digest = hashlib.sha256()
                while block := opened.read(1 << 20):
                    digest.update(block)
            same[sizes[file], digest.digest()].append((domain, label, _name(file, root)))
    return tuple(tuple(each) for each in same.values() if len(each) > 1)
