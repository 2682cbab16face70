"""EmojiStyles: the same concepts drawn in several styles; a domain is a style, a class what is pictured.

Styles are icon sets from npm (Iconify's JSON: SVG bodies by name), rendered once by resvg on white. Every concept that
all styles have is one example of each of them, and one *group*: the protocol trains, selects and tests on different
concepts, for a random split would show the tested concept in another style. Of concepts that are variants of one
another one is taken (``emoji_concepts.txt``).
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.base.metrics import accuracy
from benchmarks.datasets.base import DatasetEntry, Domain, MultiDomainData
from benchmarks.datasets.cache import Built, Recipe, track
from benchmarks.datasets.fetch import FetchError, Package, fetched

CLASSES = ("animal", "clothing", "face", "food", "hand", "object", "person", "place", "plant", "transport")
CONCEPTS = Path(__file__).with_name("emoji_concepts.txt")

Icons = Mapping[str, Any]
"""Iconify's JSON: ``icons``, ``aliases`` and the size of the pictures."""


@dataclass(frozen=True)
class Style:
    """One icon set."""

    package: Package
    licence: str


def _style(name: str, version: str, licence: str, integrity: str) -> Style:
    return Style(Package("npm", f"@iconify-json/{name}", version, f"sha512-{integrity}"), licence)


STYLES = {
    "noto": _style(
        *("noto", "1.2.9", "Apache-2.0"),
        "DQiuXENbun41ch+XPSV55H9FaWKpHTyz46YIKtSaKYD4fIDDzL1tR6H4np/T38jfrTAeI3rcKF0mqHYeZVAuaw==",
    ),
    "openmoji": _style(
        *("openmoji", "1.2.29", "CC-BY-SA-4.0"),
        "vXdhkqcXVSO6suy+m9LbcUM3OdVyuNOtpV8/als/WqfkQIRxevL5Geb/g+6GH/Qwnq1OqksEmaDGTCmZ5nFKJQ==",
    ),
    "fluent-emoji": _style(
        *("fluent-emoji", "1.2.7", "MIT"),
        "D8G6bKAyIsyxP1rzZtIWr/gg/fO4Rg1+DyCWlfqKK4h8W+4Em/Y0P6QYgJUQTlUcagzJvSyg+9OBv4hz4Hc/QA==",
    ),
    "fluent-emoji-high-contrast": _style(
        *("fluent-emoji-high-contrast", "1.2.6", "MIT"),
        "esqhZPpkrF7sNX3NsLoh8KW64okEr/bzko7WNnFP+qTJGAqDPDYjp0925yxuivXy3HtVQB8xhIKu3+Nq1byX5w==",
    ),
    "twemoji": _style(
        *("twemoji", "1.2.5", "CC-BY-4.0"),
        "uKpuIEV0v6K5BW3Mjdyl+XKFVAbbcPxAgifKvEMtZoUZB5+YiY5zaMm2uNNCxyXzAWU9yNLlj41WU6/mvgALsw==",
    ),
    "fluent-emoji-flat": _style(
        *("fluent-emoji-flat", "1.2.6", "MIT"),
        "RY47RgPb47fYUiyrA64sIOL0+UU02s29sXpNBbIQRBUlPlfNFTKUmZDERGuxDs/7yNGWqQYvuaSYM1M4fRXlUw==",
    ),
    "noto-v1": _style(
        *("noto-v1", "1.2.5", "Apache-2.0"),
        "/DsVMius69Q0fRS53z7QK1TROSuar606jiIx+laXtdsYGMXpf6LtHBx6CGfoo3UHHb/XpBsw+1L1x3eyPqMuVA==",
    ),
    "emojione": _style(
        *("emojione", "1.2.3", "CC-BY-4.0"),
        "T9+T3HIbJNLKKsmxYKlaYhvnHYkz/HNYTV7SHCXVZPfeUi4FqskY70YeN8yYAZT8cCv7w5vJxS4Q1m8zb9CMMg==",
    ),
}
FOUR = ("noto", "openmoji", "fluent-emoji", "fluent-emoji-high-contrast")


@dataclass(frozen=True)
class Concept:
    """A class and the variants of a concept; a variant is the names of one picture."""

    label: int
    variants: tuple[tuple[str, ...], ...]

    @property
    def group(self) -> int:
        """A number of its own, whichever styles and other concepts there are."""
        return int.from_bytes(hashlib.sha256(self.variants[0][0].encode()).digest()[:7], "big")


def concepts(path: Path = CONCEPTS) -> list[Concept]:
    """The table of concepts."""
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [line.split() for line in lines if line and not line.startswith("#")]
    return [Concept(CLASSES.index(name), tuple(tuple(word.split("=")) for word in words)) for name, *words in rows]


def common(icons: Sequence[Icons], known: Sequence[Concept]) -> list[tuple[Concept, list[str]]]:
    """Each concept that all icon sets have, with the name in each of the first variant that all of them have."""
    found = []
    for concept in known:
        for names in concept.variants:
            own = [next((name for name in names if _body(each, name) is not None), None) for each in icons]
            chosen = [name for name in own if name is not None]
            if len(chosen) == len(icons):
                found.append((concept, chosen))
                break
    return found


def _body(icons: Icons, name: str) -> Mapping[str, Any] | None:
    if name in icons["icons"]:
        icon: Mapping[str, Any] = icons["icons"][name]
        return icon
    alias = icons.get("aliases", {}).get(name)
    # An alias with anything but a parent is turned or mirrored: another picture.
    return _body(icons, alias["parent"]) if alias is not None and set(alias) == {"parent"} else None


def read_icons(path: Path, package: Package) -> Icons:
    """The icon set in an npm package of Iconify.

    Raises:
        FetchError: if the package does not hold one.
    """
    try:
        with tarfile.open(path, "r:gz") as archive:
            member = archive.extractfile("package/icons.json")
            icons = json.load(member) if member is not None else {}
    except (tarfile.TarError, KeyError, ValueError, EOFError, OSError) as error:
        raise FetchError(f"{package} holds no readable package/icons.json: {type(error).__name__}: {error}") from error
    if not isinstance(icons, dict) or "icons" not in icons:
        raise FetchError(f"package/icons.json of {package} is no icon set: it has no 'icons'")
    return icons


def render(icons: Icons, name: str, size: int) -> np.ndarray:
    """``[3, size, size]`` uint8: the icon in the middle of a white square."""
    import resvg_py
    from PIL import Image

    icon = _body(icons, name)
    if icon is None:
        raise KeyError(name)
    box = [icon.get(key, icons.get(key, default)) for key, default in _BOX]
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="{size}" height="{size}" viewBox="{" ".join(map(str, box))}">{icon["body"]}</svg>'
    )
    png = resvg_py.svg_to_bytes(svg_string=svg, background="#ffffff", skip_system_fonts=True)
    return np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGB")).transpose(2, 0, 1)


_BOX = (("left", 0), ("top", 0), ("width", 16), ("height", 16))
"""Of Iconify: the icon's own, or the set's, or these."""


def build(styles: Mapping[str, Style], size: int, table: Path = CONCEPTS) -> Built:
    """Fetches the styles and renders what they have in common.

    Raises:
        ImportError: if resvg is not installed.
        FetchError: if a package cannot be had.
    """
    try:
        import resvg_py
    except ImportError as error:
        raise ImportError(
            f"emoji are rendered by resvg-py ({error}); pip install 'pgrad[bench]' installs it"
        ) from error
    icons = []
    for style in track(styles.values(), "fetching icon sets", len(styles)):
        with fetched(style.package) as path:
            icons.append(read_icons(path, style.package))
    found = common(icons, concepts(table))
    labels = torch.tensor([concept.label for concept, _ in found])
    groups = torch.tensor([concept.group for concept, _ in found])
    domains = []
    for number, name in enumerate(styles):
        pictures = track(found, f"rendering {name}", len(found))
        inputs = np.stack([render(icons[number], names[number], size) for _, names in pictures])
        domains.append(Domain(name, torch.from_numpy(inputs), labels, groups))
    facts = {str(style.package): style.package.integrity for style in styles.values()}
    facts["resvg-py"] = f"{resvg_py.__version__} (resvg {resvg_py.__resvg_version__})"
    return Built(MultiDomainData(tuple(domains), n_outputs=len(CLASSES)), facts)


def entry(name: str, styles: Sequence[str], size: int) -> DatasetEntry:
    """The line of the registry."""
    chosen = {style: STYLES[style] for style in styles}
    return DatasetEntry(
        factory=Recipe(name, functools.partial(build, chosen, size)),
        description=f"emoji of the same concepts in {len(styles)} styles, {size} pixels, split by concept (10 classes)",
        metric=accuracy,
        domains=tuple(styles),
        model="cnn",
        licence=", ".join(f"{style}: {STYLES[style].licence}" for style in styles),
        source="npm packages @iconify-json/*, rendered with resvg",
        classes=CLASSES,
    )
