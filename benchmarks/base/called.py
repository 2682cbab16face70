"""How this command line was called, for what it says about itself."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

SCRIPT = "pgrad-bench"


def called(*words: str) -> str:
    """A command as the user would type it: by the installed script where that was called, else by the module.

    Example:
        >>> called("data", "emoji set")
        "python -m benchmarks data 'emoji set'"
    """
    by_script = Path(sys.argv[0] if sys.argv else "").stem.startswith(SCRIPT)
    return " ".join((SCRIPT if by_script else "python -m benchmarks", shlex.join(words))).rstrip()
