"""The page of the theory: its code runs, and its numbers are what comes out. Its formulas: test_quadratic.py."""

import pytest
import torch

from pgrad import analysis
from tests.docs.pages import ROOT, blocks, run


@pytest.fixture(scope="module")
def page():
    return run("docs/theory.md")


def test_the_code_ran(page):
    assert len(blocks("docs/theory.md")) == 2
    torch.testing.assert_close(page["found"], page["expected"], rtol=1e-6, atol=1e-12)


def test_two_domains(page):
    text = (ROOT / "docs/theory.md").read_text(encoding="utf-8")
    assert "`displacement` is (2, 0)" in text
    assert page["displacement"].tolist() == [2, 0]
    assert "`principal` is (1.96, 0.42)" in text
    assert page["principal"].tolist() == pytest.approx([1.96, 0.42], abs=0.005)


def test_noise_in_sharp_directions_is_pulled_back():
    noise = analysis.noise_scatter(torch.linspace(0, 0.8, 81).double(), 1.0, 9)
    assert (noise.diff() < 0).all()
    assert float(noise[-1] / noise[0]) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(("number", "least", "most"), [(0, 0.35, 0.82), (1, 0.19, 0.54)])
def test_what_is_said_of_the_tables_of_networks_holds(number, least, most):
    text = (ROOT / "docs/theory.md").read_text(encoding="utf-8")
    seen = text.split("## What is seen on a network")[1].split("\n- **")[0]
    table = [part for part in seen.split("\n\n") if part.startswith("|")][number]
    head, _, *body = ([cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines())
    rows = [{name: cell.split(" [")[0] for name, cell in zip(head, cells, strict=True)} for cells in body]
    assert len(rows) == 6
    for row in rows:
        first, others, displacement, step = (
            float(row[name]) for name in ("component 1", "components 2 to 4", "displacement", "first step")
        )
        chance = max(float(row["null: random"]), float(row["null: walk"]))
        assert min(first, others, displacement, step) > 10 * chance
        assert least <= others <= most
        assert displacement < step
        assert first < min(others, step)
        assert abs(first - displacement) < 0.03 or row is rows[-1]


def test_the_files_it_names_exist():
    assert (ROOT / "tests/pgrad/analysis/test_quadratic.py").exists()
    assert (ROOT / "docs/analysis.md").exists()
