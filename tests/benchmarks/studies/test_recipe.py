"""How the recipe is fixed and confirmed, and how rungs are kept: records of one rung under the names of others."""

import copy
import itertools
import json
import lzma
import re

import numpy as np
import pytest

from benchmarks.reports.load import load_records
from benchmarks.reports.selection import Selection
from benchmarks.runs.selection import is_refit, select_all
from benchmarks.studies import keep
from benchmarks.studies.comparison import recipe, tables
from benchmarks.sweeps.coordinator import perform
from benchmarks.sweeps.store import Store
from tests.benchmarks.toy_sweeps import TOYS, toy_sweep

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


def test_the_cross_sections_whose_score_is_no_share_are_not_waited_for(records):
    gains = {name: own for name, own in (FIXING | CONFIRMING).items() if not name.startswith("bethe")}
    text = recipe.page(selection(records, gains), None)
    assert "Fixed: **reptile**, **+2.5 [+2.5, +2.5]** points" in text
    assert "On the other rungs: **+2.0 [+2.0, +2.0]** points, confirmed." in text
    del gains["vader-tfidf"]
    text = recipe.page(selection(records, gains), None)
    assert "Fixed: **reptile**" in text
    assert "Nothing is confirmed yet: 3 of 4 rungs that count for confirming are done." in text


def test_what_falls_behind_on_the_other_half_is_not_confirmed(records):
    gains = FIXING | CONFIRMING | {"coloured-digits": {"reptile": -0.11}}
    text = recipe.page(selection(records, gains), None)
    assert "On the other rungs: **−1.0 [−1.0, −1.0]** points, not confirmed." in text


def test_some_rungs_of_a_half_fix_nothing(records):
    text = recipe.page(selection(records, {name: FIXING[name] for name in list(FIXING)[:2]}), None)
    assert "Ahead on 2 of 4 rungs that count, nothing fixed yet: **reptile**, **+2.5 [+2.5, +2.5]** points" in text
    assert "Nothing is confirmed yet: 0 of 4 rungs that count for confirming are done." in text
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


RULES = ("validation", "validation-loss")


def kept_in(records, folder, rules=RULES):
    digits = keep.keep(records, folder / "kept.jsonl.xz", rules)
    with lzma.open(folder / "kept.jsonl.xz", "rt", encoding="utf-8") as file:
        return digits, [json.loads(line) for line in file]


def choices(records, rules, outside=None):
    """What a table shows of the choices for some held-out sets."""
    rows = [row for rule in rules for row in select_all(records, rule)]
    return [row for row in rows if outside is None or row["held_out"] in outside]


def test_a_kept_rung_chooses_the_same(records, tmp_path):
    digits, kept = kept_in(records, tmp_path)
    assert digits == 6
    assert len(kept) == len(records)
    np.testing.assert_allclose(losses_of(kept), losses_of(records), rtol=1e-2)
    assert choices(kept, (*RULES, "oracle", "last")) == choices(records, (*RULES, "oracle", "last"))


def crossed_records(rng):
    """Every domain of three and every pair held out: two algorithms, three points, two seeds, four checkpoints."""
    sets = ["a", "b", "c", "a+b", "a+c", "b+c"]
    made = []
    for held_out, algorithm, point, seed in itertools.product(sets, ("erm", "erm-ema"), range(3), range(2)):
        outside = held_out.split("+")
        domain_curves = {name: rng.integers(0, 8, size=4) / 8 for name in "abc"}
        inside = [own for name, own in domain_curves.items() if name not in outside]
        curves = {
            "step": [9, 18, 27, 36],
            "loss": rng.random(4).tolist(),
            "validation": np.mean(inside, axis=0).tolist(),
            "held_out": np.mean([domain_curves[name] for name in outside], axis=0).tolist(),
        }
        config = {"dataset": "toy", "algorithm": algorithm, "held_out": held_out, "seed": seed, "point": point}
        made.append(
            {
                "key": "-".join(map(str, config.values())),
                "config": {**config, "hparams": {"lr": 0.1**point}, "rollouts": 12, "evaluate_every": 3},
                "status": "finished",
                "timings": {"wall_seconds": 1.23456, "cpu_seconds": 1.23456, "started": 1.0, "ended": 2.0},
                "attempts": [],
                "curves": curves,
                "domain_curves": {name: own.tolist() for name, own in domain_curves.items()},
                "diagnostics": {"validation loss": rng.random(4).tolist()},
            }
        )
    return made


@pytest.mark.parametrize("seed", range(5))
def test_every_rule_of_rules_yaml_chooses_the_same_from_what_is_kept(seed, tmp_path):
    made = crossed_records(np.random.default_rng(seed))
    rules = tables.sweep_of("rules")["selection"]
    _, kept = kept_in(made, tmp_path, rules)
    asked = choices(made, rules, outside="abc")
    assert len(asked) == len(rules) * 2 * 3 * 2
    assert choices(kept, rules, outside="abc") == asked
    left = sum(value is not None for one in kept for own in one["domain_curves"].values() for value in own)
    assert left == 4 * (3 + 2 * 3) * 12  # of each run the curves of the domains that it holds out


def test_there_are_as_many_digits_as_the_same_choices_take(records, tmp_path):
    """Losses that differ from the eighth digit on, where the choice by the loss is made."""
    made = copy.deepcopy(records)
    for one in made:
        if not is_refit(one):
            one["diagnostics"]["validation loss"] = [
                None if value is None else 0.5 + 1e-8 * value for value in one["curves"]["held_out"]
            ]
    digits, kept = kept_in(made, tmp_path)
    assert digits > 7
    chosen = [[(row["point"], row["step"]) for row in select_all(own, "validation-loss")] for own in (made, kept)]
    assert chosen[0] == chosen[1]


def test_a_rung_that_is_not_there():
    with pytest.raises(SystemExit, match=r"rungs: 'coloured-digit' is not known\. Did you mean 'coloured-digits'"):
        keep.main(str(RUNG), tables.FOLDER / "tuned.yaml", "coloured-digit")


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """A small sweep with all its stages: the file, and the lines of its records in the order in which they ended."""
    folder = tmp_path_factory.mktemp("toys")
    sweep = toy_sweep(seeds=2, points=3, search="wide", share_points=True, widen=1, refit=True)
    with Store(folder / "store.sqlite") as store:
        made = perform(sweep, store, folder)
    content = sweep.model_dump(mode="json", exclude={"plugins", "launcher"})
    text = json.dumps({**content, "plugins": [TOYS], "launcher": "in-process"})
    return text, [json.dumps(one) + "\n" for one in made]


def kept_toys(toys, folder, lines=None, **change):
    """What is kept, and the message if nothing is."""
    text, every = toys
    folder.mkdir()
    (folder / "toys.yaml").write_text(json.dumps({**json.loads(text), **change}), encoding="utf-8")
    (folder / "lines.jsonl").write_text("".join(every if lines is None else lines), encoding="utf-8")
    try:
        keep.main(str(folder / "lines.jsonl"), folder / "toys.yaml")
    except SystemExit as error:
        assert not (folder / "records").exists()
        return str(error)
    return len(load_records(str(folder / "records/toys.jsonl.xz")))


def test_a_sweep_is_kept_with_all_its_stages(toys, tmp_path):
    _, lines = toys
    configs = [json.loads(line)["config"] for line in lines]
    assert max(config["point"] for config in configs) >= 3  # it was widened
    assert any("refit" in config for config in configs)
    assert kept_toys(toys, tmp_path / "a") == len(lines)
    # A smaller sweep in the same store: the runs of the other one are left out.
    assert kept_toys(toys, tmp_path / "b", widen=0, refit=False) == 2 * 3 * 3
    assert kept_toys(toys, tmp_path / "c", widen=0, refit=False, seeds=[1]) == 3 * 3


@pytest.mark.parametrize(
    ("kind", "stage"), [("first", "18 first"), ("widened", "24 widened"), ("refit", "[0-9]+ refit")]
)
def test_a_sweep_that_lacks_a_run_of_any_stage_is_not_kept(kind, stage, toys, tmp_path):
    def of(line):
        config = json.loads(line)["config"]
        return "refit" if config.get("refit") else "widened" if config["point"] >= 3 else "first"

    _, lines = toys
    gone = [line for line in lines if of(line) == kind][-1]
    said = kept_toys(toys, tmp_path / "a", [line for line in lines if line != gone])
    assert re.search(f"1 of the {stage} runs are not there, the first of them toy-sgd on toy, held out [abc]", said)


def test_the_records_of_another_sweep_are_not_kept(toys, tmp_path):
    text, _ = toys
    settings = json.loads(text)["settings"]
    assert "18 of the 18 first runs are not there" in kept_toys(
        toys, tmp_path / "a", settings={**settings, "batch_size": 8}
    )
    assert "held out a, seed 2, point 0" in kept_toys(toys, tmp_path / "b", seeds=3)
    assert "seeds: must be" in kept_toys(toys, tmp_path / "c", seeds="two")


def test_no_points_are_no_silence():
    with pytest.raises(SystemExit, match="points: must be"):
        keep.main(str(RUNG), tables.FOLDER / "tuned.yaml", "coloured-digits", points=0)
