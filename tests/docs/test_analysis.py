"""The page about looking at a run: its code runs, and what it says of the results holds."""

import re

import pytest
import torch

from pgrad import analysis
from tests.docs.pages import ROOT, blocks, run

PAGE = "docs/analysis.md"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))  # it writes files
        return run(PAGE) | {
            "saved": torch.load("run.pt", weights_only=True),
            "read": analysis.read_jsonl("rollouts.jsonl"),
        }


def test_the_code_ran(page):
    assert len(blocks(PAGE)) == 9
    assert len(page["recorder"].rows) == len(page["read"]) == len(page["saved"]["recorder"]["rows"])
    assert page["trace"].standard_error > 0
    assert page["sharpness"].shape == (3, 5)
    assert page["alignment"].cosines.shape == (3, 3)
    assert torch.isfinite(page["plane"].losses).all()
    assert len({id(ax.figure) for ax in page["figures"]}) == 5


def test_the_columns_of_the_table_are_in_a_row(page):
    table = (ROOT / PAGE).read_text(encoding="utf-8").split("| in a row |")[1].split("\n\n")[0]
    named = re.findall(r"`([a-z_]+(?:/[^`]*)?)`", "\n".join(line.split("|")[1] for line in table.splitlines()[2:]))
    assert len(named) > 10
    for name in named:
        start = name.partition("/")[0]
        assert any(key == start or key.startswith(f"{start}/") for key in page["row"]), name


def test_random_directions_are_what_the_nulls_say(page):
    """A real share of the top eigenspace, and nulls about that of a random direction."""
    assert page["first"].low > page["random"].high
    for null in ("mirrored", "walk"):
        assert page[null].mean < 3 * page["random"].mean


def test_every_public_name_is_spoken_of_here_or_in_the_theory():
    text = "".join((ROOT / name).read_text(encoding="utf-8") for name in (PAGE, "docs/theory.md"))
    records = {"Alignment", "Cost", "Curvature", "Density", "Directions", "Eigenpairs", "Estimate", "Interval", "Line"}
    records |= {"Diagnosis", "NoiseScale", "Plane", "Smoothness"}  # what the others return
    assert [name for name in analysis.__all__ if not re.search(rf"\b{name}\b", text) and name not in records] == []
