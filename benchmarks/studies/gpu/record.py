"""What gpu.json holds: the card, the outcome of every part and of every test, every figure with its spread."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any, Literal

import torch

from benchmarks.base.config import Frozen

RATIO, SHARE = 1.02, 0.8


class Card(Frozen):
    """The device and what drives it; None for what is not there or does not say."""

    device: str
    name: str
    devices: int
    memory_bytes: int | None
    driver: str | None
    cuda: str | None
    cudnn: int | None
    nccl: str | None


class Part(Frozen):
    """``failed`` ended by itself with an error, ``killed`` reached its limit or got a signal: ``reason`` says more."""

    name: str
    outcome: Literal["not run", "done", "failed", "killed"] = "not run"
    seconds: float | None = None
    reason: str | None = None


class Outcome(Frozen):
    """Of pytest, by its node id; ``crashed`` began and never ended."""

    name: str
    outcome: Literal["passed", "failed", "skipped", "xfailed", "crashed"]
    seconds: float | None = None
    reason: str | None = None


class Target(Frozen):
    """``found`` and ``met`` are None where the figure is missing."""

    name: str
    aim: str
    found: float | None
    met: bool | None


class Record(Frozen):
    """``times`` and ``passes`` are rows of `python -m benchmarks performance`, ``overlaps`` those of `overlap`."""

    format: Literal[1] = 1
    environment: dict[str, str | int | bool | None]
    card: Card
    settings: dict[str, Any]
    parts: tuple[Part, ...]
    tests: tuple[Outcome, ...] = ()
    times: tuple[dict[str, Any], ...] = ()
    passes: tuple[dict[str, Any], ...] = ()
    overlaps: tuple[dict[str, Any], ...] = ()
    targets: tuple[Target, ...] = ()

    @property
    def failures(self) -> list[str]:
        """Names of tests that failed, and of parts that are not done."""
        tests = [test.name for test in self.tests if test.outcome in ("failed", "crashed")]
        return tests + [part.name for part in self.parts if part.outcome != "done"]

    def write(self, path: Path) -> None:
        """In one step, so that whoever is killed leaves a whole file."""
        partial = path.with_suffix(".partial")
        partial.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        partial.replace(path)


def describe(device: torch.device) -> Card:
    """The card that torch calls so, or the processor."""
    if device.type != "cuda":
        kept: dict[str, Any] = dict.fromkeys(("memory_bytes", "driver", "cuda", "cudnn", "nccl"))
        return Card(device=str(device), name=str(device), devices=1, **kept)
    properties = torch.cuda.get_device_properties(device)
    nccl = torch.cuda.nccl.version() if torch.distributed.is_nccl_available() else None
    return Card(
        device=str(device),
        name=properties.name,
        devices=torch.cuda.device_count(),
        memory_bytes=properties.total_memory,
        driver=_driver(),
        cuda=torch.version.cuda,
        cudnn=torch.backends.cudnn.version(),
        nccl=".".join(map(str, nccl)) if nccl else None,
    )


def _driver() -> str | None:
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.split()
    return lines[0] if done.returncode == 0 and lines else None


def targets(times: tuple[dict[str, Any], ...], passes: tuple[dict[str, Any], ...]) -> tuple[Target, ...]:
    """What a roll-out may cost on ResNet-50, and how near Gram matrix and sum must come to copying, at every size."""
    found = [row["ratio"] for row in times if row["task"]["problem"] == "resnet50" and row["name"] == "pgrad"]
    ratio = found[0] if found else None
    first = Target(
        name="PGrad on ResNet-50 over its inner steps",
        aim=f"at most {RATIO}",
        found=ratio,
        met=None if ratio is None else ratio <= RATIO,
    )
    shares = {row["parameters"]: row["share_of_copy_bandwidth"] for row in passes}
    lowest = min(shares.values(), default=None)
    second = Target(
        name="Gram matrix and sum, share of copy bandwidth",
        aim=f"at least {SHARE:.0%} at every size",
        found=lowest,
        met=None if lowest is None else lowest >= SHARE,
    )
    return first, second
