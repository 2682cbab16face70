"""Ways to the Gram matrix of T rows on a CPU, side by side: what `pgrad._engine.buffers` does, and what was tried.

``python -m benchmarks.studies.performance.gram [T ...]`` prints the processor time of one thread for 23 million
columns.

- whole: bmm of all rows in blocks of 512 columns, summed in float64: in use for T < 12.
- panels: the same for the half of the matrix that is needed, in panels of 8 rows: in use from T = 12 on.
- rows: that half row by row.
- points: rows hold the points, so that recording is a mere copy; the anchor is subtracted part by part, in the cache.
- numpy: half of the matrix in panels of 4 rows by numpy's BLAS, whose kernel for small matrices is fast where it is
  OpenBLAS on a processor with AVX-512; one thread, and much slower where it is another.
- pdist: squared distances of the points, from which the centred Gram matrix follows without any anchor.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

COLUMNS = 23_000_000
BLOCK = 512
AREA = 1 << 21


def _bmm(chunk: Tensor, panel: int) -> Tensor:
    n = len(chunk)
    blocks = chunk.unflatten(1, (-1, BLOCK)).transpose(0, 1)
    total = torch.zeros(n, n, dtype=torch.float64)
    for low in range(0, n, panel):
        products = torch.bmm(blocks[:, low : low + panel], blocks[:, low:].mT)
        total[low : low + panel, low:] = products.sum(0, dtype=torch.float64)
    return total


def _numpy(chunk: Tensor) -> Tensor:
    n, columns = chunk.shape
    x = chunk.numpy()
    total = np.zeros((n, n))
    step = max(1 << ((10**6 // (4 * n)).bit_length() - 1), BLOCK)  # OpenBLAS: up to 10^6 products
    for start in range(0, columns, step):
        part = x[:, start : start + step]
        for low in range(0, n, 4):
            total[low : low + 4, low:] += part[low : low + 4] @ part[low:].T
    return torch.from_numpy(total)


def ways(rows: Tensor, anchor: Tensor) -> dict[str, Callable[[Tensor, slice], object]]:
    """What to do with a chunk of the rows, which are the columns of a slice."""
    n = len(rows)
    scratch = torch.empty(n, AREA // n // BLOCK * BLOCK)
    return {
        "whole": lambda chunk, part: _bmm(chunk, n),
        "panels": lambda chunk, part: _bmm(chunk, 8),
        "rows": lambda chunk, part: _bmm(chunk, 1),
        "points": lambda chunk, part: _bmm(torch.sub(chunk, anchor[part], out=scratch), n if n < 12 else 8),
        "numpy": lambda chunk, part: _numpy(chunk),
        "pdist": lambda chunk, part: torch.pdist(chunk).double().square(),
        "read": lambda chunk, part: chunk.sum(),
    }


def main(steps: list[int]) -> None:
    """Medians of five, in an order that repeats."""
    torch.set_num_threads(1)
    for n in steps:
        columns = COLUMNS if n <= 9 else 9 * COLUMNS // n  # as much memory for all
        rows, anchor = torch.randn(n, columns) * 1e-3, torch.randn(columns)
        step = AREA // n // BLOCK * BLOCK
        parts = [slice(start, start + step) for start in range(0, columns - step + 1, step)]
        seconds: dict[str, list[float]] = {}
        for turn in range(6):
            for name, way in ways(rows, anchor).items():
                start = time.process_time()
                for part in parts:
                    way(rows[:, part], part)
                if turn:
                    seconds.setdefault(name, []).append(time.process_time() - start)
        scale = COLUMNS / (len(parts) * step) * 1e3
        print(f"T = {n}:", ", ".join(f"{name} {scale * statistics.median(v):.0f} ms" for name, v in seconds.items()))


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or [9, 27, 64])
