"""The walk through ``domain/class/*``: what is taken, and every file and folder that is left, with the reason."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.datasets.pictures import endings, is_picture

Tree = Mapping[str, Mapping[str, Sequence[Path]]]
"""Domain -> class -> files."""

SPLITS = frozenset({"crossval", "dev", "full", "test", "testing", "train", "training", "val", "valid", "validation"})
WRAPPERS = frozenset({"data", "image", "images", "img", "imgs", "jpegimages", "photos", "pictures"})
"""Folders inside a domain that are no class."""
OF_SYSTEMS = frozenset(
    {"#recycle", "dicomdir", "#snapshot", "$recycle.bin", "@eadir", "@recycle", "desktop.ini", "lost+found", "lost.dir"}
    | {"system volume information", "thumbs.db"}
)

HIDDEN, NO_PICTURE, LOOSE = "hidden or of the system", "no picture", "beside the folders of classes"
NO_CLASSES, NO_PICTURES, OTHER_SPLIT = "no folders of classes", "no pictures inside", "a split beside full"
DEEPER = "deeper than domain/class"
LINKED = "a link to a folder, not followed"


@dataclass(frozen=True)
class Left:
    """A file or a folder that is not taken as a picture of ``domain/class``.

    Attributes:
        why: one of the words of this module.
        path: of it.
        pictures: how many pictures it holds.
    """

    why: str
    path: Path
    pictures: int = 0


@dataclass(frozen=True)
class Walk:
    """What stands in a tree.

    Attributes:
        root: of the folders of domains.
        tree: what is taken.
        left: what is not, and pictures that lie deeper, taken or not.
        wrappers: folders that were seen through.
        deeper: whether `tree` has the pictures that lie deeper.
    """

    root: Path
    tree: Tree
    left: tuple[Left, ...]
    wrappers: tuple[Path, ...]
    deeper: bool

    def below(self, domains: Collection[str]) -> Walk:
        """The same with what was left in some domains alone."""
        paths = {self.root / name for name in domains}
        return replace(self, left=tuple(each for each in self.left if paths & {each.path, *each.path.parents}))


def walk(root: Path, deeper: bool) -> Walk:
    """Goes through a tree, in the order of names.

    Args:
        root: or a folder with nothing but it inside.
        deeper: whether pictures in folders inside a class are taken as the class's.

    Raises:
        ValueError: if there is no such folder, or no picture where one should be.
    """
    if not root.is_dir():
        raise ValueError(f"there is no folder {root}{'; it is a file: unpack it' if root.is_file() else ''}")
    going = _Going(deeper)
    root = going.unwrapped(root)
    tree = {domain.name: going.classes(domain) for domain in going.folders(root)}
    for file in going.files(root):
        loose = file in going.pictures(root)
        going.leave(LOOSE if loose else NO_PICTURE, file, int(loose))
    found = {name: classes for name, classes in tree.items() if classes}
    if not found:
        one = f"; {shown(root, root.parent)} alone would be one domain, and two are needed" if going.wrappers else ""
        raise ValueError(f"{root} holds no pictures in domain/class/*.jpg{_instead(going.left, root)}{one}")
    return Walk(root, found, tuple(going.left), tuple(going.wrappers), deeper)


def _instead(left: Sequence[Left], root: Path) -> str:
    """What there is in the place of pictures."""
    deep = next((each.path for each in left if each.why == DEEPER), None)
    if deep is not None and deep.relative_to(root).parts[0].lower() in SPLITS:
        return (
            f"; {shown(deep, root)} looks like split/domain/class: name the folder of one split, or put domains above"
        )
    if deep is not None:
        return f"; pictures lie deeper, as {shown(deep, root)}: name the folder above the domains"
    loose = next((each for each in left if each.why == NO_CLASSES and each.pictures), None)
    if loose is not None:
        return f"; {shown(loose.path, root)} holds {loose.pictures} without folders of classes"
    pictures = sum(each.pictures for each in left if each.why == LOOSE)
    if pictures:
        return f"; it holds {pictures} itself: each belongs in the folder of its class, in the folder of its domain"
    if not any(root.iterdir()):
        return "; it is empty"
    return f"; endings of pictures are {', '.join(sorted(endings()))}"


def shown(path: Path, root: Path) -> str:
    """A path below the root, in signs that can be printed."""
    inner = path.relative_to(root) if path.is_relative_to(root) else path
    return str(inner).encode("utf-8", "backslashreplace").decode()


class _Going:
    """Folders and files, and what was left on the way."""

    def __init__(self, deeper: bool) -> None:
        self.deeper = deeper
        self.left: list[Left] = []
        self.wrappers: list[Path] = []
        self._seen: dict[Path, tuple[list[Path], list[Path]]] = {}
        self._pictures: dict[Path, list[Path]] = {}

    def leave(self, why: str, path: Path, pictures: int = 0) -> None:
        self.left.append(Left(why, path, pictures))

    def _inside(self, path: Path) -> tuple[list[Path], list[Path]]:
        if path not in self._seen:
            folders: list[Path] = []
            files: list[Path] = []
            for each in sorted(path.iterdir()):
                if each.name.startswith((".", "__")) or each.name.casefold() in OF_SYSTEMS:
                    self.leave(HIDDEN, each)
                else:
                    (folders if each.is_dir() else files).append(each)
            self._seen[path] = folders, files
        return self._seen[path]

    def folders(self, path: Path) -> list[Path]:
        return self._inside(path)[0]

    def files(self, path: Path) -> list[Path]:
        return self._inside(path)[1]

    def pictures(self, path: Path) -> list[Path]:
        if path not in self._pictures:
            self._pictures[path] = [file for file in self.files(path) if is_picture(file)]
        return self._pictures[path]

    def below(self, path: Path) -> Iterator[Path]:
        """All pictures of a folder and of those inside; links to folders are not followed, for they may lead back."""
        yield from self.pictures(path)
        for file in sorted({*self.files(path)} - {*self.pictures(path)}):
            self.leave(NO_PICTURE, file)
        for folder in self._real(path):
            yield from self.below(folder)

    def _real(self, path: Path) -> Iterator[Path]:
        """Folders in a folder; links to some are left."""
        for folder in self.folders(path):
            if folder.is_symlink():
                self.leave(LINKED, folder)
            else:
                yield folder

    def unwrapped(self, path: Path) -> Path:
        """The folder itself, or the one it is wrapped around: one with no pictures of its own, and the only one."""
        inner = self.folders(path)
        if len(inner) == 1 and not self.pictures(inner[0]) and self.folders(inner[0]):
            self.wrappers.append(inner[0])
            return self.unwrapped(inner[0])
        return path

    def classes(self, domain: Path) -> dict[str, list[Path]]:
        """The classes of a domain and their files."""
        above = self._wrapped(domain)
        splits = self._splits(above[-1])
        above += splits
        found: dict[str, list[Path]] = {}
        for folder in [inner for each in splits or above[-1:] for inner in self.folders(each)]:
            if files := self._of_class(folder):
                found.setdefault(folder.name, []).extend(files)
        loose = [file for each in above for file in self.pictures(each)]
        for file in sorted({file for each in above for file in self.files(each)} - {*loose}):
            self.leave(NO_PICTURE, file)
        if found:
            for file in loose:
                self.leave(LOOSE, file, 1)
        elif not any(each.why == DEEPER and domain in each.path.parents for each in self.left):
            self.leave(NO_CLASSES if loose else NO_PICTURES, domain, len(loose))
        return found

    def _wrapped(self, domain: Path) -> list[Path]:
        """The domain, and the folders in it that classes are wrapped in."""
        above = [domain]
        while len(inner := self.folders(above[-1])) == 1 and inner[0].name.casefold() in WRAPPERS:
            if self.pictures(inner[0]):
                break
            self.wrappers.append(inner[0])
            above.append(inner[0])
        return above

    def _splits(self, path: Path) -> list[Path]:
        """Folders of splits that are taken; none if the folders are no splits."""
        folders = self.folders(path)
        if not all(folder.name.lower() in SPLITS for folder in folders):
            return []
        full = [folder for folder in folders if folder.name.lower() == "full"]
        for folder in folders if full else ():
            if folder not in full:
                self.leave(OTHER_SPLIT, folder, sum(1 for _ in self.below(folder)))
        return full or folders

    def _of_class(self, folder: Path) -> list[Path]:
        own = self.pictures(folder)
        for file in sorted({*self.files(folder)} - {*own}):
            self.leave(NO_PICTURE, file)
        inner = [file for each in self._real(folder) for file in self.below(each)]
        for file in inner:
            self.leave(DEEPER, file, 1)
        if not own and not inner:
            self.leave(NO_PICTURES, folder)
        return [*own, *inner] if self.deeper else own
