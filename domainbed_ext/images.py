"""Folders of pictures as DomainBed reads them: ``DATASET/domain/class/...``, looked at before anything is trained.

DomainBed numbers the classes of each domain by itself, in the order of their names: a class that one domain lacks, or a
folder that a program left there, gives all later classes of that domain other labels, without a word. It also takes
pictures that break off for whole ones, and cuts those of more than 8 bits off at 255.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageFile
from torchvision.datasets.folder import IMG_EXTENSIONS

from domainbed_ext.errors import Refusal

__all__ = ["Tree", "check_pictures", "look_at"]

_SYSTEM = ("#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found")
_SHOWN = 20  # files that a message names at most
_MANY = 5_000  # pictures from which on it is said that they are being read


@dataclass(frozen=True)
class Tree:
    """What DomainBed will find.

    Attributes:
        folder: of the data set.
        classes: domain -> class -> its pictures.
        ignored: endings of the files that are none of DomainBed's pictures, and how often they are there.
        beside: files that are in no class folder.
    """

    folder: Path
    classes: dict[str, dict[str, list[Path]]]
    ignored: Counter[str] = field(default_factory=Counter)
    beside: int = 0

    def pictures(self) -> list[Path]:
        """All of them, in a fixed order."""
        return [file for classes in self.classes.values() for files in classes.values() for file in files]


def look_at(folder: Path) -> Tree:
    """The tree below the folder of a data set, if all domains have the same classes.

    Raises:
        Refusal: if a folder is hidden or a program's, a class has no pictures, or one is not in all domains.
    """
    domains = _folders(folder)
    for domain in domains:
        _refuse_hidden(domain, "a domain")
    tree = Tree(folder, {})
    beside = 0
    for domain in domains:
        found = tree.classes[domain.name] = {}
        beside += sum(1 for path in domain.iterdir() if not path.is_dir())
        for kind in _folders(domain):
            _refuse_hidden(kind, f"a class of {domain.name}, and shift the labels of the classes after it")
            found[kind.name] = list(_pictures(kind, tree.ignored))
    _compare(tree)
    return Tree(folder, tree.classes, tree.ignored, beside)


def _folders(path: Path) -> list[Path]:
    return sorted(each for each in path.iterdir() if each.is_dir())


def _refuse_hidden(path: Path, what: str) -> None:
    """DomainBed takes every folder for `what`, those of programs too."""
    if path.name.startswith((".", "__", "@")) or path.name in _SYSTEM:
        raise Refusal(
            f"{path} is hidden or made by a program, and DomainBed would take it for {what}: take it away, "
            f"{_command('mv', path)} ELSEWHERE"
        )


def _pictures(kind: Path, ignored: Counter[str]) -> Iterator[Path]:
    """As torchvision's ImageFolder walks: all levels, links too, by ending."""
    for place, inner, names in os.walk(kind, followlinks=True):
        inner.sort()
        for name in sorted(names):
            if name.lower().endswith(IMG_EXTENSIONS):
                yield Path(place, name)
            else:
                ignored[Path(name).suffix.lower() or name] += 1


def _compare(tree: Tree) -> None:
    """Refuses domains that have other classes."""
    often = Counter(kind for kinds in tree.classes.values() for kind in kinds)
    everything = sorted(often, key=lambda kind: (-often[kind], kind))  # so that the usual name is the right one
    for kind in everything:
        for domain, kinds in tree.classes.items():
            place = tree.folder / domain / kind
            if kinds.get(kind):
                continue
            others = [other for other, found in tree.classes.items() if found.get(kind)]
            like = [other for other in kinds if other != kind and _folded(other) == _folded(kind)]
            if like and kinds[like[0]]:
                rename = _command("mv", place.with_name(like[0]), place)
                raise Refusal(
                    f"{tree.folder / domain} has the class {like[0]!r}, which is {kind!r} in {', '.join(others)}: a "
                    f"class needs one name, or it gets several labels: {rename}"
                )
            if not others:
                raise Refusal(
                    f"class folder {place} holds no picture ({', '.join(IMG_EXTENSIONS)}): {_command('rmdir', place)}, "
                    "or put pictures into it, in all domains"
                )
            state = "is empty" if kind in kinds else "is missing"
            raise Refusal(
                f"class {kind!r} {state} in domain {domain} but is in {', '.join(others)}: DomainBed numbers the "
                f"classes of each domain by itself, so that all later ones would get other labels; put its pictures "
                f"into {place}, or take the class out of every domain: "
                f"{_command('mv', *(tree.folder / other / kind for other in others))} ELSEWHERE"
            )


def _folded(name: str) -> str:
    return "".join(name.split()).replace("_", "").replace("-", "").casefold()


def _command(word: str, *paths: Path) -> str:
    return shlex.join([word, *map(str, paths)])


# ------------------------------------------------------------------------------------------------- what is in the files


def check_pictures(tree: Tree, dataset: str) -> None:
    """Read every picture of the tree once; says on stderr what DomainBed does with odd ones.

    A tree that was found right is remembered in the folder for caches (`_memory`) until a file of it changes.

    Raises:
        Refusal: for pictures that cannot be read, break off, or have more than 8 bits; names them.
    """
    files = tree.pictures()
    memory = _memory(files)
    if memory.is_file():
        notes = json.loads(memory.read_text())
    else:
        if len(files) >= _MANY:
            print(
                f"{dataset}: reading {len(files)} pictures once, to find damaged ones (--trust_images does not)",
                file=sys.stderr,
            )
        notes = _read(files, dataset)
        memory.parent.mkdir(parents=True, exist_ok=True)
        partial = memory.with_name(f"{memory.name}.{os.getpid()}")
        partial.write_text(json.dumps(notes))
        partial.replace(memory)
    for note in [*_about(tree), *notes]:
        print(f"{dataset}: {note}", file=sys.stderr)


def _about(tree: Tree) -> list[str]:
    notes = []
    if tree.ignored:
        endings = ", ".join(f"{count} of {ending}" for ending, count in sorted(tree.ignored.items()))
        notes.append(f"{sum(tree.ignored.values())} files are no pictures by their endings and are left out: {endings}")
    if tree.beside:
        notes.append(f"{tree.beside} files are in no class folder and are left out")
    return notes


def _memory(files: Sequence[Path]) -> Path:
    """Where it is remembered that these files, as they are now, were found right."""
    digest = hashlib.sha256()
    for file in files:
        state = file.stat() if file.exists() else file.lstat()  # a link to nowhere is found when it is read
        digest.update(f"{file.resolve()}\0{state.st_size}\0{state.st_mtime_ns}\n".encode(errors="surrogateescape"))
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return base / "pgrad" / "domainbed" / f"{digest.hexdigest()[:32]}.json"


def _read(files: Sequence[Path], dataset: str) -> list[str]:
    with _strict(), ThreadPoolExecutor() as pool:
        found = dict(zip(files, pool.map(_state, files), strict=True))
    wrong = {file: state for file, state in found.items() if state not in _NOTES}
    if wrong:
        named = "\n".join(f"  {file}: {state}" for file, state in list(wrong.items())[:_SHOWN])
        more = f"\n  and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise Refusal(
            f"{len(wrong)} of {len(files)} pictures of {dataset} cannot be used; mend them or take them away, "
            f"{_command('mv', *list(wrong)[:1])} ELSEWHERE:\n{named}{more}"
        )
    notes = []
    for state, meaning in _NOTES.items():
        odd = [file for file in files if found[file] == state]
        if state and odd:
            notes.append(f"{len(odd)} pictures {meaning}, {odd[0]} for one")
    return notes


_NOTES = {
    "": "",
    "transparent": "have transparent parts; DomainBed drops the transparency and shows the colours that are under it",
    "several": "have several pages or frames; DomainBed takes the first",
}


def _state(file: Path) -> str:
    """What is wrong with a picture: a key of `_NOTES` if DomainBed can use it."""
    try:
        with warnings.catch_warnings(), Image.open(file) as image:
            warnings.simplefilter("ignore")
            if image.mode.startswith("I") or image.mode == "F":
                return f"has numbers of more than 8 bits ({image.mode}), which DomainBed cuts off at 255: convert it"
            several = getattr(image, "n_frames", 1) > 1
            image.draft("RGB", (1, 1))  # of a JPEG all bytes are read, but few pixels are computed
            image.load()
            if _is_transparent(image):
                return "transparent"
            return "several" if several else ""
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        return f"cannot be read ({error})"


def _is_transparent(image: Image.Image) -> bool:
    if "A" not in image.getbands() and "transparency" not in image.info:
        return False
    lowest: int = image.convert("RGBA").getchannel("A").getextrema()[0]  # type: ignore[assignment]
    return lowest < 255


@contextlib.contextmanager
def _strict() -> Iterator[None]:
    """Inside, pictures that break off are errors; DomainBed lets them pass for the whole process."""
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before
