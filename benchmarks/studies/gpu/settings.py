"""What a check can be told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Of a check; ``tests`` are files or node ids, and ``seconds`` bounds all parts together."""

    device: str
    problems: tuple[str, ...] = ("resnet50", "vit-b")
    steps: int = 9
    batch: int = 11
    rounds: int = 15
    tests: tuple[str, ...] = ()
    seconds: float = 390.0
