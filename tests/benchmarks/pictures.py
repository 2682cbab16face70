"""A plugin for tests: small pictures in three domains, and vectors that are no pictures."""

import torch

from benchmarks.datasets import Domain, MultiDomainData
from benchmarks.runs.plugins import register_dataset


@register_dataset("tiny-pictures", domains=("a", "b", "c"))
def pictures():
    """Light and dark noise, tinted in three ways."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(20) % 2
    tints = torch.eye(3)[:, None, :, None, None]
    inputs = [0.5 * torch.rand(20, 3, 32, 32, generator=generator) + 0.3 * labels[:, None, None, None] for _ in "abc"]
    inputs = [0.8 * x + 0.2 * tint for x, tint in zip(inputs, tints, strict=True)]
    return MultiDomainData(tuple(Domain(name, x, labels) for name, x in zip("abc", inputs, strict=True)), n_outputs=2)


@register_dataset("scaled-pictures", domains=("a", "b", "c"), fit=lambda inputs, labels: lambda x: x / inputs.std())
def scaled():
    """The same; each run scales them by what it trains on."""
    return pictures()


@register_dataset("tiny-vectors", domains=("a", "b"))
def vectors():
    """Four numbers each."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(20) % 2
    domains = [Domain(name, torch.randn(20, 4, generator=generator), labels) for name in "ab"]
    return MultiDomainData(tuple(domains), n_outputs=2)
