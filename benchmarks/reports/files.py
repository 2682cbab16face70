"""The files of a report."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from benchmarks.reports.page import Report


def write(report: Report, folder: Path) -> None:
    """Writes every file whole; the page is the last."""
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    (folder / "tables").mkdir(exist_ok=True)
    for section in report.sections:
        for picture in (*section.pictures, *section.files):
            put(folder / "pictures" / f"{_file_name(picture.name)}.svg", picture.svg)
    for table in report.tables():
        name = _file_name(table.name)
        put(folder / "tables" / f"{name}.csv", table.numbers.to_csv(index=False).encode())
        put(folder / "tables" / f"{name}.tex", table.latex().encode())
    warnings = "".join(f"**{text}**\n\n" for text in (*report.warnings, *report.cautions))
    answer = report.answer[0] if report.answer else None
    line = "" if answer is None else "\n\n".join([f"**{answer.line}**", *answer.notes]) + "\n\n"
    facts = "\n".join(f"- {fact}" for fact in report.facts)
    verdicts = "\n".join(f"- {one.sentence}" for one in report.verdicts) or "None."
    tables = "\n".join(table.markdown() for table in report.tables())
    text = f"# Comparison on {report.title}\n\n{warnings}{line}{facts}\n\n## Verdicts\n\n{verdicts}\n\n{tables}"
    put(folder / "report.md", text.encode())
    put(folder / "report.html", report.html().encode())


def _file_name(name: str) -> str:
    """The names of data sets may be paths; two names never give the same file."""
    plain = re.sub(r"[^\w .,%°=+-]+", "_", name)
    return name if plain == name else f"{plain[:80]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def put(path: Path, content: bytes) -> None:
    """Writes a file; it appears whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    partial.replace(path)
