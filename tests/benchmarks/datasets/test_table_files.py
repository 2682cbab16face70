"""Kinds of files, separators, encodings, quotation marks, lines and columns without cells."""

import gzip

import numpy as np
import pytest

from benchmarks.datasets import DATASETS
from benchmarks.datasets.inventory import RefusedError
from tests.benchmarks.datasets.tables import ROWS, by_domain, column, cycle, found, table


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


@pytest.mark.parametrize("rows", [2, 5])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_two_lost_quotation_marks_that_glue_rows_are_refused(name, rows, ending):
    lines = table(ward=cycle("low", "high"), site=cycle("x", "z")).to_csv(index=False).splitlines()
    for number in (7, 7 + rows - 1):  # in the fourth column
        cells = lines[number].split(",")
        cells[3] = f'"{cells[3]}' if number == 7 else f'{cells[3]}"'
        lines[number] = ",".join(cells)
    text = ending.join(lines)
    with pytest.raises(RefusedError, match=r"separators of whole rows: ward in row 7; .*allow=quotes"):
        DATASETS[name(text)]
    assert sum(map(len, DATASETS[name(text, "allow=quotes")].factory().domains)) == ROWS - rows + 1


def test_cells_of_several_lines_are_said(name):
    """A note may have line breaks, and a comma or two."""
    entry = DATASETS[name(table(note=cycle("fine", "cough, some\nfever", "well, and\nnothing\nelse")))]
    assert "cells of note hold line breaks" in found(entry, "quotes")
    assert len(entry.columns) == 4
