"""The tutorials as notebooks to take along: written from the pages before the site is built."""

from __future__ import annotations

from pathlib import Path

import jupytext
from sphinx.application import Sphinx


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


def setup(app: Sphinx) -> dict[str, bool]:
    """Comes before any page is read."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
