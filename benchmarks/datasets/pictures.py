"""A file of a picture to numbers: ``[3, size, size]``, what the picture shows.

- **8 bits or fewer** stay as they are, uint8. Colours are turned to RGB; profiles of colours are not applied.
- **Deeper greys** (16 or 32 bits, floating point) become float32 in 0..1 from a span of values: the one that the user
  declares, else the one that the file declares (TIFF's smallest and largest sample value, DICOM's window), else the
  whole depth (0..65535 for 16 bits; 0..1 for floating point). No picture is stretched to its own extremes. Whether a
  whole depth is believable is for `benchmarks.datasets.folder_findings` to say.
- **Deeper colours** keep the upper 8 bits, as Pillow reads them.
- **Transparency** lies on a background. What the camera notes about its position is followed.
- Of **several** pictures in a file the first is taken; whether that is wanted is said by `Look.frames`.

The shorter side is scaled to `size` and the middle cut out.
"""

from __future__ import annotations

import contextlib
import functools
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.datasets import dicom
from benchmarks.datasets.levels import DEPTH, Levels, PictureError, Rules, Span, require_finite, scaled

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["DEPTH", "Look", "PictureError", "Rules", "Span", "decode", "is_picture", "look"]

Array = np.ndarray[Any, Any]

NOT_PIXELS = frozenset(
    {"BUFR", "EPS", "FITS", "GRIB", "HDF5", "IPTC", "MCIDAS", "MPEG", "PALM", "PDF", "SPIDER", "WMF"}
)
"""What Pillow knows and no picture of this library is: no pixels, films, other numbers than light."""
BY_CONTENT = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "QOI", "TIFF", "WEBP")
"""Formats that begin with a sign of their own: files of any name are looked at for these, and for DICOM's."""
_DAMAGED = (
    *(OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, IndexError, KeyError, TypeError),
    *(AttributeError, OverflowError, RuntimeError, MemoryError, ZeroDivisionError),
)
"""What Pillow's decoders raise over bytes that make no sense."""


@dataclass(frozen=True)
class Look:
    """What the head of a file says, and the values of deep pictures.

    Attributes:
        kind: the format and how deep it is, in words.
        size: the shorter side, in pixels.
        frames: pages, or pictures of a film.
        deep: whether it is more than 8 bits of grey.
        upper: whether only the upper 8 bits of a colour are taken.
        least, most: of the values of a deep picture, and of those upper bits; 0 of others.
        span: what they are scaled from unless the user says otherwise; None if the file does not tell.
        declared: whether the file declares it, beyond its depth.
    """

    kind: str
    size: int
    frames: int = 1
    deep: bool = False
    upper: bool = False
    least: float = 0.0
    most: float = 0.0
    span: Span | None = None
    declared: bool = False

    @property
    def outside(self) -> bool:
        """Whether values lie beyond the span."""
        return self.span is not None and (self.least < self.span[0] or self.most > self.span[1])


@functools.cache
def endings() -> frozenset[str]:
    """Endings of pictures: Pillow's, and those of DICOM.

    Example:
        >>> sorted({".jpg", ".avif", ".dcm", ".txt", ".pdf"} & endings())
        ['.avif', '.dcm', '.jpg']
    """
    from PIL import Image

    known = Image.registered_extensions()
    return (
        frozenset(ending for ending, name in known.items() if name in (*Image.OPEN, "MPO") and name not in NOT_PIXELS)
        | dicom.ENDINGS
    )


def is_picture(path: Path) -> bool:
    """Whether a file has the ending of a picture, or begins like one."""
    from PIL import Image

    ending = path.suffix.lower()
    if ending in endings():
        return True
    if Image.registered_extensions().get(ending) in NOT_PIXELS or not path.is_file():
        return False
    if dicom.is_dicom(path):
        return True
    try:
        with Image.open(path, formats=BY_CONTENT):
            return True
    except (*_DAMAGED, Image.DecompressionBombError):
        return False


def look(path: Path) -> Look:
    """What a file holds.

    Raises:
        PictureError: if it cannot be read.
    """
    if dicom.is_dicom(path):
        found = dicom.read(path)
        kind = f"DICOM, {found.what}"
        if found.levels is None:
            return Look(kind, found.side, found.frames)
        return _look_deep(found.levels, Look(kind, found.side, found.frames), path)
    with _opened(path) as image:
        side, frames = min(image.size), _frames(image)
        if _is_deep(image):
            levels = _levels(image)
            kind = f"{image.format}, {'floating point' if levels.floating else f'grey of {levels.bits} bits'}"
            kind += ", signed" if levels.depth and levels.depth[0] < 0 else ""
            kind += ", with a span" if levels.declared else ""
            return _look_deep(levels, Look(kind, side, frames), path)
        kind = f"{image.format}, {_colours(image)}"
        if _upper(image):
            most = float(np.asarray(image.convert("RGB")).max())
            return Look(f"{kind} of 16 bits", side, frames, upper=True, most=most)
        return Look(kind, side, frames)


def _look_deep(levels: Levels, head: Look, path: Path) -> Look:
    require_finite(levels, path)
    least, most = float(levels.values.min()), float(levels.values.max())
    declared = levels.declared is not None
    return replace(head, deep=True, least=least, most=most, span=levels.span, declared=declared)


def decode(path: Path, rules: Rules) -> Array:
    """``[3, size, size]``: uint8, or float32 in 0..1 of a deep picture.

    Raises:
        PictureError: if the file is no picture, ends early, or nothing says what its values mean.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> file = Path(tempfile.mkdtemp()) / "xray.png"
        >>> Image.fromarray(np.full((4, 4), 2150, dtype=np.uint16)).save(file)
        >>> decode(file, Rules(size=1, span=(300.0, 4000.0)))[:, 0, 0].tolist()
        [0.5, 0.5, 0.5]
    """
    if dicom.is_dicom(path):
        found = dicom.read(path)
        if found.levels is not None:
            return _grey(found.levels, rules, path)
        return _flat(found.colours(), rules, path)
    with _opened(path) as image:
        from PIL import ImageOps

        if _is_deep(image):
            return _grey(_levels(image), rules, path)
        return _flat(ImageOps.exif_transpose(image), rules, path)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # Large pictures are wanted; what would fill the memory is an error of its own.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            # Pillow tells of damaged notes of a camera in warnings, and the picture is whole.
            warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
            with Image.open(path) as image:
                yield image
    except PictureError:
        raise
    except (*_DAMAGED, Image.DecompressionBombError) as error:
        raise PictureError(f"{path} cannot be read as a picture ({' '.join(str(error).split())})") from error


def _frames(image: Image.Image) -> int:
    """Pages or pictures of a film. What a camera puts behind its picture (MPO), and the layers of PSD, whose first
    picture is all of them together, are not counted."""
    return 1 if image.format in ("MPO", "PSD") else int(getattr(image, "n_frames", 1))


def _is_deep(image: Image.Image) -> bool:
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def _upper(image: Image.Image) -> bool:
    return any(";16" in str(tile.args) for tile in getattr(image, "tile", ()))


def _transparent(image: Image.Image) -> bool:
    return image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info


def _colours(image: Image.Image) -> str:
    names = {"1": "black and white", "L": "grey", "LA": "grey", "La": "grey"}
    word = names.get(image.mode, "colour")
    return f"{word} and transparency" if _transparent(image) else word


def _levels(image: Image.Image) -> Levels:
    """The values of a deep picture, and what their span is."""
    from PIL import ImageOps

    tags: Any = getattr(image, "tag_v2", {})
    bits = int(_first(tags.get(258), 32 if image.mode in ("I", "F") and image.format == "TIFF" else 16))
    form = int(_first(tags.get(339), {"I": 2 if image.format == "TIFF" else 1, "F": 3}.get(image.mode, 1)))
    upright = ImageOps.exif_transpose(image)
    values: Array = np.asarray(upright)
    if form == 1 and bits == 32 and values.dtype == np.int32:  # Pillow has no unsigned numbers of 32 bits
        values = values.view(np.uint32)
    values = values.astype(np.float64)
    depth: Span | None = None
    if form == 3 and image.mode == "F":
        depth = (0.0, 1.0)
    elif form == 2:
        depth = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1)
    elif image.format in ("JPEG2000", "PNG", "PPM", "TIFF"):
        depth = (0.0, 2.0**bits - 1)
    low, high = _first(tags.get(340), tags.get(280)), _first(tags.get(341), tags.get(281))
    known = low is not None and high is not None and float(low) < float(high)
    clear = image.info.get("transparency")
    return Levels(
        values=values,
        depth=depth,
        declared=(float(low), float(high)) if known else None,
        bits=bits,
        floating=image.mode == "F",
        inverted=tags.get(262) == 0,
        transparent=values == clear if isinstance(clear, int) else None,
    )


def _first(value: Any, default: Any) -> Any:
    """A tag is one number, or one for each channel."""
    value = value[0] if isinstance(value, tuple) and value else value
    return default if value in (None, ()) else value


def _grey(levels: Levels, rules: Rules, path: Path) -> Array:
    from PIL import Image, ImageOps

    image = Image.fromarray(scaled(levels, rules, path).astype(np.float32))
    found = np.asarray(ImageOps.fit(image, (rules.size, rules.size))).clip(0.0, 1.0)
    return np.repeat(found[None], 3, axis=0)


def _flat(image: Image.Image, rules: Rules, path: Path) -> Array:
    from PIL import Image, ImageOps

    if _transparent(image):
        above = image.convert("RGBA")
        below = Image.new("RGBA", above.size, (*rules.background, 255))
        shown = Image.alpha_composite(below, above).convert("RGB")
        _require_visible(above, shown, rules, path)
    elif image.mode == "LAB":
        shown = _from_lab(image)
    else:
        shown = image.convert("RGB")
    return np.asarray(ImageOps.fit(shown, (rules.size, rules.size))).transpose(2, 0, 1)


def _require_visible(above: Image.Image, shown: Image.Image, rules: Rules, path: Path) -> None:
    """What is drawn must not vanish in the background.

    Raises:
        PictureError: if it does.
    """
    alpha, colours = np.asarray(above.getchannel("A")), np.asarray(shown).reshape(-1, 3)
    if (alpha.min() != alpha.max() or alpha.max() == 0) and (colours == colours[0]).all():
        raise PictureError(
            f"{path} is as its background, {rules.background}, wherever it is not transparent: nothing of it would be "
            "seen; say background=black, grey or another colour"
        )


def _from_lab(image: Image.Image) -> Image.Image:
    from PIL import ImageCms

    ways = (ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"))
    found = ImageCms.applyTransform(image, ImageCms.buildTransform(*ways, "LAB", "RGB"))
    if found is None:
        raise PictureError("the colours of a picture in LAB cannot be turned to RGB")
    return found
