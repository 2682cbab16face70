"""A report that follows a sweep while it runs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from benchmarks.reports.load import store_of
from benchmarks.reports.text import count
from benchmarks.sweeps.store import Store

ENDED = ("finished", "failed", "diverged")


def counts(sources: tuple[str, ...]) -> Counter[str]:
    """Runs by status in the stores of the sources, sweep by sweep."""
    found: Counter[str] = Counter()
    for source in sources:
        address = store_of(source)
        if address is not None:
            with Store(address) as store:
                for sweep in store.sweeps():
                    found.update(store.counts(sweep["id"]))
    return found


def follow(
    sources: tuple[str, ...],
    seconds: int,
    make: Callable[[int, str], object],
    sleep: Callable[[float], object] = time.sleep,
) -> None:
    """Makes the page anew whenever runs have ended since the last one, until all have; the last page stands still.

    Args:
        sources: Of the report; at least one is a store or has one.
        seconds: Between two looks.
        make: Takes after how many seconds the page loads itself again, and how far the sweep is.
        sleep: Waits.

    Raises:
        ValueError: if no source has a store, whose runs could be waited for.
    """
    if all(store_of(source) is None for source in sources):
        raise ValueError("--watch needs a folder with a store, or a store: in a file of records nothing happens")
    before: Counter[str] | None = None
    while True:
        now = counts(sources)
        ended, total = sum(now[status] for status in ENDED), sum(now.values())
        open_ = total - ended
        if ended and (now != before or not open_):
            make(seconds if open_ else 0, f"{ended:,} of {count(total, 'run')} have ended." if open_ else "")
        if not open_:
            return
        before = now
        sleep(seconds)
