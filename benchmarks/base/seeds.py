"""Random seeds from names.

Every random choice of a run (split, initialisation, order of the batches, each hyper-parameter) has a seed of its own,
made from the names of what it is for. Two runs that share the names share the draw, whatever else differs; a new
choice never moves the draws of the others.
"""

from __future__ import annotations

import hashlib


def seed_from(*names: str | int) -> int:
    """A seed in ``[0, 2**32)`` from ``names``, the same on every machine and in every process."""
    text = "\x1f".join(str(name) for name in names)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")
