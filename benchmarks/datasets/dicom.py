"""Pictures in DICOM, read by pydicom (``pip install 'pgrad[dicom]'``).

Greys are the values behind the modality's scale (Hounsfield units of a CT). Their span is the first window that the
file declares, else all that its stored bits can hold. Pictures whose large values are dark (MONOCHROME1) are turned.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.datasets.levels import Levels, MissingError, PictureError, Span

if TYPE_CHECKING:
    from PIL import Image

Array = np.ndarray[Any, Any]
ENDINGS = frozenset({".dcm", ".dicom", ".ima"})


@dataclass(frozen=True)
class Found:
    """The first picture of a file.

    Attributes:
        what: in words.
        side: the shorter one, in pixels.
        frames: how many pictures there are.
        levels: of greys; None of colours.
        rgb: ``[height, width, 3]`` uint8 of colours.
    """

    what: str
    side: int
    frames: int
    levels: Levels | None
    rgb: Array | None = None

    def colours(self) -> Image.Image:
        """A picture in colours."""
        from PIL import Image

        if self.rgb is None:
            raise ValueError("colours() is of pictures in colours; this one is grey")
        return Image.fromarray(self.rgb)


def is_dicom(path: Path) -> bool:
    """Whether a file says that it is DICOM, by its ending or after its first 128 bytes."""
    if path.suffix.lower() in ENDINGS:
        return True
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def read(path: Path) -> Found:
    """The first picture.

    Raises:
        PictureError: if the file holds none that can be read.
        MissingError: if pydicom is not installed.
    """
    try:
        import pydicom
        from pydicom import pixels
        from pydicom.pixels.utils import pixel_array
    except ImportError as error:
        raise MissingError(f"{path}: pictures in DICOM need pydicom ({error}); pip install 'pgrad[dicom]'") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of letters that do not follow the standard; the picture is what counts
            content = pydicom.dcmread(path)
            if "PixelData" not in content:
                raise PictureError("it holds no picture of whole numbers")
            return _found(content, pixel_array(path, index=0), pixels)
    except Exception as error:  # whatever damaged bytes raise in pydicom and its decoders, the file is named
        raise PictureError(f"{path} cannot be read as a picture in DICOM ({' '.join(str(error).split())})") from error


def _found(content: Any, values: Array, pixels: Any) -> Found:
    frames, side = int(content.get("NumberOfFrames") or 1), min(int(content.Rows), int(content.Columns))
    colours = str(content.PhotometricInterpretation)
    bits = int(content.get("BitsStored", content.get("BitsAllocated", 16)))
    if colours == "PALETTE COLOR":
        values = pixels.apply_color_lut(values, content)
        depth = 8 * values.dtype.itemsize
        return Found("colour", side, frames, None, _bytes(values, depth))
    if values.ndim == 3:  # pixel_array gives RGB, whatever is stored
        return Found("colour", side, frames, None, _bytes(values, bits))
    if not colours.startswith("MONOCHROME"):
        raise PictureError(f"colours {colours!r} are not known")
    signed = bool(content.get("PixelRepresentation", 0))
    stored = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if signed else (0.0, 2.0**bits - 1)
    if content.get("ModalityLUTSequence"):
        depth = (0.0, 2.0 ** int(content.ModalityLUTSequence[0].LUTDescriptor[2]) - 1)
    else:
        slope, intercept = float(content.get("RescaleSlope") or 1), float(content.get("RescaleIntercept") or 0)
        ends = sorted(slope * end + intercept for end in stored)
        depth = (ends[0], ends[1])
    found = np.asarray(pixels.apply_modality_lut(values, content), dtype=np.float64)
    window = _window(content)
    return Found(
        what=f"grey of {bits} bits" + (", with a window" if window else ""),
        side=side,
        frames=frames,
        levels=Levels(found, depth, window, bits, inverted=colours == "MONOCHROME1"),
    )


def _bytes(values: Array, bits: int) -> Array:
    """The upper eight bits."""
    return np.asarray(values >> (bits - 8) if bits > 8 else values, dtype=np.uint8)


def _window(content: Any) -> Span | None:
    """The first window: standard C.11.2.1.2 for where a linear one begins and ends."""
    if content.get("VOILUTSequence") and "WindowCenter" not in content:
        raise PictureError("it declares a table in the place of a window; save it with a window")
    centre, width = _first(content.get("WindowCenter")), _first(content.get("WindowWidth"))
    if centre is None or width is None:
        return None
    function = str(content.get("VOILUTFunction") or "LINEAR")
    if function == "LINEAR":
        low, high = centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2
    elif function == "LINEAR_EXACT":
        low, high = centre - width / 2, centre + width / 2
    else:
        raise PictureError(f"its window is {function}, which is no straight line; save it with a linear one")
    if not low < high:
        raise PictureError(f"its window has the centre {centre} and the width {width}, which is none")
    return low, high


def _first(value: Any) -> float | None:
    from pydicom.multival import MultiValue

    if value is None or value == "":
        return None
    return float(value[0] if isinstance(value, MultiValue) else value)
