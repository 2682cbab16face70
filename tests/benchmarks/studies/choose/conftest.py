"""Sets that the study registers are gone after each test: others look at the whole registry."""

import pytest

from benchmarks.datasets import DATASETS


@pytest.fixture(autouse=True)
def registry_as_it_was():
    before = dict(DATASETS)
    yield
    for name in set(DATASETS) - set(before):
        del DATASETS[name]
