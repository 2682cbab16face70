"""How long an attempt has been silent, as one watcher sees it.

A worker counts its beats up in the store, and a watcher notices that the number has changed: no clock is compared with
another one. Time counts only while the watcher itself was awake. One that was suspended (with a laptop, by a scheduler,
by Ctrl-Z) has heard nothing because it did not listen; between two looks it counts no more than the time between two
beats.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass
class _Heard:
    beats: int
    silence: float
    looked: float


class Leases:
    """What a watcher remembers.

    Args:
        beat: Seconds between two signs of life.

    Example:
        >>> leases = Leases(beat=10.0)
        >>> [leases.silence(7, beats=3, now=now) for now in (0.0, 8.0, 16.0, 500.0)]
        [0.0, 8.0, 16.0, 26.0]
        >>> leases.silence(7, beats=4, now=501.0)
        0.0
    """

    def __init__(self, beat: float) -> None:
        self._beat = beat
        self._heard: dict[int, _Heard] = {}

    def silence(self, attempt_id: int, beats: int, now: float) -> float:
        """Seconds that nothing was heard of an attempt whose number of beats is this now."""
        heard = self._heard.get(attempt_id)
        if heard is None or heard.beats != beats:
            heard = self._heard[attempt_id] = _Heard(beats, 0.0, now)
        heard.silence += min(now - heard.looked, self._beat)
        heard.looked = now
        return heard.silence

    def keep(self, attempts: Collection[int]) -> None:
        """Forgets all others."""
        self._heard = {number: heard for number, heard in self._heard.items() if number in attempts}
