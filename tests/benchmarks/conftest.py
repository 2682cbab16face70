"""The command line, called in this process."""

import signal

import pytest

from benchmarks.__main__ import main


@pytest.fixture
def said(capsys, monkeypatch):
    """Calls the command line as wide that no line breaks; returns exit status, output and errors."""
    monkeypatch.setenv("COLUMNS", "300")

    def call(*words):
        before = signal.getsignal(signal.SIGTERM)
        try:
            with pytest.raises(SystemExit) as stopped:
                main([str(word) for word in words])
        finally:
            signal.signal(signal.SIGTERM, before)
        captured = capsys.readouterr()
        return stopped.value.code or 0, captured.out, captured.err

    return call
