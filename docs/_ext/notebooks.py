"""The tutorials as notebooks to take along: written from the pages before the site is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jupytext
from sphinx.application import Sphinx

STRETCHES = 4
"""That Sphinx makes of this number of pages for two processes."""


def write(app: Sphinx) -> None:
    """Writes `tutorials/notebooks/NAME.ipynb` of every tutorial that has code, without outputs."""
    folder = Path(app.srcdir) / "tutorials"
    (folder / "notebooks").mkdir(exist_ok=True)
    for page in sorted(folder.glob("*.md")):
        if "{code-cell}" in page.read_text(encoding="utf-8"):
            text = jupytext.writes(jupytext.read(page, fmt="md:myst"), fmt="ipynb")
            target = folder / "notebooks" / f"{page.stem}.ipynb"
            if not target.exists() or target.read_text(encoding="utf-8") != text:
                target.write_text(text, encoding="utf-8")


def spread(_app: Sphinx, _environment: Any, names: list[str]) -> None:
    """Deals the pages out: two processes read them in stretches, and the tutorials, which take long, are neighbours."""
    names[:] = [name for first in range(STRETCHES) for name in names[first::STRETCHES]]


def setup(app: Sphinx) -> dict[str, bool]:
    """Comes before any page is read."""
    app.connect("builder-inited", write)
    app.connect("env-before-read-docs", spread)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
