"""The data sets, by name; a user's own are called ``folder:PATH``, ``table:PATH`` and ``decisions:PATH``.

Example:
    >>> from benchmarks.datasets import DATASETS
    >>> DATASETS["rotated-digits"].domains
    ('0°', '15°', '30°', '45°', '60°', '75°')
"""

from __future__ import annotations

from benchmarks.base.metrics import accuracy
from benchmarks.datasets import bethe_heitler, decisions, digits, emoji, fashion, vader_inputs
from benchmarks.datasets.base import DatasetEntry, Domain, Fit, Metric, MultiDomainData
from benchmarks.datasets.lookup import Registry

DATASETS: dict[str, DatasetEntry] = Registry(
    {
        "rotated-digits": DatasetEntry(
            factory=digits.rotated_digits,
            description="handwritten digits at six angles, every image at one angle only (10 classes)",
            metric=accuracy,
            domains=tuple(f"{angle}°" for angle in digits.ANGLES),
            licence="CC BY 4.0",
            source="UCI optical recognition of handwritten digits, in scikit-learn",
        ),
        "coloured-digits": DatasetEntry(
            factory=digits.coloured_digits,
            description="digit >= 5 with 25 % label noise; colour agrees with the label in 90, 80 and 10 % (2 classes)",
            metric=accuracy,
            domains=tuple(f"{agreement:.0%}" for agreement in digits.AGREEMENTS),
            licence="CC BY 4.0",
            source="UCI optical recognition of handwritten digits, in scikit-learn",
        ),
        **{
            f"emoji-styles{len(styles)}-{size}": emoji.entry(f"emoji-styles{len(styles)}-{size}", styles, size)
            for styles in (emoji.FOUR, tuple(emoji.STYLES))
            for size in (32, 64)
        },
        **fashion.ENTRIES,
        **vader_inputs.ENTRIES,
        **bethe_heitler.ENTRIES,
        **decisions.ENTRIES,
    }
)
"""Adding a data set is adding a line here, and its name in `benchmarks.base.names`."""

__all__ = ["DATASETS", "DatasetEntry", "Domain", "Fit", "Metric", "MultiDomainData"]
