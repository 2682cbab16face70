"""Everything that the site promises is on it: each public name, each command, each algorithm, each program."""

import importlib
import json
import re
import zlib
from pathlib import Path

import pytest

import pgrad
from benchmarks.__main__ import app
from benchmarks.algorithms import ALGORITHMS
from benchmarks.datasets import DATASETS
from tests.site.html import Page

ROOT = Path(__file__).parents[2]
ROOMS = ("analysis", "averaging", "data", "testing", "presets", "reference", "aggregation", "analysis.figures")
FRAMEWORKS = ("distributed", "lightning", "timm", "transformers", "wilds")


def names(site):
    """Of the inventory that other sites link by."""
    content = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    lines = zlib.decompress(content).decode("utf-8").splitlines()
    return {line.split()[0] for line in lines if line.split()[1].startswith("py:")}


def test_every_public_name_is_in_the_reference(site):
    documented = names(site)
    public = {f"pgrad.{name}" for name in pgrad.__all__}
    for room in ROOMS:
        module = importlib.import_module(f"pgrad.{room}")
        own = getattr(
            module, "__all__", [n for n in vars(module) if not n.startswith("_") and callable(vars(module)[n])]
        )
        public |= {
            f"pgrad.{room}.{name}" for name in own if getattr(vars(module)[name], "__module__", "").startswith("pgrad")
        }
    for name in FRAMEWORKS:
        module = importlib.import_module(f"pgrad.integrations.{name}")
        public |= {f"pgrad.integrations.{name}.{one}" for one in getattr(module, "__all__", ())}
    assert len(public) > 80
    short = {name.rpartition(".")[2] for name in documented}
    missing = {name for name in public if name not in documented and name.rpartition(".")[2] not in short}
    assert missing == set()


def text(site, page):
    return (site / page).read_text(encoding="utf-8")


def test_registries_and_commands(site):
    for page, registry in (("reference/algorithms.html", ALGORITHMS), ("reference/datasets.html", DATASETS)):
        assert all(f">{name}<" in text(site, page) for name in registry)
    commands = Page(text(site, "reference/command-line.html")).names
    assert {name for name in app if not name.startswith("-")} <= commands


def test_every_example_has_its_output(site):
    page = text(site, "gallery/index.html")
    for path in (ROOT / "examples").glob("*.py"):
        assert f"examples/{path.name}" in page
    assert page.count("It prints:") == len(list((ROOT / "examples").glob("*.py")))


def test_mathematics_is_rendered_without_a_script(site):
    page = Page(text(site, "explanation/gram-form.html"))
    assert page.tags["math"] > 20
    assert not re.search(r"\$\$|\\frac", re.sub(r"<math.*?</math>", "", text(site, "explanation/gram-form.html")))


def test_tutorials_have_pictures_and_notebooks(site):
    for path in (ROOT / "docs/tutorials").glob("*.md"):
        if "{code-cell}" in path.read_text(encoding="utf-8"):
            page = Page(text(site, f"tutorials/{path.stem}.html"))
            assert any(source.endswith((".png", ".svg")) for source in page.sources), path.stem
            (notebook,) = [link for link in page.links if link.endswith(".ipynb")]
            cells = json.loads((site / "tutorials" / notebook).resolve().read_text(encoding="utf-8"))["cells"]
            assert not any(cell.get("outputs") for cell in cells)


@pytest.mark.parametrize("word", ["displacement", "lookahead", "resume", "troubleshooting"])
def test_search_knows(site, word):
    index = text(site, "searchindex.js")
    assert word in index or word[:-1] in index


def test_it_speaks_of_no_machine(site):
    for path in site.rglob("*.html"):
        found = re.findall(r"/(?:tmp|root|home|work)/[\w./-]+", path.read_text(encoding="utf-8"))
        assert found == [], path
