"""A plugin of pytest, ``-p benchmarks.studies.gpu.outcomes --outcomes FILE``: a line when a test begins or ends.

So what pytest has done before it is killed is known, and where it was.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.studies.gpu.record import Outcome


def pytest_addoption(parser: Any) -> None:
    """The file."""
    parser.addoption("--outcomes", metavar="FILE", required=True, help="where the outcome of every test is written")


def pytest_configure(config: Any) -> None:
    """Write to it from now on."""
    config.pluginmanager.register(_Writer(Path(config.getoption("--outcomes"))), "outcomes-writer")


class _Writer:
    def __init__(self, path: Path) -> None:
        self.path = path

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self._write(Outcome(name=report.nodeid, outcome="failed", reason=_shortened(report.longreprtext)))

    def pytest_runtest_logstart(self, nodeid: str, location: Any) -> None:  # noqa: ARG002  pytest passes it by name
        self._write(Outcome(name=nodeid, outcome="crashed"))

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when != "call" and report.passed:
            return  # set up or torn down
        outcome, reason = report.outcome, None
        if hasattr(report, "wasxfail") and report.skipped:
            outcome, reason = "xfailed", report.wasxfail
        elif report.skipped:
            reason = report.longrepr[2]
        elif report.failed:
            reason = _shortened(report.longreprtext)
        self._write(Outcome(name=report.nodeid, outcome=outcome, seconds=report.duration, reason=reason))

    def _write(self, test: Outcome) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(test.model_dump_json() + "\n")


def _shortened(text: str) -> str:
    return text[-3000:]


def read(path: Path) -> tuple[Outcome, ...]:
    """The last that is known of every test, in the order in which they began."""
    if not path.exists():
        return ()
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]  # what has no end was being written
    latest: dict[str, Outcome] = {}
    for test in (Outcome(**json.loads(line)) for line in lines):
        latest[test.name] = test
    return tuple(latest.values())
