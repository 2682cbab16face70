"""Workbooks: sheets, cells of several types, formulas, merged cells, hidden rows."""

import datetime
import importlib.util
import io
import zipfile

import numpy as np
import pandas as pd
import pytest

from benchmarks.datasets import DATASETS
from benchmarks.datasets.lookup import _entry
from tests.benchmarks.datasets.tables import ROWS, by_domain, column, cycle, table


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
    assert [found.what for found in entry.inventory().findings if "1 row" in found.text] == ["hidden"]
    assert sum(len(domain.labels) for domain in entry.factory().domains) == ROWS
