"""The tables of the study of choose: made from the committed trials, and recomputed from their lines by hand."""

import json
import re

import numpy as np
import pytest
from scipy import stats

from benchmarks.studies.choose.study import LINES, trials, unseen_of
from benchmarks.studies.choose.tables import COLUMNS, PAGE, RECORDS, THREE, overall, page, rows
from tests.docs.pages import ROOT

DOCS = (ROOT / "docs/choose.md").read_text(encoding="utf-8")
TRIALS = [json.loads(line) for line in (RECORDS / LINES).read_text(encoding="utf-8").splitlines()]
MINUTES = sorted({one["minutes"] for one in TRIALS})


def test_the_page_is_what_the_lines_give():
    assert PAGE.read_text(encoding="utf-8") == page(trials(RECORDS))


def test_the_table_of_docs_is_that_of_the_page():
    assert overall(trials(RECORDS), THREE) in DOCS


@pytest.mark.parametrize("minutes", [1.0, 5.0])
def test_every_second_domain_of_the_seven_rungs_was_the_unseen_one(minutes):
    own = [(one["dataset"], one["unseen"]) for one in TRIALS if one["minutes"] == minutes]
    names = {name for name, _ in own}
    assert len(names) == 7
    assert sorted(own) == sorted((name, unseen) for name in names for unseen in unseen_of(name))


@pytest.mark.parametrize("minutes", MINUTES)
def test_the_row_of_all_by_hand(minutes):
    own = [one for one in TRIALS if one["minutes"] == minutes]
    found = next(
        dict(zip(COLUMNS, row, strict=True)) for row in rows(trials(RECORDS)) if row[:2] == ("all", f"{minutes:g}")
    )

    def shown(values):
        mean = np.mean(values)
        reach = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
        return f"{mean:+.1f} [{mean - reach:+.1f}, {mean + reach:+.1f}]".replace("-", "−")

    assert found["trials"] == str(len(own))
    assert found["regret"] == shown([100 * (one["hindsight_half"] - one["half"]) for one in own])
    assert found["of validation"] == shown([100 * (one["hindsight_half"] - one["validation_half"]) for one in own])
    assert found["over ERM"] == shown([100 * (one["reached"] - one["default"]) for one in own])
    inside = [one["low"] <= one["reached"] <= one["high"] for one in own]
    assert found["inside interval"] == f"{sum(inside)} of {len(own)}"


def test_intervals_in_the_words_of_the_page_are_those_of_the_tables():
    found = re.compile(r"([+-]?\d+\.\d+) \[([+-]?\d+\.\d+), ([+-]?\d+\.\d+)\]")
    words = re.sub(r"\s+", " ", DOCS.split("## How good is it?")[1])
    known = set(found.findall(PAGE.read_text(encoding="utf-8").replace("−", "-")))
    shown = found.findall(words.replace("−", "-"))
    assert len(shown) > 4
    assert [told for told in shown if told not in known] == []
