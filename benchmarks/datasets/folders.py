"""Pictures in folders: any ``domain/class/*`` tree of pictures is a data set, by the name ``folder:PATH``.

That is the layout of PACS, OfficeHome, TerraIncognita (as DomainBed unpacks it) and DomainNet. Two more are seen
through: folders with nothing but one folder of folders inside (PACS' ``kfold``, Office-31's ``images``), and VLCS'
``domain/split/class`` (``full`` is taken where there is one, else all splits together: how examples are split is the
protocol's matter). All that is not taken stands in the inventory.

Options:

- ``size`` of the square pictures in pixels (64; the shorter side is scaled, the middle is cut out);
- ``limit`` of the pictures of each class and domain (evenly spaced in the order of their names; no limit);
- ``domains`` to take, joined by commas (all);
- ``range``: the values of deep greys that become black and white, ``300,4000``, or ``depth`` for all of their depth;
- ``background`` behind what is transparent: a word or ``#rrggbb`` (white);
- ``group``: a regular expression on the names of files; pictures whose names hold the same are never parted;
- ``groups``: a CSV file with the columns ``file`` and ``group``;
- ``allow``: words of findings, joined by commas, to go on nevertheless.

Pictures are read by the rules of `benchmarks.datasets.pictures`, and standardised by the training parts of the training
domains unless the model is a network that brings its own constants.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from benchmarks.base.metrics import accuracy
from benchmarks.base.wording import count, some
from benchmarks.datasets import folder_groups
from benchmarks.datasets.base import DatasetEntry, Domain, MultiDomainData, Origin
from benchmarks.datasets.cache import Built, DamagedError, Recipe, read, track
from benchmarks.datasets.folder_findings import of_decoding, of_files, of_tree, sections
from benchmarks.datasets.folder_groups import Groups
from benchmarks.datasets.folder_scan import Scan, scanned
from benchmarks.datasets.folder_tree import Tree, Walk, shown, walk
from benchmarks.datasets.inventory import Finding, Inventory, refuse
from benchmarks.datasets.named import checked_domains, listed, parse, path_of, positive
from benchmarks.datasets.pictures import DEPTH, PictureError, Rules, Span, decode
from benchmarks.datasets.pixel_scaling import standardise_channels

OPTIONS = ("size", "limit", "domains", "range", "background", "group", "groups", "allow")
SIZE = 64
PRETRAINED_FROM = 64
"""Pixels from which the pretrained network is the model, where it is installed."""


def entry(rest: str) -> DatasetEntry:
    """The data set that stands after ``folder:``.

    Raises:
        ValueError: if there is no such tree, an option is wrong, a picture needs a package that is not installed, or it
            holds what would make results wrong and is not allowed.
    """
    path, options = parse("folder", rest, OPTIONS)
    allowed = listed(options, "allow")
    rules = Rules(positive(options, "size", SIZE), _background(options), _range(options))
    try:
        walked, named = walk(path, deeper="deeper" in allowed), listed(options, "domains")
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error})") from error
    tree = _chosen(walked.tree, named, positive(options, "limit", 2**62), path)
    walked = walked.below(named) if named else walked
    findings = of_tree(walked, tree)
    scan = scanned(tree, walked.root, rules.size, _identity(tree, walked.root, str(rules.size)))
    _require_deep(rules, scan, path)
    findings += of_files(scan, rules, allowed)
    if "unreadable" in allowed:
        tree = _without(tree, walked.root, scan.unreadable)
    groups = _groups(options, tree, walked.root)
    if groups is not None:
        findings += folder_groups.findings(groups, tree)
    classes = _classes(tree, path)
    how = Reading(tree, classes, rules, groups, walked.root, scan.deep, "unreadable" in allowed)
    recipe = Recipe(f"folder-{_identity(tree, walked.root, how.settings())}", functools.partial(build, how), "2")
    known = Known(walked, how, scan, tuple(findings), recipe)
    inventory = known.inventory()
    # What ends early is found when pictures are decoded; whoever allows it beforehand is right.
    found = {finding.what for finding in inventory.findings}
    refuse(inventory, [word for word in allowed if word != "unreadable" or word in found], f"folder:{path}")
    return DatasetEntry(
        factory=recipe,
        description=f"pictures of {len(classes)} classes in the folders {', '.join(tree)}, {rules.size} pixels",
        metric=accuracy,
        domains=tuple(tree),
        model="cnn",
        licence="see where you have it from",
        source=str(path),
        fit=standardise_channels,
        fit_yields=True,
        pretrained=rules.size >= PRETRAINED_FROM,
        inventory=known.inventory,
        classes=classes,
        origin=Origin(_reading(how), how.examples),
    )


@dataclass(frozen=True)
class Reading:
    """What is read, and how.

    Attributes:
        tree, classes: What there is.
        rules: How a file becomes numbers.
        groups: Of the pictures, or None.
        root: Of the tree.
        deep: Whether there are deep greys; all pictures are float32 then.
        skip: Whether pictures that cannot be read are left out.
    """

    tree: Tree
    classes: tuple[str, ...]
    rules: Rules
    groups: Groups | None
    root: Path
    deep: bool
    skip: bool

    def settings(self) -> str:
        """All but the files that decides what comes out."""
        names = sorted(f"{file.relative_to(self.root)}\0{group}" for file, group in (self.groups or {}).items())
        return f"{self.rules}\0{self.skip}\0{names}"

    def examples(self) -> dict[str, list[str]]:
        """Domain -> the files in the order of the data, below the root; one that ended early is among them."""
        return {
            domain: [shown(file, self.root) for files in own.values() for file in files]
            for domain, own in self.tree.items()
        }


@dataclass(frozen=True)
class Known:
    """What there is to say about a tree."""

    walked: Walk
    how: Reading
    scan: Scan
    findings: tuple[Finding, ...]
    recipe: Recipe

    def inventory(self) -> Inventory:
        """All of it; without the pictures that ended early, once they are decoded."""
        tree, classes = self.how.tree, self.how.classes
        numbers = {domain: [len(own.get(name, ())) for name in classes] for domain, own in tree.items()}
        taken = self._taken() if self.how.skip else None
        findings = self.findings
        if taken is not None:
            findings += tuple(of_decoding(*(sum(map(sum, each.values())) for each in (numbers, taken))))
        return Inventory(sections(self.walked, taken or numbers, classes, self.scan, self.how.rules), findings)

    def _taken(self) -> dict[str, list[int]] | None:
        """Pictures of each domain, by class, in the prepared file; None if there is none that can be read."""
        if not self.recipe.path.exists():
            return None
        try:
            data, _ = read(self.recipe.path)
        except DamagedError:  # whoever needs the pictures says so, and prepares them again
            return None
        number = len(self.how.classes)
        return {domain.name: domain.labels.bincount(minlength=number).tolist() for domain in data.domains}


def _reading(how: Reading) -> dict[str, Any]:
    """What `benchmarks.datasets.further` has to know of the tree to read further pictures."""
    span = how.rules.span
    return {
        "scheme": "folder",
        "size": how.rules.size,
        "background": list(how.rules.background),
        "range": list(span) if isinstance(span, tuple) else span,
        "deep": how.deep,
    }


def _background(options: Mapping[str, str]) -> tuple[int, int, int]:
    from PIL import ImageColor

    try:
        found = ImageColor.getrgb(options.get("background", "white"))
    except ValueError as error:
        raise ValueError(
            f"background must be the name of a colour or #rrggbb (# in a name on a command line needs quotes), got "
            f"{options['background']!r}"
        ) from error
    return found[0], found[1], found[2]


def _range(options: Mapping[str, str]) -> Span | Literal["depth"] | None:
    text = options.get("range")
    if text is None or text == DEPTH:
        return None if text is None else DEPTH
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(
            f"range must be depth, or two numbers, the lower one first, as in range=300,4000; got {text!r}"
        )
    return low, high


def _require_deep(rules: Rules, scan: Scan, path: Path) -> None:
    if rules.span is not None and not scan.deep:
        raise ValueError(f"range is for greys of more than 8 bits; {path} holds none that can be read")


def _chosen(tree: Tree, domains: Sequence[str], limit: int, where: Path) -> Tree:
    for name in domains:
        if name not in tree:
            raise ValueError(f"domains must be some of {', '.join(tree)}, got {name!r}")
    names = checked_domains([name for name in tree if not domains or name in domains], str(where))
    wrong = [name for name in {*names, *(label for name in names for label in tree[name])} if not _is_text(name)]
    if wrong:
        raise ValueError(f"names of folders must be UTF-8, got {sorted(map(ascii, wrong))}; rename them")
    return {name: {label: _spaced(files, limit) for label, files in tree[name].items()} for name in names}


def _is_text(name: str) -> bool:
    return not any("\ud800" <= sign <= "\udfff" for sign in name)


def _spaced(files: Sequence[Path], limit: int) -> Sequence[Path]:
    if len(files) <= limit:
        return files
    return [files[number * len(files) // limit] for number in range(limit)]


def _without(tree: Tree, root: Path, unreadable: Collection[str]) -> Tree:
    kept = {
        domain: {label: [file for file in files if shown(file, root) not in unreadable] for label, files in own.items()}
        for domain, own in tree.items()
    }
    found = {domain: {label: files for label, files in own.items() if files} for domain, own in kept.items()}
    if empty := [domain for domain, own in found.items() if not own]:
        raise ValueError(f"no picture of {', '.join(empty)} can be read; mend them, or name the other domains")
    return found


def _groups(options: Mapping[str, str], tree: Tree, root: Path) -> Groups | None:
    if "group" in options and "groups" in options:
        raise ValueError("group is a pattern and groups a file; say one of them")
    if "group" in options:
        return folder_groups.by_pattern(options["group"], tree, root)
    if "groups" in options:
        return folder_groups.by_file(path_of(options["groups"]), tree, root)
    return None


def _classes(tree: Tree, where: Path) -> tuple[str, ...]:
    number = Counter(label for classes in tree.values() for label in classes)
    if len(number) < 2:
        raise ValueError(f"{where} has the classes {sorted(number)}; there must be at least two")
    if max(number.values()) < 2:
        found = "; ".join(f"{domain}: {', '.join(sorted(classes))}" for domain, classes in tree.items())
        raise ValueError(f"no class of {where} is in two domains: a class must have the same name everywhere ({found})")
    return tuple(sorted(number))


def _identity(tree: Tree, root: Path, settings: str) -> str:
    """Other files, or files that changed, make another data set."""
    digest = hashlib.sha256(settings.encode(errors="surrogateescape"))
    for domain, classes in tree.items():
        for label, files in classes.items():
            for file in files:
                state = file.stat() if file.exists() else file.lstat()
                digest.update(f"\0{domain}\0{label}\0{file.relative_to(root)}".encode(errors="surrogateescape"))
                digest.update(f"\0{state.st_size}\0{state.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]


def build(how: Reading) -> Built:
    """Decodes the pictures.

    Raises:
        ValueError: if some of them cannot be read; says which.
    """
    numbers = {name: number for number, name in enumerate(sorted({*(how.groups or {}).values()}))}
    domains, wrong = [], []
    for name, labels in how.tree.items():
        rows = [(file, how.classes.index(label)) for label, files in labels.items() for file in files]
        inputs, kept = [], []
        for row in track(rows, f"reading {name}", len(rows)):
            try:
                inputs.append(_decoded(row[0], how))
                kept.append(row)
            except PictureError as error:
                wrong.append(str(error))
        if wrong and (not how.skip or not kept):
            continue
        groups = None if how.groups is None else torch.tensor([numbers[how.groups[file]] for file, _ in kept])
        labels_of = torch.tensor([label for _, label in kept])
        domains.append(Domain(name, torch.from_numpy(np.stack(inputs)), labels_of, groups))
    if wrong and (not how.skip or len(domains) < len(how.tree)):
        raise ValueError(
            f"{count(len(wrong), 'picture')} cannot be taken: {some(wrong, sign='; ')}. Mend them, take them away, "
            "or go on without them: allow=unreadable"
        )
    facts = {"classes": ", ".join(how.classes)} | ({"left out": "; ".join(wrong)} if wrong else {})
    return Built(MultiDomainData(tuple(domains), n_outputs=len(how.classes)), facts)


def _decoded(file: Path, how: Reading) -> np.ndarray:
    found = decode(file, how.rules)
    return found.astype(np.float32) / 255 if how.deep and found.dtype == np.uint8 else found
