"""Runs DomainBed's scripts as they are; what they parse is looked at, and may be changed, before they go on."""

from __future__ import annotations

import argparse
import runpy
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

__all__ = ["run"]

Seen = Callable[[argparse.Namespace], None]


def run(script: str, argv: Sequence[str], ours: argparse.ArgumentParser | None, seen: Seen | None = None) -> None:
    """Run ``domainbed.scripts.<script>`` with its arguments `argv`, as ``python -m`` would.

    Everything in these scripts is under ``if __name__ == "__main__"``, the parser too. So its ``parse_args`` is where
    one can look in: `seen` gets the result before the script does. The help of `ours` is added to its help.
    """
    kept = sys.argv
    sys.argv = [script, *argv]
    try:
        with _parsed(ours, seen):
            runpy.run_module(f"domainbed.scripts.{script}", run_name="__main__", alter_sys=True)
    finally:
        sys.argv = kept


@contextmanager
def _parsed(ours: argparse.ArgumentParser | None, seen: Seen | None) -> Iterator[None]:
    original = argparse.ArgumentParser.parse_args

    def parse_args(self: argparse.ArgumentParser, *args: Any, **kwargs: Any) -> argparse.Namespace:
        argparse.ArgumentParser.parse_args = original  # type: ignore[method-assign]
        self.allow_abbrev = False
        if ours is not None:
            self.formatter_class = argparse.RawDescriptionHelpFormatter
            self.epilog = ours.format_help()
        found: argparse.Namespace = original(self, *args, **kwargs)
        if seen is not None:
            seen(found)
        return found

    argparse.ArgumentParser.parse_args = parse_args  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        argparse.ArgumentParser.parse_args = original  # type: ignore[method-assign]
