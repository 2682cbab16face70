"""What stands in an Excel sheet beside its values: formulas that nobody has computed, merged cells, hidden rows."""

from __future__ import annotations

from pathlib import Path

from benchmarks.datasets.inventory import Finding

__all__ = ["look_into"]


def look_into(path: Path, sheet: str) -> list[Finding]:
    """What is to be said of a sheet. Imports openpyxl.

    Raises:
        ValueError: if its cells would be read as empty though they show something.
    """
    import openpyxl

    page = openpyxl.load_workbook(path)[sheet]
    merged = [str(area) for area in page.merged_cells.ranges]
    if merged:
        raise ValueError(
            f"cells of the sheet {sheet} are merged ({_some(merged)}), and all but the first of each would be empty: "
            "take the merging away and fill them"
        )
    formulas = [cell.coordinate for row in page.iter_rows() for cell in row if cell.data_type == "f"]
    if formulas:
        values = openpyxl.load_workbook(path, data_only=True)[sheet]
        # A formula may show nothing; that none of them shows anything is the work of a program that does not compute.
        if all(values[place].value is None for place in formulas):
            raise ValueError(
                f"the sheet {sheet} holds {len(formulas)} formulas ({_some(formulas)}) and no value of them, as "
                "programs write it that do not compute: open and save it in Excel or LibreOffice, or save it as CSV"
            )
    rows = sum(1 for number, row in page.row_dimensions.items() if row.hidden and number <= page.max_row)
    columns = sum(1 for column in page.column_dimensions.values() if column.hidden)
    if rows or columns:
        hidden = " and ".join([f"{rows} rows"] * bool(rows) + [f"{columns} blocks of columns"] * bool(columns))
        return [Finding("hidden", f"{hidden} of the sheet {sheet} are hidden, and are taken like all others")]
    return []


def _some(places: list[str]) -> str:
    return ", ".join(places[:3]) + (f" and {len(places) - 3} more" if len(places) > 3 else "")
