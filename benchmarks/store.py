"""Records of runs: one JSON object per line, appended, never rewritten.

A process that is killed can leave a last line without its end.  Such a line is no record: reading skips it, and the
next append removes it first.  A damaged line anywhere else is an error: a killed process does not explain it.
One process writes at a time.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

Record = dict[str, Any]


class Store:
    """The records in one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._repaired = False

    def append(self, record: Record) -> None:
        """Adds one record and hands it to the operating system before returning."""
        line = json.dumps(record, allow_nan=False, ensure_ascii=False)
        if not self._repaired:
            self._repair()
        with self.path.open("ab") as file:
            file.write(line.encode() + b"\n")

    def read(self) -> list[Record]:
        """All records, oldest first; none if there is no file."""
        records = []
        for number, line in enumerate(self._whole_lines().splitlines(), start=1):
            try:
                records.append(json.loads(line))
            except ValueError as error:
                raise ValueError(f"{self.path}, line {number}: not a JSON record ({error})") from error
        return records

    def _whole_lines(self) -> bytes:
        content = self.path.read_bytes() if self.path.exists() else b""
        return content[: content.rfind(b"\n") + 1]

    def _repair(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch()
        os.truncate(self.path, len(self._whole_lines()))
        self._repaired = True
