"""``python -m domainbed_ext train``: DomainBed's train.py, checked before it starts and accounted for when it ends."""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import sys
import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch

import pgrad
from domainbed_ext import checkout, compat, folders, own, scripts
from domainbed_ext.errors import Refusal
from domainbed_ext.registration import register

__all__ = ["common_parser", "main", "prepare"]


def common_parser(command: str) -> argparse.ArgumentParser:
    """The arguments that `train` and `sweep` have beyond DomainBed's."""
    parser = argparse.ArgumentParser(command, add_help=False, allow_abbrev=False, usage=argparse.SUPPRESS)
    group = parser.add_argument_group("added by domainbed_ext")
    group.add_argument("--domainbed", help="DomainBed checkout (default: $DOMAINBED, else the Python path)")
    group.add_argument("--workers", type=int, help="worker processes of each data loader (DomainBed: 8)")
    group.add_argument(
        "--trust_images", "--trust-images", action="store_true", help="do not read every picture before the training"
    )
    return parser


def prepare(options: argparse.Namespace) -> Path:
    """Register everything in DomainBed; returns its root."""
    root = register(options.domainbed)
    compat.bridge_wilds(importlib.import_module("domainbed.datasets"))
    if options.workers is not None:
        if options.workers < 0:
            raise Refusal(f"--workers must be at least 0, got {options.workers}")
        compat.set_workers(importlib.import_module("domainbed.datasets"), options.workers)
    return root


def main(argv: Sequence[str]) -> int:
    """Train one model with DomainBed's arguments."""
    parser = common_parser("train")
    options, theirs = parser.parse_known_args(argv)
    root = prepare(options)
    from domainbed_ext import preflight, sizes

    sizes.guard_loaders(importlib.import_module("domainbed.lib.fast_data_loader"))
    stdout, stderr = sys.stdout, sys.stderr
    held: list[Path] = []

    with ExitStack() as stack:

        def seen(args: argparse.Namespace) -> None:
            folder = Path(args.output_dir)
            if folder.is_dir():
                stack.enter_context(folders.lock(folder))
                held.append(folder)
            domains = own.register(importlib.import_module("domainbed.datasets"), [args.dataset])
            preflight.check([preflight.Job.of(args)], options.trust_images)
            _refuse_another_run(folder)
            if not held:
                folder.mkdir(parents=True)
                stack.enter_context(folders.lock(folder))
                held.append(folder)
            (folder / "failed").unlink(missing_ok=True)
            (folder / "environment.json").write_text(json.dumps({**_environment(root), **domains}, indent=1) + "\n")

        try:
            scripts.run("train", theirs, parser, seen)
        except Exception as error:
            if held:
                why = str(error) if isinstance(error, Refusal) else traceback.format_exc()
                folders.mark_failed(held[0], why)
            raise
        finally:
            sys.stdout, sys.stderr = stdout, stderr  # train.py replaces both
    return 0


def _refuse_another_run(folder: Path) -> None:
    if (folder / "results.jsonl").exists():
        raise Refusal(
            f"{folder} holds results of another run already, and DomainBed would append to them; choose another "
            "--output_dir, or move it away"
        )


def _environment(root: Path) -> dict[str, Any]:
    """What the numbers of a run depend on, beyond its arguments."""
    return {
        "pgrad": pgrad.__version__,
        "pgrad_commit": checkout.commit_of(Path(__file__).parents[1]),
        "domainbed_commit": checkout.commit_of(root),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": importlib.import_module("torchvision").__version__,
        "numpy": np.__version__,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or "cpu",
    }
