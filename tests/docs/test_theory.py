"""The page of the theory: its code runs, and its numbers are what comes out. Its formulas: test_quadratic.py."""

import json
import lzma

import pytest
import torch

from benchmarks.studies.analyse import Look, table
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


@pytest.mark.parametrize(("number", "name"), [(0, "digits"), (1, "emoji")])
def test_what_is_said_of_the_tables_of_networks_holds(number, name):
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
        assert displacement < step
        assert first < min(others, step)
        assert (abs(first - displacement) < 0.03) == (row is not rows[-1])
    further = [100 * float(row["components 2 to 4"]) for row in rows]
    assert f"{min(further):.0f} to {max(further):.0f} % on {name}" in text


def table_after(words):
    """Rows of the first table behind these words, by the names of its columns."""
    text = (ROOT / "docs/theory.md").read_text(encoding="utf-8").split(words)[1]
    head, _, *body = next(part for part in text.split("\n\n") if part.startswith("|")).splitlines()
    names, *cells = ([cell.strip() for cell in line.strip("|").split("|")] for line in (head, *body))
    return [dict(zip(names, row, strict=True)) for row in cells]


def test_the_table_of_decisions_is_that_of_the_record_and_what_is_said_of_it_holds():
    shown = table_after("analyse job-scheduling")
    path = ROOT / "benchmarks/studies/analyse/records/looks-job-scheduling.jsonl.xz"
    with lzma.open(path, "rt", encoding="utf-8") as file:
        looks = [Look(**json.loads(line)) for line in file]
    assert {look.size for look in looks} == {86_057}
    found = table(looks)
    assert shown == [{name: row[name] for name in shown[0]} for row in found]
    names = ("component 1", "components 2 to 4", "displacement")
    adam, without, sgd = ([float(row[name].split(" [")[0]) for name in names] for row in found)
    for first, others, displacement in (adam, without):
        assert others > first
        assert abs(first - displacement) < 0.02
    assert sgd[0] > max(sgd[1:])
    assert found[2]["lr T h_1"] == "10.27"
    text = (ROOT / "docs/theory.md").read_text(encoding="utf-8")
    cosines = [float(line.split("|")[3]) for line in text.splitlines() if line.startswith(("| adam", "| sgd"))]
    assert len(cosines) == 18
    assert float(found[2]["cosine"]) == min(cosines)


def test_the_files_it_names_exist():
    assert (ROOT / "tests/pgrad/analysis/test_quadratic.py").exists()
    assert (ROOT / "docs/analysis.md").exists()
