"""What a column is an input of: row numbers, identifiers, days, words, numbers for what is missing."""

import numpy as np
import pytest

from benchmarks.datasets import DATASETS
from benchmarks.datasets.inventory import RefusedError
from tests.benchmarks.datasets.tables import ROWS, column, cycle, found, table, varied


def test_the_index_that_a_program_wrote_is_left_out(name):
    entry = DATASETS[name(table(), index=True)]
    assert entry.columns == ("age",)
    assert "counts the rows of the file and is left out; allow=index" in found(entry, "index")
    entry = DATASETS[name(table(), "allow=index", index=True)]
    assert entry.columns == ("Unnamed: 0", "age")


def test_noise_sorted_by_label_cannot_be_told_by_the_row(name):
    """The row number told 96.8 % of labels that nothing else could tell."""
    frame = table().sort_values("y").reset_index(drop=True)
    assert DATASETS[name(frame, index=True)].columns == ("age",)


@pytest.mark.parametrize(
    "values",
    [
        range(ROWS),
        range(1, ROWS + 1),
        range(ROWS, 0, -1),
        np.random.default_rng(0).permutation(ROWS),
        np.arange(ROWS) // 3,  # within each domain
        np.cumsum(np.random.default_rng(0).integers(1, 9, ROWS)),  # what is left of a longer table
        np.arange(ROWS).astype(float),
    ],
)
def test_a_named_column_that_counts_rows_is_asked_for(name, values):
    frame = table(x=list(values))
    with pytest.raises(ValueError, match=r"'x' .*(rows?|row to row|each domain).*drop=x.*allow=index"):
        DATASETS[name(frame)]
    assert DATASETS[name(frame, "drop=x")].columns == ("age",)
    assert DATASETS[name(frame, "allow=index")].columns == ("age", "x")


def test_identifiers(name):
    numbers = np.random.default_rng(0).choice(10**6, ROWS, replace=False)
    with pytest.raises(ValueError, match=r"'x' holds as many whole numbers as rows.*allow=identifiers"):
        DATASETS[name(table(x=numbers))]
    with pytest.raises(ValueError, match=r"'x' of the table holds 60 different words in 60 rows.*drop=x"):
        DATASETS[name(table(x=[f"P{number:04}" for number in numbers]))]
    with pytest.raises(ValueError, match="more digits than can be told apart"):
        DATASETS[name(table(x=[str(10**20 + 7 * int(number)) for number in numbers]))]
    entry = DATASETS[name(table(patient_id=np.arange(ROWS) // 2 % 25))]
    assert "called like an identifier" in found(entry, "identifiers")


def test_a_column_without_name_that_is_no_index_is_an_input(name):
    entry = DATASETS[name(table(x=cycle(3, 1, 2, 7)).rename(columns={"x": ""}))]
    assert entry.columns == ("age", "Unnamed: 3")


def test_a_number_of_patients_in_order_is_said(name):
    text = found(DATASETS[name(table(x=np.arange(ROWS) // 2))], "index")
    assert "'x' never falls from row to row" in text
    assert "drop=x" in text


def test_days_written_as_whole_numbers(name):
    frame = table(x=cycle("20240131", "20240201", "20231231", "20240131"))
    with pytest.raises(ValueError, match=r"days or months written as whole numbers.*allow=dates"):
        DATASETS[name(frame)]


def test_months_as_whole_numbers_are_refused(name):
    with pytest.raises(RefusedError, match="days or months written as whole numbers, as 202001"):
        DATASETS[name(table(x=cycle(202001, 202012, 202101, 202105)))]
    assert "x" in DATASETS[name(table(x=cycle(202001, 202012, 202113, 202105)))].columns


def test_words_become_a_column_each_and_na_is_one_of_them(name):
    entry = DATASETS[name(table(x=cycle("low", " high", "NA", "low")))]
    assert entry.columns == ("age", "x=NA", "x=high", "x=low")
    assert "'x' holds 'NA' in 15 rows, which is taken as a word; empty=NA" in found(entry, "words")
    entry = DATASETS[name(table(x=cycle("low", " high", "NA", "low")), "empty=NA&missing=mean")]
    assert entry.columns == ("age", "x=high", "x=low")


def test_columns_that_are_the_same_everywhere_are_left_out_and_said(name):
    entry = DATASETS[name(table(x=cycle("1"), z=cycle("")))]
    assert entry.columns == ("age",)
    assert "x, z: empty or the same in all rows, and left out" in found(entry, "constant")


def test_a_number_for_what_is_missing_is_said(name):
    cells = varied()
    cells[3] = cells[9] = "-999"
    assert "'x' is -999 in 2 rows" in found(DATASETS[name(table(x=cells))], "sentinels")
    assert np.isnan(column(DATASETS[name(table(x=cells), "empty=-999&missing=mean")])).sum() == 2


def test_a_negative_sentinel_alone_below_zero_is_said(name):
    x = [-9 if number % 7 == 0 else number * 37 % 53 + 20 for number in range(ROWS)]
    assert "empty=-9" in found(DATASETS[name(table(x=x))], "sentinels")
