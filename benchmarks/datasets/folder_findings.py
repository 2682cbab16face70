"""What looks wrong with a tree of pictures, and the tables of its inventory."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from benchmarks.datasets.folder_scan import Kind, Scan
from benchmarks.datasets.folder_tree import (
    DEEPER,
    LINKED,
    LOOSE,
    NO_CLASSES,
    NO_PICTURES,
    OTHER_SPLIT,
    SPLITS,
    Tree,
    Walk,
    shown,
)
from benchmarks.datasets.inventory import Finding, Section
from benchmarks.datasets.levels import DEPTH, Rules

FEW = 5
"""Fewer pictures of a class in a domain are said: one of five is kept for validation."""
MANY = 10
HALF_OF_BYTE = 128


def some(words: Iterable[str], number: int = 3) -> str:
    """The first few, and how many more.

    Example:
        >>> some(["a", "b", "c", "d", "e"])
        'a, b, c and 2 more'
    """
    words = list(words)
    more = f" and {len(words) - number} more" if len(words) > number else ""
    return ", ".join(words[:number]) + more


def of_tree(walk: Walk, all_domains: Tree) -> list[Finding]:
    """What the names of folders and the places of files tell.

    Args:
        walk: what was left, and where.
        all_domains: what is taken.
    """
    found = [*_spellings(all_domains), *_splits(all_domains), *_domains(walk), *_deeper(walk), *_loose(walk)]
    return [*found, *_linked(walk), *_classes(all_domains)]


def _spellings(tree: Tree) -> Iterable[Finding]:
    for what, names in (("domains", [*tree]), ("classes", sorted({name for own in tree.values() for name in own}))):
        alike: dict[str, list[str]] = defaultdict(list)
        for name in names:
            plain = unicodedata.normalize("NFKC", name).casefold()
            alike["".join(sign for sign in plain if not sign.isspace() and sign not in "_-")].append(name)
        if wrong := [own for own in alike.values() if len(own) > 1]:
            pairs = some(" and ".join(map(repr, own)) for own in wrong)
            text = f"{what} that differ in capitals, blanks or signs between words only: {pairs}; give them one name"
            yield Finding("spelling", text, refused=True)


def _splits(tree: Tree) -> Iterable[Finding]:
    names = [name for name in tree if name.lower() in SPLITS]
    if len(names) > 1:
        text = (
            f"the folders {', '.join(names)} look like the splits of one set and not like domains; put domains above "
            "them (domain/split/class), or name those wanted after domains="
        )
        yield Finding("splits", text, refused=True)


def _domains(walk: Walk) -> Iterable[Finding]:
    without = [left for left in walk.left if left.why == NO_CLASSES]
    if without:
        named = some(f"{shown(left.path, walk.root)} ({left.pictures} pictures)" for left in without)
        text = (
            f"folders beside the domains whose pictures are in no folders of classes: {named}; make folders of classes"
        )
        yield Finding("domains", f"{text} in them, or allow leaves them out", refused=True)


def _deeper(walk: Walk) -> Iterable[Finding]:
    files = [shown(left.path, walk.root) for left in walk.left if left.why == DEEPER]
    if files:
        text = (
            f"{len(files)} pictures lie deeper than domain/class ({some(files, 2)}); move them, or allow takes them as "
            "pictures of the class they are in"
        )
        yield Finding("deeper", text, refused=True)


def _loose(walk: Walk) -> Iterable[Finding]:
    files = [shown(left.path, walk.root) for left in walk.left if left.why == LOOSE]
    if files:
        yield Finding("loose", f"{len(files)} pictures lie beside folders and have no class ({some(files)}): left out")
    others = [shown(left.path, walk.root) for left in walk.left if left.why == OTHER_SPLIT and left.pictures]
    if others:
        yield Finding("splits", f"beside full, which is taken, these splits are left out: {some(others)}")
    empty = [shown(left.path, walk.root) for left in walk.left if left.why == NO_PICTURES]
    if empty:
        yield Finding("empty", f"folders without a picture are no domains and no classes: {some(empty)}")


def _linked(walk: Walk) -> Iterable[Finding]:
    links = [shown(left.path, walk.root) for left in walk.left if left.why == LINKED]
    if links:
        text = (
            f"{len(links)} links to folders inside classes are not followed ({some(links)}): what they show is left out"
        )
        yield Finding("links", text)


def _classes(tree: Tree) -> Iterable[Finding]:
    classes = sorted({name for own in tree.values() for name in own})
    absent = {domain: [name for name in classes if name not in own] for domain, own in tree.items()}
    said = [f"{domain} has no {some(names)}" for domain, names in absent.items() if names]
    if said:
        yield Finding("classes", f"{some(said)}: a score there is one over fewer classes")
    few = [
        f"{len(files)} of {name} in {domain}"
        for domain, own in tree.items()
        for name, files in own.items()
        if len(files) < FEW
    ]
    if few:
        yield Finding("few", f"classes with fewer than {FEW} pictures in a domain: {some(few)}")


def of_files(scan: Scan, rules: Rules, allowed: Collection[str]) -> list[Finding]:
    """What the files themselves tell."""
    found = [*_unreadable(scan, allowed), *_frames(scan), *_ranges(scan, rules), *_copies(scan)]
    small, number = sum(kind.small for kind in scan.kinds), sum(kind.number for kind in scan.kinds)
    if small:
        text = f"{small} of {number} pictures are smaller than {rules.size} pixels and are enlarged: size=..."
        found.append(Finding("small", text))
    kinds: dict[str, set[str]] = {domain: set() for domain in dict.fromkeys(kind.domain for kind in scan.kinds)}
    for kind in scan.kinds:
        kinds[kind.domain].add(kind.look.kind)
    if len({frozenset(own) for own in kinds.values()}) > 1:
        text = "; ".join(f"{domain}: {', '.join(sorted(own))}" for domain, own in kinds.items())
        found.append(
            Finding("kinds", f"the domains hold other kinds of pictures ({text}): a model may see that instead")
        )
    return found


def _unreadable(scan: Scan, allowed: Collection[str]) -> Iterable[Finding]:
    if scan.unreadable:
        said = "; ".join(list(scan.unreadable.values())[:3])
        what = "are left out" if "unreadable" in allowed else "mend them, take them away, or allow leaves them out"
        text = f"{len(scan.unreadable)} files cannot be read: {said}; {what}"
        yield Finding("unreadable", text, refused=True)


def _frames(scan: Scan) -> Iterable[Finding]:
    if scan.frames:
        said = some(f"{name} ({number})" for name, number in scan.frames.items())
        text = f"{len(scan.frames)} files hold several pages or are films: {said}; save the pages as files"
        yield Finding("frames", f"{text}, or allow takes the first of each", refused=True)


def _ranges(scan: Scan, rules: Rules) -> Iterable[Finding]:
    lost = [kind for kind in scan.kinds if kind.look.upper and kind.look.most < HALF_OF_BYTE]
    if lost:
        said = some(f"{kind.first}, no value above {kind.look.most:g} of 255" for kind in lost)
        text = f"colours of 16 bits, of which Pillow gives the upper 8, and half of these or more are unused ({said})"
        yield Finding("colours", f"{text}; save them with 8 bits", refused=True)
    deep = [kind for kind in scan.kinds if kind.look.deep]
    if isinstance(rules.span, tuple):
        low, high = rules.span
        beyond = [_held(kind) for kind in deep if kind.look.least < low or kind.look.most > high]
        if beyond:
            yield Finding("range", f"values outside range={low:g},{high:g} are cut off: {some(beyond)}")
        return
    wrong = [(kind, why) for kind in deep if (why := _unexplained(kind, rules))]
    if wrong:
        said = some(f"{_held(kind)}, {why}" for kind, why in wrong)
        text = (
            f"what black and white are is not known: {said}; say range={_proposed(deep)}, or range=depth for the whole "
            "depth of the files"
        )
        yield Finding("range", text, refused=True)


def _held(kind: Kind) -> str:
    return f"{kind.domain}: {kind.look.kind}, values {kind.look.least:g} .. {kind.look.most:g}"


def _unexplained(kind: Kind, rules: Rules) -> str:
    """Why the span of deep pictures is not believable: what uses less than half of a depth was measured with another
    one. Windows of DICOM are there to cut off."""
    look = kind.look
    if look.span is None:
        return "which the file does not explain"
    if rules.span == DEPTH or (look.declared and look.kind.startswith("DICOM")):
        return ""
    low, high = look.span
    if kind.outside:
        return "outside what the file declares" if look.declared else f"outside {low:g} .. {high:g}"
    if not look.declared and look.most - look.least < (high - low) / 2:
        return f"less than half of {low:g} .. {high:g}"
    return ""


def _proposed(kinds: Sequence[Kind]) -> str:
    """What holds all values, of whole bits if none is negative."""
    least, most = min(kind.look.least for kind in kinds), max(kind.look.most for kind in kinds)
    if least >= 0 and all("bits" in kind.look.kind for kind in kinds):
        return f"0,{2 ** max(int(most), 1).bit_length() - 1}"
    return f"{least:g},{most:g}"


def _copies(scan: Scan) -> Iterable[Finding]:
    across = [same for same in scan.copies if len({domain for domain, _, _ in same}) > 1]
    labels = [same for same in scan.copies if len({label for _, label, _ in same}) > 1]
    within = [same for same in scan.copies if same not in across and same not in labels]
    if across:
        text = (
            f"{len(across)} pictures stand in several domains, byte by byte ({_pairs(across)}): what is tested would be"
        )
        yield Finding("copies", f"{text} trained on; take the copies away", refused=True)
    if labels:
        text = (
            f"{len(labels)} pictures are the same and stand in different classes ({_pairs(labels)}); one label is wrong"
        )
        yield Finding("labels", text, refused=True)
    if within:
        text = (
            f"{len(within)} pictures stand several times in a class of a domain ({_pairs(within)}): validation may see"
        )
        yield Finding("repeats", f"{text} what was trained on; take the copies away")


def _pairs(copies: Sequence[Sequence[tuple[str, str, str]]]) -> str:
    """One of each place, to tell where they are."""
    ends = [({(domain, label): path for domain, label, path in same}, same) for same in copies]
    shown = ([*places.values()][:2] if len(places) > 1 else [path for _, _, path in same[:2]] for places, same in ends)
    return some((" = ".join(paths) for paths in shown), 2)


def sections(walk: Walk, tree: Tree, classes: Sequence[str], scan: Scan, rules: Rules) -> tuple[Section, ...]:
    """Pictures of each class and domain, their kinds, and what is left out."""
    return (_counts(tree, classes), _kinds(scan, rules), *_left(walk))


def _counts(tree: Tree, classes: Sequence[str]) -> Section:
    numbers = {domain: [len(own.get(name, ())) for name in classes] for domain, own in tree.items()}
    if len(classes) <= MANY or len(tree) > MANY:
        rows = [(domain, str(sum(own)), *map(str, own)) for domain, own in numbers.items()]
        return Section("Pictures", ("domain", "pictures", *classes), tuple(rows))
    by_class = zip(classes, zip(*numbers.values(), strict=True), strict=True)
    sums = ("all", *(str(sum(own)) for own in numbers.values()))
    return Section("Pictures", ("class", *tree), (sums, *((name, *map(str, own)) for name, own in by_class)))


def _kinds(scan: Scan, rules: Rules) -> Section:
    rows = []
    for kind in scan.kinds:
        look = kind.look
        values = f"{look.least:g} .. {look.most:g}" if look.deep else ""
        rows.append(
            (kind.domain, look.kind, str(kind.number), values, _taken(look.kind, look.deep, look.upper, kind, rules))
        )
    return Section("Kinds of pictures", ("domain", "kind", "number", "values", "taken as"), tuple(rows))


def _taken(words: str, deep: bool, upper: bool, kind: Kind, rules: Rules) -> str:
    if deep:
        if isinstance(rules.span, tuple):
            return f"{rules.span[0]:g} .. {rules.span[1]:g} as black .. white: range"
        if rules.span is None and kind.look.declared:
            return "what each file declares"
        span = kind.look.span
        return (
            "its whole depth"
            if span is None or kind.look.declared
            else f"{span[0]:g} .. {span[1]:g} as black .. white: its depth"
        )
    if words.endswith("transparency"):
        return f"on the background {', '.join(map(str, rules.background))}"
    return "the upper 8 bits" if upper else "8 bits"


def _left(walk: Walk) -> tuple[Section, ...]:
    rows = []
    grouped: dict[tuple[str, str, str], list[Path]] = defaultdict(list)
    pictures: Counter[tuple[str, str, str]] = Counter()
    for left in walk.left:
        if left.why == DEEPER and walk.deeper:
            continue
        if left.why == DEEPER:
            where, what = shown(left.path.parent, walk.root), left.path.suffix or "without ending"
        elif left.path.is_dir():
            where, what = shown(left.path.parent, walk.root), f"folder {left.path.name}"
        else:
            where, what = shown(left.path.parent, walk.root), left.path.suffix.lower() or "without ending"
        grouped[left.why, what, where].append(left.path)
        pictures[left.why, what, where] += left.pictures
    by_kind: dict[tuple[str, str], list[tuple[str, int, int]]] = defaultdict(list)
    for (why, what, where), paths in grouped.items():
        by_kind[why, what].append((where, len(paths), pictures[why, what, where]))
    for (why, what), places in by_kind.items():
        number, held = sum(place[1] for place in places), sum(place[2] for place in places)
        rows.append((what, str(number), str(held) if held else "", why, some(place[0] for place in places)))
    found = [Section("Not taken", ("what", "number", "pictures", "why", "where"), tuple(rows))] if rows else []
    if walk.wrappers:
        names = tuple(
            (str(path) if walk.root.is_relative_to(path) else shown(path, walk.root),) for path in walk.wrappers
        )
        found.append(Section("Seen through", ("folder that is neither a domain nor a class",), names))
    return tuple(found)
