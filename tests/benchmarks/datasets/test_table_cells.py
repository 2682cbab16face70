"""What the cells of a column are: the rules of docs/data.md, on files that pandas wrote."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest

from benchmarks.datasets import DATASETS
from tests.benchmarks.datasets.tables import ROWS, by_domain, column, cycle, found, table, varied


@pytest.mark.parametrize(
    ("cells", "hint", "query", "values"),
    [
        (("1,5", "2,25", "3"), r"say decimal=,", "decimal=,", (1.5, 2.25, 3)),
        (("1.234,5", "2,25", "3"), r"say decimal=,&thousands=\.", "decimal=,&thousands=.", (1234.5, 2.25, 3)),
        (("1,234.5", "2.25", "3"), "say thousands=,", "thousands=,", (1234.5, 2.25, 3)),
        (("1,234", "12", "3"), "decimal=, or thousands=,", "thousands=,", (1234, 12, 3)),
        (("1 234", "12", "3"), "say thousands=space", "thousands=space", (1234, 12, 3)),
        (("1\u202f234,5", "12", "3"), "decimal=,&thousands=space", "decimal=,&thousands=space", (1234.5, 12, 3)),
        (("1'234", "12", "3"), "say thousands='", "thousands='", (1234, 12, 3)),
        (("1.234.567", "12", "3"), r"decimal=,&thousands=\.", "decimal=,&thousands=.", (1234567, 12, 3)),
    ],
)
def test_decimal_commas_and_thousands(name, cells, hint, query, values):
    frame = table(x=cycle(*cells)).drop(columns="age")
    with pytest.raises(ValueError, match=f"'x' of the table holds numbers that are written another way.*{hint}"):
        DATASETS[name(frame)]
    entry = DATASETS[name(frame, query)]
    assert np.array_equal(column(entry), by_domain(cycle(*values)))


def test_points_that_may_part_thousands_are_asked_for(name):
    frame = table(x=cycle("1.234", "12.500", "999", "45.100")).drop(columns="age")
    with pytest.raises(ValueError, match=r"may part thousands.*thousands=\.&decimal=,.*allow=thousands"):
        DATASETS[name(frame)]
    assert column(DATASETS[name(frame, "decimal=,&thousands=.")]).max() == 45100
    assert column(DATASETS[name(frame, "allow=thousands")]).max() == 999


def test_one_stray_word_among_numbers(name):
    cells = varied()
    cells[16] = "?"
    with pytest.raises(ValueError, match=r"'x' .* numbers but for '\?' \(1 cell, first in row 17\).*empty=\?"):
        DATASETS[name(table(x=cells))]
    entry = DATASETS[name(table(x=cells), "empty=?&missing=mean")]
    assert np.isnan(column(entry)).sum() == 1
    words = ["<5", *cells[1:16], "7", *cells[17:]]
    with pytest.raises(ValueError, match="'<5'"):
        DATASETS[name(table(x=words))]


def test_words_for_nothing_among_numbers_are_empty_cells(name):
    cells = varied()
    cells[3], cells[4], cells[5] = "NA", "nan", "None"
    with pytest.raises(ValueError, match=r"empty cells in x \(3\)"):
        DATASETS[name(table(x=cells))]
    assert np.isnan(column(DATASETS[name(table(x=cells), "missing=mean")])).sum() == 3


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_decimals_and_truth_values(name, ending):
    amounts = [decimal.Decimal(number * 37 % 89) / 4 for number in range(ROWS)]
    frame = table(x=amounts, smoker=cycle(True, False, False, True, True)).drop(columns="age")
    entry = DATASETS[name(frame, ending=ending)]
    assert entry.columns == ("x", "smoker")
    assert np.array_equal(column(entry), by_domain([float(amount) for amount in amounts]))
    assert np.array_equal(column(entry, "smoker"), by_domain(cycle(1, 0, 0, 1, 1)))


@pytest.mark.parametrize("word", ["inf", "-Infinity", "1e400"])
def test_numbers_that_are_not_finite(name, word):
    with pytest.raises(ValueError, match="not finite"):
        DATASETS[name(table(x=[word, *varied()[1:]]))]


def test_codes_keep_their_noughts(name):
    with pytest.raises(ValueError, match=r"codes that begin with a nought, as '01'.*words=x"):
        DATASETS[name(table(x=cycle("01", "02", "10")))]
    entry = DATASETS[name(table(x=cycle("01", "02", "10", "01")), "words=x")]
    assert entry.columns == ("age", "x=01", "x=02", "x=10")
    assert DATASETS[name(table(y=cycle("01", "02")))].classes == ("01", "02")


@pytest.mark.parametrize("cells", [("12 kg", "15 kg", "13.5 kg"), ("$3.50", "$4.25", "$7"), ("5%", "17%", "3.5%")])
def test_units(name, cells):
    with pytest.raises(ValueError, match=r"numbers with units.*take the units away"):
        DATASETS[name(table(x=cycle(*cells)))]
    assert len(DATASETS[name(table(x=cycle(*cells, cells[0])), "words=x")].columns) == 4


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (("2024-01-31", "2024-02-01"), "dates"),
        (("31.01.2024", "1.2.2024"), "dates"),
        (("1/31/2024 12:30", "2/1/2024 4:05"), "dates"),
        (("2024-01-31T12:30:00Z", "2024-02-01T00:00:00Z"), "dates"),
        (("Jan 31, 2024", "1 Feb 2024"), "dates"),
        (("12:30", "04:05:06"), "times"),
        (("1 days 02:03:04", "2 days"), "durations"),
        (("PT5M", "P1DT2H"), "durations"),
        (("[1, 2]", "[3]"), "lists"),
        (('{"a": 1}', '{"b": 2}'), "lists"),
    ],
)
def test_dates_times_durations_and_lists_as_text(name, cells, kind):
    frame = table(x=cycle(*cells, cells[0]))
    with pytest.raises(ValueError, match=f"'x' of the table holds {kind}, as .*drop=x, or words=x"):
        DATASETS[name(frame)]
    assert len(DATASETS[name(frame, "words=x")].columns) == 3


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ((pd.Timestamp("2024-01-31"), pd.Timestamp("2024-02-01 12:30")), "dates"),
        ((pd.Timestamp("2024-01-31", tz="UTC"), pd.Timestamp("2024-02-01 12:30", tz="UTC")), "dates"),
        ((datetime.date(2024, 1, 31), datetime.date(2024, 2, 1)), "dates"),
        ((datetime.time(12, 30), datetime.time(4, 5, 6)), "times"),
        ((pd.Timedelta("1h"), pd.Timedelta("2 days")), "durations"),
        (([1, 2], [3]), "lists"),
        (({"a": 1}, {"a": 2}), "lists"),
        ((b"ab", b"cd"), "bytes"),
    ],
)
def test_dates_times_durations_and_lists_with_a_type(name, cells, kind):
    with pytest.raises(ValueError, match=f"'x' of the table holds {kind}"):
        DATASETS[name(table(x=cycle(*cells)), ending=".parquet")]


@pytest.mark.parametrize("cell", ["120/{}", "{} ± 2", "1:{}", "{}.5/80"])
def test_pairs_of_numbers_are_no_words(name, cell):
    with pytest.raises(ValueError, match=r"holds pairs of numbers.*make a column of each part"):
        DATASETS[name(table(x=[cell.format(70 + number % 9) for number in range(ROWS)]))]


@pytest.mark.parametrize("words", [("Jan-2020", "May 21"), ("2020-W05", "2021W40")])
def test_months_and_weeks_are_dates(name, words):
    with pytest.raises(ValueError, match="holds dates"):
        DATASETS[name(table(x=cycle(*words)))]


def test_words_that_begin_like_a_month_are_words(name):
    assert "x=marker-12" in DATASETS[name(table(x=cycle("marker-12", "decoy 15", "junction-20")))].columns


def test_words_that_differ_in_writing_are_said(name):
    entry = DATASETS[name(table(x=cycle("low", "Low", "high", "low")))]
    assert "differ in their writing only ('Low' and 'low')" in found(entry, "spelling")
    for role in ("domain", "y"):
        frame = table()
        frame.loc[7, role] = f" {frame.loc[7, role].upper()}"
        with pytest.raises(ValueError, match=r"differ in their writing only.*allow=spelling"):
            DATASETS[name(frame)]
        assert len(DATASETS[name(frame, "allow=spelling")].classes) == (3 if role == "y" else 2)


def test_zero_as_number_and_as_text_is_one_class(name):
    """Whole columns decide: 300,000 rows are more than pandas looks at in one chunk."""
    rows = 300_000
    lines = [
        f"{'ab'[n % 2]},{(n * 7 % 10) / 10},{n // 2 % 2 if n < rows - 9 else f'{n // 2 % 2}.0'}" for n in range(rows)
    ]
    entry = DATASETS[name("domain,x,y\n" + "\n".join(lines) + "\n")]
    assert entry.classes == ("0", "1")
    assert sum(map(len, entry.factory().domains)) == rows
    lines = [f"{n % 2},{(n * 7 % 10) / 10},{n // 2 % 2}" for n in range(rows - 1)] + ["zero,0.5,1"]
    assert DATASETS[name("domain,x,y\n" + "\n".join(lines) + "\n") + "?words=x"].domains == ("0", "1", "zero")
