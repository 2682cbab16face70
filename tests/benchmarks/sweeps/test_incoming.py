"""What is refused as a record, and what it is called."""

import math

import pytest

from benchmarks.sweeps.store import Store, StoreError
from benchmarks.sweeps.store.importing import bring_in
from tests.benchmarks.sweeps.test_importing import SWEEP, record


def damaged(path, value):
    """A record with another value at a path of names; without the name if the value is `KeyError`."""
    found = record(SWEEP.runs()[1], "x")
    *way, name = path
    inner = found
    for step in way:
        inner[step] = dict(inner[step])
        inner = inner[step]
    if value is KeyError:
        del inner[name]
    else:
        inner[name] = value
    return found


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (["selections"], KeyError, "has no 'selections'"),
        (["config", "seed"], KeyError, "has no 'seed'"),
        (["config", "seed"], "three", "seed must be a whole number, got 'three'"),
        (["config", "algorithm"], None, "algorithm must be a text, got None"),
        (["evaluations"], 1.5, "evaluations must be a whole number, got 1.5"),
        (["curves", "loss"], ["low"], "loss must be a number, got 'low'"),
        (["curves", "loss"], [math.nan], "not JSON compliant"),
        (["domain_curves"], {"10%": [math.inf]}, "not JSON compliant"),
        (["curves"], "none", "is damaged"),
        (["timings"], {"wall_seconds": "long"}, "wall_seconds must be a number, got 'long'"),
        (["attempts"], ["first"], "is damaged"),
    ],
)
def test_a_damaged_record_is_named(tmp_path, path, value, said):
    """Nothing of its batch comes in, and the same records come in when it is mended."""
    whole = record(SWEEP.runs()[0], "x")
    wrong = damaged(path, value)
    with Store(tmp_path / "store.sqlite") as store:
        with pytest.raises(StoreError, match=f"run {wrong['key']}.*{said}"):
            bring_in(store, [whole, wrong])
        assert store.records() == []
        assert bring_in(store, [whole, record(SWEEP.runs()[1], "x")]).new == 2


def test_words_that_look_like_no_number_are_words(tmp_path):
    """NaN in a text is a text."""
    found = record(SWEEP.runs()[0], "x", failure="error", error="the loss was NaN, or Infinity", status="failed")
    with Store(tmp_path / "store.sqlite") as store:
        assert bring_in(store, [found]).new == 1
        assert store.records()[0]["error"] == "the loss was NaN, or Infinity"
