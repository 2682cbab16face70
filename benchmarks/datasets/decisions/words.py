"""Short texts as numbers, the same on every machine: hashed words with a sign, no model and nothing fitted.

A word is its first five letters. Each has a place and a sign from its hash, and the weight log(n / n_w) where n_w of n
reference texts have it (and one more of each, so that no weight is infinite).
"""

from __future__ import annotations

import functools
import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LETTERS = 5
EMPTY = frozenset(
    "a an and are as at be by can for from i in is it me my of on or that the this to with you your".split()  # noqa: SIM905
)


def words(text: str) -> list[str]:
    """Beginnings of the words of a text; underscores and capitals inside a word part it.

    Example:
        >>> words("post_tweet: Posting of the tweets' contentText")
        ['post', 'tweet', 'posti', 'tweet', 'conte', 'text']
    """
    parted = re.sub(r"([a-z])([A-Z])", r"\1 \2", text.replace("_", " ")).lower()
    return [word[:LETTERS] for word in re.findall(r"[a-z]+", parted) if word not in EMPTY]


@functools.cache
def _place(word: str, size: int) -> tuple[int, float]:
    number = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
    return (number >> 1) % size, 1.0 if number & 1 else -1.0


@dataclass(frozen=True)
class Weights:
    """Of words, from reference texts.

    Attributes:
        texts: How many there are.
        counts: How many of them have a word.
    """

    texts: int
    counts: Counter[str]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Weights:
        """From such texts."""
        found = [set(words(text)) for text in texts]
        return cls(len(found), Counter(word for each in found for word in each))

    def __getitem__(self, word: str) -> float:
        return math.log((1 + self.texts) / (1 + self.counts[word]))

    def vector(self, text: str, size: int) -> NDArray[np.float64]:
        """``[size]`` of length 1; zeros for a text without words."""
        found = np.zeros(size)
        for word in words(text):
            place, sign = _place(word, size)
            found[place] += sign * self[word]
        length = float(np.linalg.norm(found))
        return found / length if length else found

    def overlap(self, one: str, other: str) -> float:
        """Which share of the weight of the words of `one` is in words that `other` has too."""
        mine, theirs = set(words(one)), set(words(other))
        whole = sum(self[word] for word in sorted(mine))
        return sum(self[word] for word in sorted(mine & theirs)) / whole if whole else 0.0
