"""How many algorithms and data sets the pages say that there are."""

import re

import pytest

from benchmarks.algorithms import ALGORITHMS
from benchmarks.datasets import DATASETS
from tests.docs.pages import ROOT

SAID = {
    "README.md": [
        (r"(\d+) multi-domain sets", DATASETS),
        (r"(\d+) to choose from or compare with", ALGORITHMS),
        (r"your own data set and algorithm beside (\d+) others", ALGORITHMS),
    ],
    "docs/algorithms.md": [(r"lists the (\d+) that one would choose", ALGORITHMS)],
    "docs/tutorials/own-algorithm.md": [
        (r"compares it with (\d+) others", ALGORITHMS),
        (r"all (\d+) are \[in a table\]", ALGORITHMS),
    ],
}


@pytest.mark.parametrize("page", SAID)
def test_they_are_as_many_as_the_registry_has(page):
    text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
    for pattern, registry in SAID[page]:
        assert re.findall(pattern, text) == [str(len(registry))], pattern
