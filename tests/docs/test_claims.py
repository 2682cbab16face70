"""The page of the paper's claims: its tables are what the recorded runs give, and its counts hold."""

import json
import lzma
import re

import pytest

from benchmarks.studies.analyse import Curve, smooth
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs/claims.md").read_text(encoding="utf-8")
NAMES = {
    "rotated digits": "rotated-digits",
    "coloured digits": "coloured-digits",
    "emoji, 4 styles": "emoji-styles4-64",
}
INSIDE = {"Adam": "adam", "Adam, beta1 = 0": "adam-beta1-0", "SGD": "sgd"}


@pytest.fixture(scope="module")
def found():
    rows = {}
    for name in NAMES.values():
        with lzma.open(ROOT / f"benchmarks/studies/analyse/records/{name}.jsonl.xz", "rt", encoding="utf-8") as file:
            for row in smooth([Curve(**json.loads(line)) for line in file]):
                rows[name, row["inside"]] = row
    return rows


def table(heading):
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_tables_are_those_of_the_records(found):
    domains, smoothness = table("Domain noise"), table("Smooth loss curves")
    assert len(domains) == len(smoothness) == len(found) == 9
    lowest = "lowest cosine with a domain"
    for data, inside, principal, displacement, difference in domains:
        row = found[NAMES[data], INSIDE[inside]]
        assert row["seeds"] == "5"
        assert [row[f"{lowest}, {name}"] for name in ("principal", "displacement")] == [principal, displacement]
        assert row[f"{lowest}, difference"] == difference
    for data, inside, principal, displacement, variation, bend in smoothness:
        row = found[NAMES[data], INSIDE[inside]]
        assert [row[f"variation, {name}"] for name in ("principal", "displacement")] == [principal, displacement]
        assert float(row["variation, difference"].split()[0]) == pytest.approx(float(variation.split()[0]), abs=1e-12)
        if inside != "Adam" or data != "rotated digits":  # an interval of round-off
            assert row["variation, difference"] == variation
        assert row["bend, difference"] == bend


def sides(cells):
    """Intervals above zero, and below."""
    ends = [[float(end) for end in re.search(r"\[(.*), (.*)\]", cell).groups()] for cell in cells]
    return sum(low > 1e-12 for low, _ in ends), sum(high < -1e-12 for _, high in ends)


def test_what_is_said_of_them_holds(found):
    assert sides(row[4] for row in table("Domain noise")) == (0, 9)
    assert sides(row[4] for row in table("Smooth loss curves")) == (4, 0)
    assert sides(row[5] for row in table("Smooth loss curves")) == (6, 0)
    for row in found.values():
        assert float(row["loss, displacement"]) < float(row["loss, principal"])


def test_every_claim_of_the_first_table_has_its_section():
    anchors = re.findall(r"\]\(#([a-z-]+)\)", PAGE)
    headings = [line[3:].lower().replace(" ", "-") for line in PAGE.splitlines() if line.startswith("## ")]
    assert anchors == headings
