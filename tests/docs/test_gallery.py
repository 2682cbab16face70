"""What the site makes of examples and docstrings when it is built, as far as no Sphinx is needed."""

import ast
import re

import pytest

from tests.docs.pages import ROOT

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
GALLERY = (ROOT / "docs/gallery/index.md").read_text(encoding="utf-8")


def test_the_gallery_shows_every_program_once():
    assert sorted(re.findall(r"^```\{example\} (\S+)$", GALLERY, re.MULTILINE)) == [path.name for path in EXAMPLES]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_program_says_in_its_docstring_how_it_is_started(path):
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert re.search(rf"^ *(python|torchrun) .*examples/{path.name}", text, re.MULTILINE)


@pytest.mark.parametrize("room", ["tutorials", "how-to", "reference", "explanation"])
def test_every_page_of_a_room_is_in_its_table_of_contents(room):
    folder = ROOT / "docs" / room
    contents = re.search(r"```\{toctree\}\n(.*?)```", (folder / "index.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    listed = re.findall(r"^[\w./-]+$", contents, re.MULTILINE)
    own = {path.stem for path in folder.glob("*.md")} - {"index"}
    assert own <= set(listed)
    for name in listed:
        assert (folder / f"{name}.md").exists()


def test_every_page_at_the_top_is_in_one_of_them():
    listed = set()
    for room in ("how-to", "reference", "explanation"):
        text = (ROOT / "docs" / room / "index.md").read_text(encoding="utf-8")
        listed |= set(re.findall(r"^\.\./([\w-]+)$", text, re.MULTILINE))
    assert {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"} <= listed
