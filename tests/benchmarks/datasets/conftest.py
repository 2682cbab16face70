"""Names of tables that are written anew."""

import pytest

from benchmarks.datasets.lookup import _entry


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
