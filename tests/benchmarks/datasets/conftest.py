"""A folder for prepared data, a tree of pictures, tables that are written anew."""

import pytest

from benchmarks.datasets import cache
from benchmarks.datasets.lookup import _entry
from tests.benchmarks.datasets.trees import grey, tree


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """Data are prepared in a folder of the test."""
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path):
    """Three domains, two classes, files p0_000, p1_001, p2_002, p0_003, ... in every class."""
    return tree(tmp_path / "mine", grey)


@pytest.fixture
def name(tmp_path):
    """A function that writes a frame and gives the name of the data set."""

    def write(frame, query="", ending=".csv", **options):
        path = tmp_path / f"table{ending}"
        _entry.cache_clear()  # the file is written anew
        if isinstance(frame, (bytes, str)):
            path.write_bytes(frame.encode() if isinstance(frame, str) else frame)
        elif ending == ".parquet":
            frame.to_parquet(path, index=options.get("index", False))
        else:
            frame.to_csv(path, **{"index": False, **options})
        return f"table:{path}" + (f"?{query}" if query else "")

    return write
