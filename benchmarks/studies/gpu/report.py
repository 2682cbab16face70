"""Tables for the terminal, from a record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.table import Table

from benchmarks.studies.gpu.record import Record
from benchmarks.studies.performance import report


def tables(record: Record) -> Iterator[Table]:
    """Those for which there is something to show, and always the parts and the targets."""
    yield _parts(record)
    if record.times:
        yield report.times(record.times)
    if record.passes:
        yield report.passes(record.passes)
    if record.overlaps:
        yield _overlaps(record)
    yield _targets(record)


def _parts(record: Record) -> Table:
    table = Table("part", "outcome", "seconds", "", title=f"{record.card.name}, driver {record.card.driver}")
    for part in record.parts:
        seconds = "" if part.seconds is None else f"{part.seconds:.0f}"
        table.add_row(part.name, part.outcome, seconds, part.reason or "")
    counts = Counter(test.outcome for test in record.tests)
    table.add_row("", ", ".join(f"{number} {outcome}" for outcome, number in counts.items()), "", "tests")
    skipped = Counter(test.reason for test in record.tests if test.outcome == "skipped")
    for reason, number in skipped.items():
        table.add_row("", f"{number} skipped", "", reason)
    for test in record.tests:
        if test.outcome in ("failed", "crashed"):
            said = (test.reason or "").strip().splitlines()
            table.add_row("", test.outcome, "", f"{test.name}: {said[-1]}" if said else test.name)
    return table


def _overlaps(record: Record) -> Table:
    table = Table(title="Displacements in host memory against displacements on the device")
    table.add_column("problem")
    for heading in ("parameters", "T", "ratio", "quartiles", "copies alone, ms", "GB/s", "hidden share", "quartiles"):
        table.add_column(heading, justify="right")
    for row in record.overlaps:
        (low, ratio, high), (least, share, most) = row["ratio"], row["hidden_share"]
        table.add_row(
            row["problem"],
            f"{row['parameters']:,}",
            str(row["steps"]),
            f"{ratio:.3f}",
            f"{low:.3f} - {high:.3f}",
            f"{1e3 * row['seconds']['copies'][1]:.1f}",
            f"{row['copy_bytes_per_second'] / 1e9:.1f}",
            f"{share:.2f}",
            f"{least:.2f} - {most:.2f}",
        )
    return table


def _targets(record: Record) -> Table:
    table = Table("target", "aim", "found", "", title="Targets")
    for target in record.targets:
        found = "missing" if target.found is None else f"{target.found:.3f}"
        table.add_row(target.name, target.aim, found, {True: "met", False: "not met", None: ""}[target.met])
    return table
