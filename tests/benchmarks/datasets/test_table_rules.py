"""Every row of the rules for tables in docs/data.md, on files that pandas wrote."""

import datetime
import decimal
import gzip
import importlib.util
import io
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.datasets import DATASETS
from benchmarks.datasets.inventory import RefusedError
from benchmarks.datasets.lookup import _entry
from benchmarks.runs.protocol import fitted, leave_out

ROWS = 60


def table(**columns):
    """Three clinics, two classes, a column of noise, and others."""
    rng = np.random.default_rng(1)
    base = {
        "domain": np.array(["north", "south", "east"])[np.arange(ROWS) % 3],
        "y": np.array(["ill", "well"])[np.arange(ROWS) // 3 % 2],
        "age": rng.normal(60, 10, ROWS).round(2),
    }
    return pd.DataFrame({**base, **columns})


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


def column(entry, column="x"):
    """An input over all rows, domain by domain."""
    number = entry.columns.index(column)
    return np.concatenate([domain.inputs[:, number].numpy() for domain in entry.factory().domains])


def by_domain(values):
    """In the order of the data set's domains."""
    places = np.arange(len(values)) % 3
    return np.concatenate([np.asarray(values)[places == place] for place in (2, 0, 1)])


def found(entry, what):
    return " ".join(finding.text for finding in entry.inventory().findings if finding.what == what)


def cycle(*words):
    return [words[number % len(words)] for number in range(ROWS)]


def varied():
    return [f"{number * 37 % 53 + 100}" for number in range(ROWS)]


# --- columns that a program wrote ------------------------------------------------------------------------------------


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


# --- numbers ---------------------------------------------------------------------------------------------------------


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


def test_a_number_for_what_is_missing_is_said(name):
    cells = varied()
    cells[3] = cells[9] = "-999"
    assert "'x' is -999 in 2 rows" in found(DATASETS[name(table(x=cells))], "sentinels")
    assert np.isnan(column(DATASETS[name(table(x=cells), "empty=-999&missing=mean")])).sum() == 2


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


# --- what has no meaning as a number ---------------------------------------------------------------------------------


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


def test_days_written_as_whole_numbers(name):
    frame = table(x=cycle("20240131", "20240201", "20231231", "20240131"))
    with pytest.raises(ValueError, match=r"days or months written as whole numbers.*allow=dates"):
        DATASETS[name(frame)]


# --- words -----------------------------------------------------------------------------------------------------------


def test_words_become_a_column_each_and_na_is_one_of_them(name):
    entry = DATASETS[name(table(x=cycle("low", " high", "NA", "low")))]
    assert entry.columns == ("age", "x=NA", "x=high", "x=low")
    assert "'x' holds 'NA' in 15 rows, which is taken as a word; empty=NA" in found(entry, "words")
    entry = DATASETS[name(table(x=cycle("low", " high", "NA", "low")), "empty=NA&missing=mean")]
    assert entry.columns == ("age", "x=high", "x=low")


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


# --- targets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (range(ROWS), "60 different whole numbers in 60 rows.*task=classification or task=regression"),
        ([number % 25 for number in range(ROWS)], "25 different whole numbers"),
        (cycle("12 kg", "15 kg", "13.5 kg"), "numbers with units"),
        (["?", *varied()[1:]], r"numbers but for '\?' \(1 cell, first in row 1\)"),
        (cycle("1,5", "2,5"), "say decimal=,"),
        (cycle("2024-01-31", "2024-02-01"), "holds dates"),
        ([f"word {number}" for number in range(ROWS)], "60 different values.*too many to be classes"),
        (cycle("ill"), "one class only"),
        (["", *cycle("ill", "well")[1:]], "'y' of the table is empty in 1 rows"),
        (cycle("", "1.5", "2.5"), "'y' of the table is empty in 20 rows"),
        (cycle("0.5", "0.5"), "there is nothing to predict"),
        (cycle("100000000.5", "100000001.25", "100000002.75"), "keep seven digits"),
    ],
)
def test_targets_that_are_asked_back(name, cells, message):
    with pytest.raises(ValueError, match=message):
        DATASETS[name(table(y=list(cells)))]


def test_the_task_that_is_said_is_taken(name):
    counts = [number % 25 for number in range(ROWS)]
    assert DATASETS[name(table(y=counts), "task=regression")].classes == ()
    assert DATASETS[name(table(y=counts), "task=classification")].classes == tuple(map(str, range(25)))
    entry = DATASETS[name(table(y=cycle("3", "10", "9", "10", "9", "10")))]
    assert entry.classes == ("3", "9", "10")
    assert entry.factory().domains[1].labels[:2].tolist() == [0, 2]  # north: rows 0, 3, ...
    assert DATASETS[name(table(y=cycle("1.5", "2.5", "9", "9"), x=varied()), "words=y")].classes == ("1.5", "2.5", "9")


def test_na_and_none_are_labels(name):
    entry = DATASETS[name(table(y=cycle("NA", "EU", "None", "EU")))]
    assert entry.classes == ("EU", "NA", "None")
    assert "empty=NA,None makes these cells empty" in found(entry, "words")
    entry = DATASETS[name(table(y=cycle("NA", "None", "NA")))]  # nothing else in the column
    assert entry.classes == ("NA", "None")


def test_na_among_the_numbers_of_a_target_is_asked_back(name):
    frame = table(y=cycle("0", "1"))
    frame.loc[7, "y"] = "NA"
    with pytest.raises(ValueError, match=r"'y' holds 'NA' in 1 rows, which among numbers is an empty cell.*words=y"):
        DATASETS[name(frame)]
    assert DATASETS[name(frame, "words=y")].classes == ("0", "1", "NA")


def test_a_table_that_is_refused_shows_what_is_in_it(name):
    frame = table(row=range(ROWS))
    with pytest.raises(RefusedError, match=r"'row' counts the rows.*--allow index") as caught:
        DATASETS[name(frame)]
    (columns,) = [section for section in caught.value.inventory.sections if section.title == "Columns"]
    assert ("row", "whole numbers", "0 .. 59", "0", "a number") in columns.rows


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("target=domain", "target=domain is the column of domains"),
        ("drop=y", "drop=y leaves out the target"),
        ("drop=domain", "drop=domain leaves out the domain"),
        ("group=y", "group=y is the target"),
        ("group=domain", "group=domain is the domain"),
        ("target=Y", r"target=Y: there is no such column.*Did you mean 'y'\?"),
        ("words=domain", "words=domain is for inputs and the target"),
        ("allow=leak", "allows what was not found"),
        ("decimal=;", "decimal must be"),
        ("thousands=.", "thousands must be"),
        ("separator=ab", "separator must be one sign"),
        ("sheet=a", r"sheet is for \.xlsx"),
    ],
)
def test_options_that_are_refused(name, query, message):
    with pytest.raises(ValueError, match=message):
        DATASETS[name(table(), query)]


def test_two_targets_and_names_that_are_the_same(name):
    with pytest.raises(ValueError, match="label and y may both be the target"):
        DATASETS[name(table(label=cycle(1, 2)))]
    for other in ("age", " age", "a ge", "a  ge"):
        frame = table(x=varied()).rename(columns={"x": other})
        if other == "a ge":
            frame["a  ge"] = frame["a ge"]
        elif other == "a  ge":
            continue
        with pytest.raises(ValueError, match="are the same or differ in blanks only"):
            DATASETS[name(frame)]


def test_names_that_hold_the_sign_between_names(name):
    frame = table(x=varied()).rename(columns={"x": "dose, mg+ml"})
    assert DATASETS[name(frame, "drop=dose, mg%2Bml,age&target=y").replace(",age", "")].columns == ("age",)


# --- files -----------------------------------------------------------------------------------------------------------


def test_separators_decimals_and_encodings(name):
    frame = table(x=cycle(1.5, 2.25, 3.0, 7.5), ward=cycle("Köln", "Orléans"))
    with pytest.raises(ValueError, match="say separator=;"):
        DATASETS[name(frame, sep=";", decimal=",")]
    with pytest.raises(ValueError, match="say separator=tab"):
        DATASETS[name(frame, sep="\t")]
    entry = DATASETS[name(frame, "separator=;&decimal=,", sep=";", decimal=",")]
    assert np.array_equal(column(entry), by_domain(cycle(1.5, 2.25, 3.0, 7.5)))
    assert DATASETS[name("sep=;\n" + frame.to_csv(sep=";", index=False))].columns == entry.columns
    assert DATASETS[name(frame, ending=".tsv", sep="\t")].columns == entry.columns
    assert DATASETS[name(frame, encoding="utf-8-sig")].columns == entry.columns
    for encoding, said in (("cp1252", "cp1252"), ("utf-16", "utf-16")):
        with pytest.raises(ValueError, match="encoding="):
            DATASETS[name(frame, encoding=encoding)]
        entry = DATASETS[name(frame, f"encoding={said}", encoding=encoding)]
        assert "ward=Köln" in entry.columns
    with pytest.raises(ValueError, match=r"it is UTF-8.*leave encoding out"):
        DATASETS[name(frame, "encoding=cp1252")]
    with pytest.raises(ValueError, match="encoding=klingon is none"):
        DATASETS[name(frame, "encoding=klingon")]


@pytest.mark.parametrize(
    ("content", "ending", "message"),
    [
        ("domain,y,x\na,1,2,3\nb,0,1,2\n", ".csv", "has more cells than the line of names"),
        ("domain,y,x\na,1,2\nb,0\n", ".csv", "row 2 has 2 cells and the line of names 3"),
        ("a,1,2\nb,0,1\n", ".csv", "The first line must hold the names of columns"),
        (b"PK\x03\x04...", ".csv", "an Excel file or another archive"),
        (b"PAR1....", ".csv", "a Parquet file by its content"),
        (b"\x1f\x8b....", ".csv", "packed by gzip"),
        (gzip.compress(b"domain,y,x\na,1,2\n" * 99, mtime=0)[:-20], ".csv.gz", "cannot be read: EOFError"),
        ("<!DOCTYPE html><html>", ".csv", "a page of the web"),
        ("version https://git-lfs.github.com/spec/v1", ".parquet", "a pointer of Git LFS"),
        ("domain,y,x\n", ".csv", "has no rows"),
        ("x", ".xls", "save it as .xlsx"),
    ],
)
def test_files_that_are_something_else(name, content, ending, message):
    with pytest.raises(ValueError, match=message):
        DATASETS[name(content, ending=ending)]


def test_rows_and_columns_without_cells_are_left_out_and_said(name):
    frame = table()
    lines = frame.to_csv(index=False).splitlines()
    entry = DATASETS[name("\n".join([lines[0] + ",,", *(line + ",," for line in lines[1:]), ",,,,", ",,,,"]))]
    assert sum(map(len, entry.factory().domains)) == ROWS
    assert "2 columns without a name and without cells" in found(entry, "empty")
    assert "2 rows without any cell" in found(entry, "empty")


def test_parquet_keeps_a_named_index_and_says_an_unnamed_one(name):
    entry = DATASETS[name(table().set_index("domain"), ending=".parquet", index=True)]
    assert entry.domains == ("east", "north", "south")
    words = [f"row {number}" for number in range(ROWS)]
    entry = DATASETS[name(table().set_axis(words), ending=".parquet", index=True)]
    assert "has no name and is left out" in found(entry, "index")


def _archive():
    """That holds no workbook."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("note.txt", "no workbook")
    return content.getvalue()


@pytest.mark.skipif(importlib.util.find_spec("openpyxl") is not None, reason="the extra `excel` is here")
def test_excel_without_its_extra(name):
    with pytest.raises(ValueError, match=r"need openpyxl; pip install -e '\.\[excel\]'"):
        DATASETS[name(b"PK\x03\x04", ending=".xlsx")]


def test_excel_sheets_and_mixed_cells(tmp_path):
    pytest.importorskip("openpyxl", reason="the extra `excel` brings it")
    frame = table(x=cycle("1.5", 2.5, 3, 7.5)).drop(columns="age")
    frame["y"] = [0 if number % 2 else "0" for number in range(30)] + [1 if number % 2 else "1" for number in range(30)]
    path = tmp_path / "table.xlsx"
    with pd.ExcelWriter(path) as writer:
        frame.to_excel(writer, sheet_name="data", index=False)
        pd.DataFrame({"note": ["read me"]}).to_excel(writer, sheet_name="notes", index=False)
    with pytest.raises(ValueError, match=r"2 sheets with cells; say sheet=\.\.\., sheets are data, notes"):
        DATASETS[f"table:{path}"]
    with pytest.raises(ValueError, match="sheet=date: there is no such sheet"):
        DATASETS[f"table:{path}?sheet=date"]
    entry = DATASETS[f"table:{path}?sheet=data"]
    assert entry.classes == ("0", "1")
    assert np.array_equal(column(entry), by_domain(cycle(1.5, 2.5, 3, 7.5)))
    for content, damage in ((b"PK\x03\x04 cut off", "BadZipFile"), (_archive(), "KeyError")):
        (tmp_path / "damaged.xlsx").write_bytes(content)
        _entry.cache_clear()
        with pytest.raises(ValueError, match=f"cannot be read: {damage}"):
            DATASETS[f"table:{tmp_path / 'damaged.xlsx'}"]
    dates = table(x=cycle(datetime.datetime(2024, 1, 31), datetime.datetime(2024, 2, 1, 12)))
    dates.to_excel(tmp_path / "dates.xlsx", index=False)
    with pytest.raises(ValueError, match="holds dates"):
        DATASETS[f"table:{tmp_path / 'dates.xlsx'}"]


# --- scaling, domains, groups ----------------------------------------------------------------------------------------


def test_what_differs_beyond_seven_digits_is_kept(name):
    small = np.array(cycle(0.25, 0.5, 0.75, 1.0, 1.5))
    entry = DATASETS[name(table(x=1.7e9 + small).drop(columns="age"))]
    split = fitted(leave_out(entry.factory(), ("north",), seed=0), entry.fit)
    assert split.inputs.dtype == torch.float32
    assert len(split.inputs.unique()) == 5
    own = torch.as_tensor(np.unique(small))
    assert torch.allclose(
        split.inputs.unique().diff() / split.inputs.unique().diff()[0], (own.diff() / own.diff()[0]).float()
    )


def test_what_is_the_same_in_training_is_left_out_of_the_held_out_domain(name):
    frame = table(
        x=np.where(np.arange(ROWS) % 3 == 0, 0.7, 0.1), dose=np.where(np.arange(ROWS) % 12 == 0, "new", "old")
    )
    entry = DATASETS[name(frame)]
    text = found(entry, "constant")
    assert "x, dose=new, dose=old with north held out" in text
    split = fitted(leave_out(entry.factory(), ("north",), seed=0), entry.fit)
    for wanted in ("x", "dose=new", "dose=old"):
        assert (split.held_out[0].inputs[:, entry.columns.index(wanted)] == 0).all()
    split = fitted(leave_out(entry.factory(), ("south",), seed=0), entry.fit)
    assert split.inputs[:, entry.columns.index("x")].std() > 0


def test_columns_that_are_the_same_everywhere_are_left_out_and_said(name):
    entry = DATASETS[name(table(x=cycle("1"), z=cycle("")))]
    assert entry.columns == ("age",)
    assert "x, z: empty or the same in all rows, and left out" in found(entry, "constant")


def test_groups_in_several_domains_are_said(name):
    frame = table(patient=np.arange(ROWS) // 3)
    entry = DATASETS[name(frame, "group=patient")]
    assert "20 of 20 groups of patient stand in several domains" in found(entry, "groups")
    assert "a held-out domain is tested on one fold of five" in found(entry, "groups")
    entry = DATASETS[name(frame, "group=domain+patient")]
    assert not found(entry, "groups")
    data = entry.factory()
    assert len(torch.cat([domain.groups for domain in data.domains]).unique()) == 60
    assert len(leave_out(data, ("north",), seed=0).held_out[0]) == 20


def test_what_else_looks_wrong_is_said(name):
    frame = table(site=np.arange(ROWS) % 3 + 7, x=cycle(1, 2))
    frame["again"] = frame["y"].map({"ill": 5, "well": 6})
    frame.loc[frame["domain"] == "east", "y"] = "ill"
    frame.loc[3] = frame.loc[0]
    frame.loc[4] = frame.loc[0].where(frame.columns != "domain", "south")
    entry = DATASETS[name(frame)]
    assert "east has no row of well" in found(entry, "classes")
    assert "3 of 60 rows are the same" in found(entry, "copies")
    assert "1 of these kinds stand in several domains" in found(entry, "copies")
    frame = table(site=np.arange(ROWS) % 3 + 7)
    frame["again"] = frame["y"].map({"ill": 5, "well": 6})
    entry = DATASETS[name(frame)]
    assert "site: the same in all rows of a domain" in found(entry, "domains")
    assert "again: it is the target in other words" in found(entry, "leak")
    frame.loc[frame["domain"] == "east", "age"] = np.nan
    assert "age in east" in found(DATASETS[name(frame, "missing=mean")], "missing")
    frame["y"] = np.linspace(1000, 90000, ROWS) + 0.5
    assert "say scale=10000" in found(DATASETS[name(frame, "drop=age")], "scale")


def test_domains_are_no_rows(name):
    with pytest.raises(ValueError, match="names rows rather than domains"):
        DATASETS[name(table(domain=[f"patient {number}" for number in range(ROWS)]))]
    assert DATASETS[name(table(domain=cycle(10, 9, 2)))].domains == ("2", "9", "10")


def test_the_inventory_counts_rows_and_columns(name):
    frame = table(smoker=cycle(True, False, False, True, True), dose=cycle("low", "high"), patient=np.arange(ROWS) // 4)
    entry = DATASETS[name(frame, "group=patient&drop=dose")]
    rows, columns = entry.inventory().sections
    counts = frame.groupby(["domain", "y"]).size().unstack()
    assert rows.columns == ("domain", "rows", "ill", "well")
    assert rows.rows[0] == ("east", "20", str(counts.loc["east", "ill"]), str(counts.loc["east", "well"]))
    assert [row[0] for row in columns.rows] == ["age", "smoker", "domain", "y", "patient", "dose"]
    assert columns.rows[1] == ("smoker", "truth values", "true 36, false 24", "0", "a number")
    assert [row[-1] for row in columns.rows[2:]] == ["the domain", "the target", "the group", "left out: drop"]
    quantity = DATASETS[name(frame.assign(y=np.arange(ROWS) / 7), "drop=patient")]
    east = (np.arange(ROWS) / 7)[2::3]
    assert quantity.inventory().sections[0].rows[0][:3] == ("east", "20", f"{east.mean():.4g}")


def workbook(path, change):
    """A sheet with three clinics, two classes and a column x, and what `change` does to it."""
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(["domain", "y", "x"])
    for row in range(ROWS):
        book.active.append([["north", "south", "east"][row * 3 // ROWS], row % 2, row * 7 % 11])
    change(book.active)
    book.save(path)
    return f"table:{path}"


def test_formulas_without_values_are_no_empty_cells(tmp_path):
    pytest.importorskip("openpyxl")

    def change(sheet):
        for row in range(2, ROWS + 2):
            sheet[f"C{row}"] = f"=B{row}*2"

    with pytest.raises(ValueError, match=r"60 formulas \(C2, C3, C4 and 57 more\) and no value of them.*LibreOffice"):
        DATASETS[workbook(tmp_path / "t.xlsx", change)]


def test_merged_cells_are_refused_by_name(tmp_path):
    pytest.importorskip("openpyxl")
    with pytest.raises(ValueError, match=r"merged \(A2:A21\).*take the merging away"):
        DATASETS[workbook(tmp_path / "t.xlsx", lambda sheet: sheet.merge_cells("A2:A21"))]


def test_hidden_rows_are_said(tmp_path):
    pytest.importorskip("openpyxl")

    def change(sheet):
        sheet.row_dimensions[5].hidden = True

    entry = DATASETS[workbook(tmp_path / "t.xlsx", change)]
    assert [found.what for found in entry.inventory().findings if "1 rows" in found.text] == ["hidden"]
    assert sum(len(domain.labels) for domain in entry.factory().domains) == ROWS


def test_a_target_that_names_the_domain_is_refused(name):
    site = np.array(["N", "S", "E"])[np.arange(ROWS) % 3]
    with pytest.raises(ValueError, match="no class of the target is in two domains"):
        DATASETS[name(table(site=site), "target=site")]


def test_a_stray_word_in_the_target_is_not_proposed_as_empty(name):
    y = np.array(["?", *map(str, np.arange(ROWS - 1) % 2)])
    with pytest.raises(ValueError, match="or drop these rows; or words=y") as error:
        DATASETS[name(table(y=y))]
    assert "empty=" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("north,1,1,0\nsouth,2,5,1\n", r"The first line must hold the names of columns: is it missing\?"),
        ("Study 12,,\ndomain,x,y\nnorth,1,0\n", "must hold the names of columns, and most cells of it are empty"),
        ("# of 2020\ndomain,x,y\nnorth,1,0\n", "must hold the names of columns; take away the lines above"),
        ('domain,x,y\nnorth,"a,0\nsouth,b,1\n', "A quotation mark there is not closed"),
    ],
)
def test_a_file_without_a_line_of_names_or_with_an_open_quotation_says_so(name, text, match):
    with pytest.raises(ValueError, match=match):
        DATASETS[name(text)]


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


def test_months_as_whole_numbers_are_refused(name):
    with pytest.raises(RefusedError, match="days or months written as whole numbers, as 202001"):
        DATASETS[name(table(x=cycle(202001, 202012, 202101, 202105)))]
    assert "x" in DATASETS[name(table(x=cycle(202001, 202012, 202113, 202105)))].columns


def test_a_number_of_patients_in_order_is_said(name):
    text = found(DATASETS[name(table(x=np.arange(ROWS) // 2))], "index")
    assert "'x' never falls from row to row" in text
    assert "drop=x" in text


def test_a_negative_sentinel_alone_below_zero_is_said(name):
    x = [-9 if number % 7 == 0 else number * 37 % 53 + 20 for number in range(ROWS)]
    assert "empty=-9" in found(DATASETS[name(table(x=x))], "sentinels")


def test_thresholds_rounding_and_gaps_that_tell_the_target_are_said(name):
    rng = np.random.default_rng(3)
    ill = np.array(table()["y"] == "ill")
    assert "x: it is the target" in found(DATASETS[name(table(x=rng.normal(size=ROWS) + 20 * ill))], "leak")
    y = rng.normal(size=ROWS)
    assert "x: it is the target" in found(DATASETS[name(table(y=y, x=(2.2 * y).round(2)))], "leak")
    x = np.where(ill, rng.normal(size=ROWS), np.nan)
    assert "x: which cells are empty" in found(DATASETS[name(table(x=x), "missing=mean")], "leak")
    entry = DATASETS[name(table(x=rng.normal(size=ROWS) + ill))]
    assert "leak" not in {each.what for each in entry.inventory().findings}
