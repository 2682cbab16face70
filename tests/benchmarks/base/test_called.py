"""What the command line calls itself in what it tells the user to type."""

import sys

import pytest

from benchmarks.base.called import called


@pytest.mark.parametrize(
    ("program", "first"),
    [
        ("venv/bin/pgrad-bench", "pgrad-bench"),
        ("Scripts/pgrad-bench.exe", "pgrad-bench"),
        ("benchmarks/__main__.py", "python -m benchmarks"),
        ("", "python -m benchmarks"),
    ],
)
def test_as_it_was_called(monkeypatch, program, first):
    monkeypatch.setattr(sys, "argv", [program, "status"])
    assert called("data", "folder:my pictures") == f"{first} data 'folder:my pictures'"
    assert called() == first
