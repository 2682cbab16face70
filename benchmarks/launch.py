"""Runs on several cores of this machine: a pool of processes with one thread each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import joblib
import torch

from benchmarks.runner import Record
from benchmarks.spec import RunSpec


def _on_one_thread(function: Callable[[RunSpec], Record], spec: RunSpec) -> Record:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return function(spec)
    finally:
        torch.set_num_threads(threads)


def launch(function: Callable[[RunSpec], Record], specs: Iterable[RunSpec], workers: int) -> Iterator[Record]:
    """Yields `function(spec)` as the runs end, in any order.  With one worker they run in this process, in order."""
    with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
        parallel = joblib.Parallel(n_jobs=workers, return_as="generator_unordered")
        yield from parallel(joblib.delayed(_on_one_thread)(function, spec) for spec in specs)
