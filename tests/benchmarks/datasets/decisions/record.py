"""Records the fixtures again: ``python -m tests.benchmarks.datasets.decisions.record [NAME ...]``.

They are small parts of what the sets are made from, so that the tests need neither a network nor other packages. Whose
they are stands in fixtures/README.md.
"""

import json
import lzma
import sys
from pathlib import Path

import numpy as np

from benchmarks.datasets.decisions import job_power
from benchmarks.datasets.fetch import fetched

FOLDER = Path(__file__).with_name("fixtures")
DAYS = slice(24 * 100, 24 * 140)


def weather():
    """Forty days of spring at the three sites."""
    with fetched(job_power.WHEEL) as path:
        hours = job_power.read(path)
    return {site: np.round(own[DAYS], 1).tolist() for site, own in hours.items()}


FIXTURES = {"weather": weather}


def load(name):
    """A fixture."""
    return json.loads(lzma.decompress((FOLDER / f"{name}.json.xz").read_bytes()))


def write(name):
    """Records it."""
    text = json.dumps(FIXTURES[name](), separators=(",", ":"), sort_keys=True)
    (FOLDER / f"{name}.json.xz").write_bytes(lzma.compress(text.encode(), preset=9))


if __name__ == "__main__":
    for chosen in sys.argv[1:] or FIXTURES:
        write(chosen)
