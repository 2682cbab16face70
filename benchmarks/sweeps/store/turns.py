"""Batches that leave a store to others in between."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator


class Turns:
    """Waits before a batch until others had their part of the time that the last one took.

    What this process does meanwhile, as making the next batch, is time that others have.

    Args:
        part: Of the time of a batch; at most a second is waited for.
    """

    def __init__(self, part: float) -> None:
        self._part = part
        self._free_until = 0.0

    @contextlib.contextmanager
    def take(self) -> Iterator[None]:
        """Around a batch."""
        time.sleep(max(0.0, self._free_until - time.monotonic()))
        began = time.monotonic()
        yield
        ended = time.monotonic()
        self._free_until = ended + min(1.0, self._part * (ended - began))
