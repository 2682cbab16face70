"""records.jsonl beside a store: it never loses rows, and nothing is begun anew where it lies."""

import pytest

from benchmarks.reports.load import load_records
from benchmarks.sweeps.coordinator import perform
from benchmarks.sweeps.store import Store, StoreError
from benchmarks.sweeps.store.importing import bring_in
from benchmarks.sweeps.store.transfer import read_lines
from tests.benchmarks.toy_sweeps import comparable, toy_sweep


def test_a_second_sweep_in_the_folder_keeps_the_rows_of_the_first(tmp_path):
    with Store(tmp_path / "store.sqlite") as store:
        first = perform(toy_sweep("toy-sgd"), store, tmp_path)
        second = perform(toy_sweep("toy-nan"), store, tmp_path)
    assert comparable(read_lines(tmp_path / "records.jsonl")) == comparable([*first, *second])


def test_an_emptied_store_does_not_empty_the_file(tmp_path):
    sweep = toy_sweep()
    with Store(tmp_path / "store.sqlite") as store:
        records = perform(sweep, store, tmp_path)
    (tmp_path / "store.sqlite").unlink()
    before = (tmp_path / "records.jsonl").read_bytes()
    with Store(tmp_path / "store.sqlite") as store:
        with pytest.raises(StoreError, match=r"is empty, and .*records.jsonl holds records.*benchmarks import"):
            perform(sweep, store, tmp_path)
        assert (tmp_path / "records.jsonl").read_bytes() == before
        assert bring_in(store, read_lines(tmp_path / "records.jsonl")).new == 3  # what it says to do
        assert comparable(perform(sweep, store, tmp_path)) == comparable(records)


def test_rows_that_the_file_alone_has_stay(tmp_path):
    with Store(tmp_path / "store.sqlite") as store:
        first = perform(toy_sweep("toy-sgd"), store, tmp_path)
    (tmp_path / "store.sqlite").unlink()
    with Store(tmp_path / "store.sqlite") as store:
        bring_in(store, first[:1])  # not all came back
        second = perform(toy_sweep("toy-nan"), store, tmp_path)
    kept = {record["key"] for record in read_lines(tmp_path / "records.jsonl")}
    assert kept == {record["key"] for record in (*first, *second)}


def test_a_report_reads_the_store_before_the_file(tmp_path):
    """A coordinator that was killed has written to the store only."""
    sweep = toy_sweep("toy-sgd", "toy-nan")
    with Store(tmp_path / "store.sqlite") as store:
        records = perform(sweep, store, tmp_path)
    lines = (tmp_path / "records.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "records.jsonl").write_text("".join(lines[:2]))
    assert len(load_records(str(tmp_path))) == len(records) == 6
