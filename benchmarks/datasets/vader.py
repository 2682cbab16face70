"""VADER-4: sentences from four kinds of text, rated by people from -4 (most negative) to 4 (most positive).

The ratings of Hutto and Gilbert (2014), "VADER: A parsimonious rule-based model for sentiment analysis of social media
text" (ICWSM), lie in the source distribution of vaderSentiment. An example is a sentence whose mean rating is further
than 0.5 from neutral; its class is the sign. The four domains hold different shares of positive sentences (label
shift), so a model that reads the domain gains from it. The sentences of one review, film or editorial are a *group*.

Sentences are kept as UTF-8 bytes, padded with zeros. What turns them into numbers is either fitted on the training
domains (TF-IDF) or was trained on other text before (sentence vectors).
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.datasets.base import Domain, MultiDomainData
from benchmarks.datasets.cache import Built
from benchmarks.datasets.fetch import FetchError, Package, fetched

SDIST = Package("sdist", "vaderSentiment", "3.3.2", "sha256-XXwG4Cf8i5kjjtsNU9lwz5cGbvl2VACYkLg3A4SWMvk=")
INNER = "vaderSentiment-{version}/additional_resources/hutto_ICWSM_2014.tar.gz"
DOMAINS = {
    "tweets": "tweets",
    "films": "movieReviewSnippets",
    "products": "amazonReviewSnippets",
    "editorials": "nytEditorialSnippets",
}
"""Domain -> beginning of the name of its file."""
NEUTRAL = 0.5


def texts(inputs: Tensor) -> list[str]:
    """``[n, bytes]`` uint8 to sentences."""
    return [bytes(row).rstrip(b"\0").decode() for row in inputs.numpy()]


def as_bytes(sentences: Sequence[str], length: int) -> Tensor:
    """Sentences to ``[n, length]`` uint8: UTF-8, padded with zeros."""
    rows = [sentence.encode().ljust(length, b"\0") for sentence in sentences]
    return torch.from_numpy(np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(len(rows), length).copy())


def read(sdist: Path, package: Package = SDIST) -> dict[str, list[tuple[str, float, str]]]:
    """By domain the sentences: name, rating, text.

    Raises:
        FetchError: if the distribution does not hold them.
    """
    inner = INNER.format(version=package.version)
    found = {}
    try:
        with tarfile.open(sdist, "r:gz") as outer:
            packed = outer.extractfile(inner)
            content = packed.read() if packed is not None else b""
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            for domain, file in DOMAINS.items():
                member = archive.extractfile(f"hutto_ICWSM_2014/{file}_GroundTruth.txt")
                text = member.read().decode() if member is not None else ""
                found[domain] = [_sentence(line) for line in text.split("\r\n") if line]
    except (tarfile.TarError, KeyError, ValueError, EOFError, OSError) as error:
        raise FetchError(f"{package} holds no readable ratings: {type(error).__name__}: {error}") from error
    return found


def _sentence(line: str) -> tuple[str, float, str]:
    name, rating, text = line.split("\t")
    return name, float(rating), text.strip()


def document(domain: str, name: str) -> int:
    """The number of the document that a sentence is part of: its name up to an underscore."""
    whole = f"{domain}/{name.partition('_')[0]}"
    return int.from_bytes(hashlib.sha256(whole.encode()).digest()[:7], "big")


def build(package: Package = SDIST) -> Built:
    """Fetches the distribution and takes the sentences out that are not neutral.

    Raises:
        FetchError: if it cannot be had.
    """
    with fetched(package) as path:
        rated = read(path, package)
    chosen = {domain: [row for row in rows if abs(row[1]) > NEUTRAL and row[2]] for domain, rows in rated.items()}
    length = max(len(text.encode()) for rows in chosen.values() for _, _, text in rows)
    domains = [
        Domain(
            domain,
            as_bytes([text for _, _, text in rows], length),
            torch.tensor([int(rating > 0) for _, rating, _ in rows]),
            torch.tensor([document(domain, name) for name, _, _ in rows]),
        )
        for domain, rows in chosen.items()
    ]
    return Built(MultiDomainData(tuple(domains), n_outputs=2), {str(package): package.integrity})
