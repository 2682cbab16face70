"""The code of the pages that only the site has runs: their Python blocks, and the tutorials from top to bottom."""

import re

import matplotlib
import pytest
from matplotlib import pyplot

from tests.docs.pages import ROOT, blocks, run

ROOMS = ("", "how-to", "reference", "explanation")
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for room in ROOMS
    for path in (ROOT / "docs" / room).glob("*.md")
    if (room or path.name == "index.md") and blocks(path.relative_to(ROOT), "python")
)
CELL = re.compile(r"```\{code-cell\}[^\n]*\n(?:---\n.*?\n---\n)?(.*?)```", re.DOTALL)
NOTEBOOKS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "docs").rglob("*.md")
    if CELL.search(path.read_text(encoding="utf-8"))
)


def test_these_are_the_pages():
    assert "docs/index.md" in PAGES
    assert len(PAGES) >= 6
    assert len([page for page in NOTEBOOKS if page.startswith("docs/tutorials/")]) >= 6


@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some write a checkpoint
    run(page)


@pytest.mark.slow
@pytest.mark.parametrize("page", NOTEBOOKS)
def test_the_notebook_runs_and_draws(page, tmp_path, monkeypatch):
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("MPLBACKEND", "Agg")
    pyplot.close("all")
    names = {}
    for cell in CELL.findall(_text(page)):
        exec(compile(cell, page, "exec"), names)
    assert pyplot.get_fignums() or "SVG(" in _text(page)
    pyplot.close("all")


def test_notebooks_say_what_they_are_and_hold_no_outputs():
    for page in NOTEBOOKS:
        text = _text(page)
        assert "format_name: myst" in text.split("# ", 1)[0]
        assert "```{code-cell} ipython3" in text


def _text(page):
    return (ROOT / page).read_text(encoding="utf-8")
