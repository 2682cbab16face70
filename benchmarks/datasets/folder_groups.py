"""Groups of pictures that are never parted: patients, animals, films. By a pattern on file names, or by a file."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from benchmarks.base.wording import count, some
from benchmarks.datasets.folder_scan import files_of
from benchmarks.datasets.folder_tree import Tree, shown
from benchmarks.datasets.inventory import Finding

Groups = Mapping[Path, str]
"""Picture -> group."""

COLUMNS = ("file", "group")


def by_pattern(pattern: str, tree: Tree, root: Path) -> Groups:
    """The part of each file's name that a regular expression finds: what its brackets hold, else all that it finds.
    One with a ``/`` is looked for in ``domain/class/name``.

    Raises:
        ValueError: if it is no regular expression, or a name holds nothing of it.

    Example:
        >>> file = Path("a/cat/tom_017.png")
        >>> by_pattern("^[a-z]+", {"a": {"cat": [file]}}, Path())[file]
        'tom'
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"group must be a regular expression on names of files, got {pattern!r}: {error}") from error
    found, without = {}, []
    for _, _, file in files_of(tree):
        match = compiled.search(file.relative_to(root).as_posix() if "/" in pattern else file.name)
        if match is None:
            without.append(shown(file, root))
        else:
            found[file] = "+".join(part or "" for part in match.groups()) if match.groups() else match.group()
    if without:
        raise ValueError(f"group: {pattern!r} finds nothing in {count(len(without), 'name')} of files: {some(without)}")
    return found


def by_file(path: Path, tree: Tree, root: Path) -> Groups:
    """Groups from a CSV file with the columns ``file`` (below the folder of domains, or of the name) and ``group``.

    Raises:
        ValueError: if it cannot be read, has other columns, or does not give every picture one group.
    """
    rows = _rows(path)
    given: dict[str, set[str]] = defaultdict(set)
    for name, group in rows:
        given[name].add(group)
    found: dict[Path, str] = {}
    without: list[str] = []
    several: list[str] = []
    for _, _, file in files_of(tree):
        groups = given.get(file.relative_to(root).as_posix(), set())
        if len(groups) == 1:
            found[file] = next(iter(groups))
        else:
            (several if groups else without).append(shown(file, root))
    if without:
        raise ValueError(
            f"groups: {path} has no row for {count(len(without), 'picture')}: {some(without)}; the column file holds "
            f"paths below {root}"
        )
    if several:
        raise ValueError(f"groups: {path} gives several groups to {some(several)}")
    return found


def _rows(path: Path) -> list[tuple[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            names = reader.fieldnames or []
            if missing := [name for name in COLUMNS if name not in names]:
                raise ValueError(
                    f"groups: {path} must be CSV with the columns {', '.join(COLUMNS)}; it has "
                    f"{', '.join(names) or 'none'}"
                    f" and so no {' and no '.join(missing)}"
                )
            rows = [((row["file"] or "").strip(), (row["group"] or "").strip()) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"groups: {path} cannot be read as CSV in UTF-8 ({error})") from error
    if empty := sum(not file or not group for file, group in rows):
        raise ValueError(f"groups: {path} has {count(empty, 'row')} without a file or a group; fill or drop them")
    return [(file.replace("\\", "/").removeprefix("./"), group) for file, group in rows]


def findings(groups: Groups, tree: Tree) -> list[Finding]:
    """Groups that stand in several domains, and what that does; groups that join nothing."""
    places: dict[str, set[str]] = defaultdict(set)
    for domain, _, file in files_of(tree):
        places[groups[file]].add(domain)
    several = [name for name, domains in places.items() if len(domains) > 1]
    found = []
    if several:
        text = (
            f"{len(several)} of {len(places)} groups stand in several domains ({some(several)}). So that no group is "
            "trained on and tested, a held-out domain is tested on one fold of five of the groups, another for each "
            "seed, and training leaves that fold out in all domains. If the same name means another group in another "
            "domain, put the domain into it: a column of the file, or group=^([^/]+)/.*/(...)"
        )
        found.append(Finding("groups", text))
    if len(places) == len(groups):
        text = "every picture is a group of its own: nothing is kept together"
        found.append(Finding("groups", text))
    return found
