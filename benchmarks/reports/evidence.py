"""How much a comparison can show at all: seeds for a verdict, and what chance alone would give."""

from __future__ import annotations

import math

from benchmarks.reports.text import count

LEVEL = 0.05
"""Of the corrected tests."""

ONE_SIDE = 0.025
"""How often a 95 % interval lies wholly on one given side of zero where there is no difference."""


def least_p(pairs: int) -> float:
    """The smallest p-value that Wilcoxon's signed-rank test, two-sided, has for so many paired differences.

    Example:
        >>> least_p(5), least_p(8)
        (0.0625, 0.0078125)
    """
    return 2.0 ** (1 - pairs)


def possible(pairs: int, comparisons: int) -> bool:
    """Whether the smallest of so many p-values can fall below the level after Holm's correction."""
    return pairs > 0 and comparisons * least_p(pairs) < LEVEL


def pairs_needed(comparisons: int) -> int:
    """The fewest pairs with which a verdict is possible.

    Example:
        >>> pairs_needed(222), pairs_needed(1)
        (14, 6)
    """
    return math.floor(1 + math.log2(max(comparisons, 1) / LEVEL)) + 1


def comparisons_allowed(pairs: int) -> int:
    """The most comparisons with which a verdict is possible; 0 if not even one is.

    Example:
        >>> comparisons_allowed(5), comparisons_allowed(8)
        (0, 6)
    """
    return max(0, math.ceil(LEVEL / least_p(pairs)) - 1) if pairs > 0 else 0


def by_chance(comparisons: int) -> float:
    """How many intervals lie on one given side of zero by chance alone, where there is no difference anywhere."""
    return ONE_SIDE * comparisons


def impossible(seeds: int, data_sets: int, comparisons: int) -> str:
    """What to say where no verdict is possible; empty where one is.

    Args:
        seeds: Of each data set.
        data_sets: That a comparison is over.
        comparisons: That are corrected for.

    Example:
        >>> impossible(5, 1, 222)
        'With 5 seeds and 222 comparisons no verdict is possible, however large a difference is; 14 seeds are needed \
(6 for a single comparison).'
        >>> impossible(8, 1, 10)
        'With 8 seeds and 10 comparisons no verdict is possible, however large a difference is; 9 seeds or 6 \
comparisons are needed.'
    """
    if not comparisons or possible(seeds * data_sets, comparisons):
        return ""
    needed = seeds_needed(data_sets, comparisons)
    allowed = comparisons_allowed(seeds * data_sets)
    alone = "" if comparisons == 1 else f" ({seeds_needed(data_sets, 1)} for a single comparison)"
    other = f" or {count(allowed, 'comparison')}" if allowed else ""
    return (
        f"With {count(seeds, 'seed')} and {count(comparisons, 'comparison')} no verdict is possible, however large a "
        f"difference is; {count(needed, 'seed')}{other} are needed{'' if allowed else alone}."
    )


def seeds_needed(data_sets: int, comparisons: int) -> int:
    """The fewest seeds of each data set with which a verdict is possible."""
    return -(-pairs_needed(comparisons) // data_sets)
