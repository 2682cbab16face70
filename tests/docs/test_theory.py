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


def test_the_files_it_names_exist():
    assert (ROOT / "tests/pgrad/analysis/test_quadratic.py").exists()
    assert (ROOT / "docs/analysis.md").exists()
