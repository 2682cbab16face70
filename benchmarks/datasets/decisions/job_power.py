"""Green power by the hour at three sites, from typical meteorological years.

The wheel of pvlib carries three of them: Sand Point in Alaska and Greensboro in North Carolina (TMY3), and Miami
(TMY2), made by the National Renewable Energy Laboratory. Of each the global horizontal irradiance and the wind speed
are taken; the wheel is read as an archive, nothing of it is run. The panels give in proportion to the irradiance. The
turbines follow the usual shape of a power curve: nothing below 3 m/s, the cube of the speed from there to its rated
value at 11 m/s, nothing above 25 m/s.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets.fetch import FetchError, Package

WHEEL = Package("wheel", "pvlib", "0.16.1", "sha256-TmG1IooT94JBPXz4zEjrbmLnv1XRVZWPqf1yQgtjYD0=")
FILES = {
    "sand-point": "pvlib/data/703165TY.csv",
    "greensboro": "pvlib/data/723170TYA.CSV",
    "miami": "pvlib/data/12839.tm2",
}
HOURS = 8760

Weather = Mapping[str, NDArray[np.float64]]
"""Site -> ``[hours, 2]``: irradiance in W/m^2, wind speed in m/s."""

CUT_IN, RATED, CUT_OUT = 3.0, 11.0, 25.0
HUB = 1.3
"""Wind at the hub over wind at the ground."""

SUN, WIND = 1.6, 0.8
"""What panels at 1,000 W/m^2, and turbines at their rated speed, give, as shares of the whole cluster."""


def read(path: Path, package: Package = WHEEL) -> Weather:
    """The three years.

    Raises:
        FetchError: If the wheel does not hold them.
    """
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for site, name in FILES.items():
                text = archive.read(name).decode("latin-1")
                found[site] = _tmy2(text) if name.endswith(".tm2") else _tmy3(text)
    except (zipfile.BadZipFile, KeyError, ValueError, IndexError, OSError) as error:
        raise FetchError(f"{package} holds no readable weather: {type(error).__name__}: {error}") from error
    for site, hours in found.items():
        if hours.shape != (HOURS, 2) or not np.isfinite(hours).all() or (hours < 0).any():
            raise FetchError(f"{package} holds {hours.shape} numbers for {site}, expected {HOURS} hours, none below 0")
    return found


def _tmy3(text: str) -> NDArray[np.float64]:
    """Two lines of headings, then one for each hour."""
    _, names, *rows = csv.reader(io.StringIO(text))
    columns = [names.index("GHI (W/m^2)"), names.index("Wspd (m/s)")]
    return np.array([[float(row[column]) for column in columns] for row in rows])


def _tmy2(text: str) -> NDArray[np.float64]:
    """One line of headings, then columns of fixed width: irradiance in 18 to 21, wind speed in tenths in 96 to 98."""
    return np.array([[float(row[17:21]), float(row[95:98]) / 10] for row in text.splitlines()[1:]])


def green(hours: NDArray[np.float64]) -> NDArray[np.float64]:
    """``[hours]``: power as a share of what the whole cluster takes; more than 1 is possible.

    Example:
        >>> green(np.array([[500.0, 0.0], [0.0, 15.0], [0.0, 30.0]])).tolist()
        [0.8, 0.8, 0.0]
    """
    speed = HUB * hours[:, 1]
    rising = (speed**3 - CUT_IN**3) / (RATED**3 - CUT_IN**3)
    wind = np.where(speed > CUT_OUT, 0.0, rising.clip(0.0, 1.0))
    found: NDArray[Any] = SUN * hours[:, 0] / 1000.0 + WIND * wind
    return found
