"""The command `pgrad-bench`: the laboratory's command line, of the checkout that it is called in.

The laboratory is not installed, it runs from a checkout. The one whose folder, or a folder below it, is the current one
goes first; else the one that an editable installation points to. This module imports neither torch nor pgrad.
"""

from __future__ import annotations

import sys
from pathlib import Path

MARKS = ("benchmarks/__main__.py", "pgrad/__init__.py")


def checkout(here: Path, installed: Path) -> Path | None:
    """The folder of the checkout that is meant; None if there is none.

    Args:
        here: The current folder.
        installed: The folder of this module.
    """
    for folder in (here, *here.parents, installed):
        if all((folder / mark).is_file() for mark in MARKS):
            return folder
    return None


def main() -> None:
    """Runs the command line."""
    root = checkout(Path.cwd(), Path(__file__).resolve().parent)
    if root is None:
        sys.stderr.write(
            "error: pgrad-bench runs from a checkout of pgrad, and neither this folder nor one above it is one.\n"
            "Change to it, or install it there once: pip install -e '.[bench]'\n"
        )
        sys.exit(2)
    sys.path.insert(0, str(root))
    from benchmarks.__main__ import main

    main()


if __name__ == "__main__":
    main()
