"""How the recipe is fixed and confirmed, and how rungs are kept: records of one rung under the names of others."""

import copy
import json
import lzma

import numpy as np
import pytest

from benchmarks.reports.load import load_records
from benchmarks.reports.selection import Selection
from benchmarks.runs.selection import is_refit, select_all
from benchmarks.studies.comparison import keep, recipe, tables

RUNG = tables.FOLDER / "records/tuned/coloured-digits.jsonl.xz"
NAMES = ("erm", "erm-swad", "reptile")


@pytest.fixture(scope="module")
def records():
    return [one for one in load_records(str(RUNG)) if one["config"]["algorithm"] in NAMES]


def under(name, records, gain):
    """The records as those of another rung, where what is trained again gains so much over SWAD in every run."""
    swad = {
        (row["held_out"], row["seed"]): row["refit_accuracy"]
        for row in select_all(records)
        if row["algorithm"] == "erm-swad"
    }
    made = copy.deepcopy(records)
    for one in made:
        config = one["config"]
        config["dataset"] = name
        if is_refit(one) and config["algorithm"] in gain:
            one["curves"]["held_out"][-1] = swad[config["held_out"], config["seed"]] + gain[config["algorithm"]]
    return made


def selection(records, gains):
    made = [one for name, gain in gains.items() for one in under(name, records, gain)]
    return Selection.of(made, "validation", held_out=["90%", "80%", "10%"])


FIXING = {
    "rotated-digits": {"erm": 0.01, "reptile": 0.03},
    "coloured-fashion": {"erm": 0.03, "reptile": 0.02},
    "emoji-styles4-64": {"erm": 0.01, "reptile": 0.03},
    "vader-sentences": {"erm": 0.03, "reptile": 0.02},
    "bethe-heitler-plain": {},
}
CONFIRMING = {
    "coloured-digits": {"erm": 0.05, "reptile": 0.01},
    "rotated-fashion": {"erm": 0.05, "reptile": 0.03},
    "emoji-styles8-64": {"erm": 0.05, "reptile": 0.01},
    "vader-tfidf": {"erm": 0.05, "reptile": 0.03},
    "bethe-heitler-physics": {},
}


def test_what_is_best_on_the_first_half_is_fixed_and_looked_at_on_the_other(records):
    text = recipe.page(selection(records, FIXING | CONFIRMING), None)
    assert "Fixed: **reptile**, **+2.5 [+2.5, +2.5]** points against `erm-swad`." in text
    assert "On the other rungs: **+2.0 [+2.0, +2.0]** points, confirmed." in text
    assert "emoji-styles4-64, vader-sentences, bethe-heitler-plain; for confirming coloured-digits" in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert [row.split("|")[1].strip() for row in rows] == ["algorithm", "reptile", "erm"]
    assert "**+5.0 [+5.0, +5.0]**" in rows[2]


def test_what_falls_behind_on_the_other_half_is_not_confirmed(records):
    gains = FIXING | CONFIRMING | {"coloured-digits": {"reptile": -0.11}}
    text = recipe.page(selection(records, gains), None)
    assert "On the other rungs: **−1.0 [−1.0, −1.0]** points, not confirmed." in text


def test_some_rungs_of_a_half_fix_nothing(records):
    text = recipe.page(selection(records, {name: FIXING[name] for name in list(FIXING)[:2]}), None)
    assert "Ahead on 2 of 5 rungs, nothing fixed yet: **reptile**, **+2.5 [+2.5, +2.5]** points" in text
    assert "Nothing is confirmed yet: 0 of 5 rungs for confirming are done." in text
    assert "Fixed" not in text


def test_one_rung_of_a_half_tells_nothing(records):
    text = recipe.page(selection(records, {"coloured-digits": {}, "rotated-digits": {}}), None)
    assert "Fewer than 2 rungs for fixing are done: nothing is fixed yet." in text


def test_rules_are_compared_by_held_out_set(records):
    """Validation differs from itself by nothing; its loss, by what it chooses."""
    made = selection(records, {"rotated-digits": {}})
    made = Selection.of(made.records + made.refits, "validation", held_out=["90%", "80%", "10%"])
    object.__setattr__(made, "families", {"averaged": ("erm", "erm-swad")})
    np.testing.assert_array_equal(recipe.against_validation(made, "validation")["rotated-digits"], np.zeros(3))
    found = recipe.against_validation(made, "validation-loss")["rotated-digits"]
    rows = {
        rule: select_all(made.records + made.refits, rule, made.families) for rule in ("validation", "validation-loss")
    }
    by_hand = [
        np.mean(
            [
                100 * (ours["refit_accuracy"] - theirs["refit_accuracy"])
                for ours, theirs in zip(rows["validation-loss"], rows["validation"], strict=True)
                if ours["algorithm"] == "averaged" and ours["held_out"] == name and ours["refit_accuracy"] is not None
            ]
        )
        for name in made.held_out("rotated-digits")
    ]
    np.testing.assert_allclose(found, by_hand)


def losses_of(records):
    return np.array([one["curves"]["loss"][-1] for one in records])


def kept_in(records, folder):
    digits = keep.keep(records, folder / "kept.jsonl.xz")
    with lzma.open(folder / "kept.jsonl.xz", "rt", encoding="utf-8") as file:
        return digits, [json.loads(line) for line in file]


def test_a_kept_rung_chooses_the_same(records, tmp_path):
    digits, kept = kept_in(records, tmp_path)
    assert digits == 6
    assert len(kept) == len(records)
    np.testing.assert_allclose(losses_of(kept), losses_of(records), rtol=1e-5)
    assert [one["curves"]["held_out"] for one in kept] == [one["curves"]["held_out"] for one in records]


def test_there_are_as_many_digits_as_the_same_choices_take(records, tmp_path):
    """Losses that differ from the eighth digit on, where the choice by the loss is made."""
    made = copy.deepcopy(records)
    for one in made:
        if not is_refit(one):
            one["diagnostics"]["validation loss"] = [0.5 + 1e-8 * value for value in one["curves"]["held_out"]]
    digits, kept = kept_in(made, tmp_path)
    assert digits > 7
    chosen = [[(row["point"], row["step"]) for row in select_all(own, "validation-loss")] for own in (made, kept)]
    assert chosen[0] == chosen[1]


def test_a_rung_that_is_not_there():
    with pytest.raises(SystemExit, match="rung: "):
        keep.main(str(RUNG), "coloured-digit")
