"""Code blocks of the documentation, run as a reader would type them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def blocks(page, kind="python"):
    """The code blocks of a page of this kind."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"```{kind}\n(.*?)```", text, flags=re.DOTALL)


def run(page):
    """The names that its Python blocks leave, run one after the other."""
    names = {}
    for block in blocks(page):
        exec(compile(block, page, "exec"), names)
    return names
