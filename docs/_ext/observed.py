"""Runs a program as it stands, and draws what its roll-outs did: `observed.py PROGRAM WORDS...`.

The picture goes to the file that the environment variable PICTURE names, of the optimizer with the most outer steps; of
several processes, the first draws.
"""

from __future__ import annotations

import functools
import os
import runpy
import sys
from typing import Any

import pgrad
from pgrad import analysis


def watch() -> list[analysis.Recorder]:
    """Every PGrad that is made from now on has a recorder."""
    recorders: list[analysis.Recorder] = []
    make = pgrad.PGrad.__init__

    @functools.wraps(make)
    def watched(self: pgrad.PGrad, *args: Any, **options: Any) -> None:
        make(self, *args, **options)
        recorders.append(analysis.Recorder(self).attach())

    pgrad.PGrad.__init__ = watched  # type: ignore[method-assign]
    return recorders


def draw(rows: list[Any], path: str) -> None:
    """Shares of the first components beside those of a random walk, and the angle with the displacement."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(8, 2.9), layout="constrained")
    window = max(len(rows) // 12, 1)
    analysis.figures.spectrum_over_training(rows, components=2, window=window, ax=left)
    analysis.figures.cosine_over_training(rows, window=window, ax=right)
    figure.savefig(path, metadata={"Date": None})


def main(program: str, words: list[str]) -> None:
    """The program is the main one, as for Python itself."""
    recorders = watch()
    sys.argv = [program, *words]
    runpy.run_path(program, run_name="__main__")
    rows = max((list(recorder.rows) for recorder in recorders), key=len, default=[])
    if rows and os.environ.get("RANK", "0") == "0":
        draw(rows, os.environ["PICTURE"])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
