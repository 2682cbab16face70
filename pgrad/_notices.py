"""What is said once: a user's act that it followed, or data that do not fit its roll-outs."""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from typing import Any

__all__ = ["Notices", "line_of_the_user", "unequal_parts", "warn"]

# Of what may lie between a notice and the user: this package and torch, what leaves a `with` block, and frameworks.
_BETWEEN = {"pgrad", "torch", "contextlib", "functools", "accelerate", "lightning", "lightning_fabric"}
_BETWEEN |= {"lightning_utilities", "pytorch_lightning", "timm", "tqdm", "transformers"}


class Notices:
    """Warnings of one optimizer, each given once."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def give(self, name: str, message: str, category: type[Warning] = UserWarning) -> None:
        """Warn, at the line of the user, unless this notice was given before."""
        if name not in self._given:
            self._given.add(name)
            warn(f"{message} (said once)", category)


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """A warning at the line of the user: the first that is not of this package, torch or a framework around them."""
    warnings.warn(message, category, stacklevel=_of_the_user()[1])


def line_of_the_user() -> str:
    """Where that line is: file and number."""
    frame = _of_the_user()[0]
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _of_the_user() -> tuple[Any, int]:
    """The frame, and the ``stacklevel`` of a warning of the function that asks for it."""
    frame: Any = sys._getframe(2)
    level = 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        frame, level = frame.f_back, level + 1
    return frame, level


def unequal_parts(domains: tuple[int | str, ...]) -> str | None:
    """What is wrong with the domains of a roll-out, [T], all known; None if they have equal parts."""
    counts = Counter(domains)
    if len(domains) < 2 or (len(counts) > 1 and len(set(counts.values())) == 1):
        return None
    found = ", ".join(f"{domain!r}: {count}" for domain, count in counts.most_common())
    what = "one domain alone" if len(counts) == 1 else "domains in unequal parts"
    return (
        f"a roll-out of {len(domains)} steps saw {what} ({found}), and the largest part pulls the update its way: let "
        "rollout_length be splits x domains, and take the batches of a pgrad.DomainBatchSampler "
        "(rollout_length=sampler keeps the two equal)"
    )
