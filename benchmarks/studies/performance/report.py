"""Tables for the terminal and the picture, from the rows of `results.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, StrMethodFormatter
from rich.table import Table

from benchmarks.reports.style import RC, Look, looks

Row = Mapping[str, Any]


def times(rows: Sequence[Row]) -> Table:
    """One line for each problem and method."""
    table = Table(title="A roll-out against its inner steps alone")
    for heading in ("problem", "method", "T"):
        table.add_column(heading)
    for heading in ("parameters", "ratio", "quartiles", "ms/update", "ms added/step", "limit", "share of limit"):
        table.add_column(heading, justify="right")
    for row in rows:
        task = row["task"]
        start = (task["problem"], row["name"], str(task["steps"]))
        if "skipped" in row:
            table.add_row(*start, "", row["skipped"])
            continue
        lower, upper = row["ratio_quartiles"]
        share = row.get("share_of_limit")
        table.add_row(
            *start,
            f"{row['parameters']:,}",
            f"{row['ratio']:.3f}",
            f"{lower:.3f} - {upper:.3f}",
            f"{1e3 * row['seconds_per_update']:.2f}",
            f"{1e3 * row['seconds_added_per_step']:.3f}",
            f"{row['limit_ratio']:.3f}" if "limit_ratio" in row else "",
            f"{share:.0%}" if share is not None else "",
        )
    return table


def memories(rows: Sequence[Row]) -> Table:
    """Peaks above that of the inner optimizer, in vectors of the size of the model too."""
    table = Table(title="Peak memory above the inner optimizer's own")
    for heading in ("problem", "method", "T"):
        table.add_column(heading)
    for heading in ("peak, MB", "above, MB", "in model sizes"):
        table.add_column(heading, justify="right")
    for row in rows:
        start = (row["task"]["problem"], row["name"], str(row["task"]["steps"]))
        if "skipped" in row:
            table.add_row(*start, "", "", row["skipped"])
        else:
            above = row["above"]
            table.add_row(*start, f"{row['peak'] / 1e6:.1f}", f"{above / 1e6:.1f}", f"{row['above_in_vectors']:.2f}")
    return table


def passes(rows: Sequence[Row]) -> Table:
    """Gram matrix and sum alone."""
    table = Table(title="Closing a roll-out (Gram matrix) and weighted sum alone")
    headings = ("parameters", "T", "record, ms", "close, ms", "sum, ms", "copy, ms")
    for heading in (*headings, "close and sum, share of copy bandwidth", "quartiles"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            f"{row['parameters']:,}",
            str(row["steps"]),
            *(f"{1e3 * row[f'{name}_seconds']:.2f}" for name in ("record", "close", "sum", "copy")),
            f"{row['share_of_copy_bandwidth']:.0%}",
            " - ".join(f"{share:.0%}" for share in row["share_of_copy_bandwidth_quartiles"]),
        )
    return table


def draw(timed: Sequence[Row], measured: Sequence[Row], path: Path) -> None:
    """Overhead against size, memory against size, and share of the limit."""
    timed = sorted((row for row in timed if "skipped" not in row), key=lambda row: row["parameters"])
    measured = sorted((row for row in measured if "skipped" not in row), key=lambda row: row["parameters"])
    names = list(dict.fromkeys(row["name"] for row in [*timed, *measured] if row["task"]["method"] != "inner"))
    styles = looks(names)
    with mpl.rc_context(RC):
        figure = Figure(figsize=(13, 4.6), layout="constrained")
        left, middle, right = figure.subplots(1, 3)
        for name in names:
            _line(left, [r for r in timed if r["name"] == name], "ratio", name, styles[name])
            _line(middle, [r for r in measured if r["name"] == name], "above_in_vectors", name, styles[name])
            shares = [r for r in timed if r["name"] == name and r.get("share_of_limit") is not None]
            _line(right, shares, "share_of_limit", name, styles[name])
        left.axhline(1, color="0.6", zorder=0)
        left.set(xscale="log", yscale="log", ylabel="time of a roll-out / its inner steps alone")
        low, high = left.get_ylim()
        left.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        left.yaxis.set_minor_formatter(NullFormatter())
        left.set_yticks([tick for tick in (0.5, 0.75, 1, 1.1, 1.25, 1.5, 2, 3, 5) if low <= tick <= high])
        middle.set(xscale="log", ylabel="peak above the inner optimizer / model size")
        if measured:  # an empty axis cannot be logarithmic
            middle.set_yscale("log")
            middle.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            middle.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            middle.yaxis.set_minor_formatter(NullFormatter())
        right.set(xscale="log", ylabel="least time by bytes or products / time added", ylim=(0, 1))
        for axes in (left, middle, right):
            axes.set_xlabel("parameters")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
            axes.xaxis.set_major_formatter(EngFormatter())
            axes.xaxis.set_minor_formatter(NullFormatter())
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(names))
        figure.savefig(path, dpi=150)


def _line(axes: Axes, rows: Sequence[Row], key: str, name: str, look: Look) -> None:
    places, values = [row["parameters"] for row in rows], [row[key] for row in rows]
    axes.plot(places, values, label=name, linestyle=look.dashes, linewidth=1, **look.marks)
    if key == "ratio":
        errors = [row["ratio_quartiles"] for row in rows]
        axes.vlines(places, [low for low, _ in errors], [high for _, high in errors], color=look.colour)
