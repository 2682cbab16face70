"""The predictor that looks at no input in every table and picture, and what is said where nothing was learnt."""

import numpy as np
import pytest

from benchmarks.base.records import HINDSIGHT, MAJORITY, MEAN, constant_key
from benchmarks.reports.comparisons import compare
from benchmarks.reports.constant import constant_of, nothing_learnt
from benchmarks.reports.load import Loaded, load
from benchmarks.reports.page import build
from benchmarks.reports.selection import Selection
from tests.benchmarks.reports.test_report import DOMAINS, command, put, record  # noqa: F401  a fixture

CHANCE = {"art": 0.25, "photo": 0.3, "sketch": 0.35}


def run_of(algorithm, held_out, seed, curve, name=MAJORITY, point=0, **more):
    """A run that ends at 0.6 outside; `curve` is that of its validation."""
    found = record(algorithm, held_out, seed, 0.6, point)
    n = len(curve)
    found["curves"] = {
        "step": [6 * (i + 1) for i in range(n)],
        "loss": [1.0] * n,
        "validation": list(curve),
        "held_out": [0.6] * n,
    }
    found["diagnostics"] = {
        **found["diagnostics"],
        constant_key(name, "validation"): [0.3],
        constant_key(name, "validation", HINDSIGHT): [0.31],
        constant_key(name, "held out"): [CHANCE[held_out] + 0.01 * seed],
        **more,
    }
    return found


def runs(curve, algorithms=("erm", "reptile", "pgrad"), seeds=3, **more):
    """`curve` takes a generator of random numbers."""
    rng = np.random.default_rng(0)
    return [run_of(a, d, s, curve(rng), **more) for s in range(seeds) for d in DOMAINS for a in algorithms]


def luck(rng):
    """Twenty checkpoints of a model that guesses: the best of them is far above 0.3."""
    return 0.3 + 0.06 * rng.standard_normal(20)


def learning(rng):
    return np.linspace(0.3, 0.5, 20) + 0.06 * rng.standard_normal(20)


def test_the_figures_are_those_of_the_records():
    found = constant_of(Selection.of(runs(learning)), "pictures")
    assert found.name == "majority class"
    np.testing.assert_allclose(found.held_out, [[25 + s, 30 + s, 35 + s] for s in range(3)])
    np.testing.assert_allclose(found.validation, np.full((3, 3), 30.0))
    assert constant_of(Selection.of([record("erm", "art", 0, 0.5)]), "pictures") is None
    other = constant_of(Selection.of(runs(learning, name=MEAN)), "pictures")
    assert other.name == "mean target"


def test_guessing_is_no_learning_though_the_best_checkpoint_is_above_chance():
    selection = Selection.of(runs(luck))
    assert np.nanmean(selection.scores("pictures", "erm", "validation_accuracy")) > 35
    text = nothing_learnt(selection, "pictures")
    assert text.startswith("NOTHING WAS LEARNT on pictures: no algorithm beats an answer that is the same")
    assert "majority class 30.00, the best such answer in hindsight 31.00" in text
    assert {one.verdict for one in compare(selection, 0)} == {"none"}


@pytest.mark.parametrize("content", [runs(learning), runs(learning, ("erm",)), runs(learning, seeds=1)])
def test_learning_is_seen(content):
    assert nothing_learnt(Selection.of(content), "pictures") == ""


def test_one_algorithm_that_learns_is_enough():
    content = runs(luck, ("erm", "reptile")) + runs(learning, ("pgrad",))
    assert nothing_learnt(Selection.of(content), "pictures") == ""
    assert "none" not in {one.verdict for one in compare(Selection.of(content), 0)}


def test_records_that_do_not_tell_have_their_verdicts():
    content = [record(a, d, s, 0.2) for a in ("erm", "reptile") for d in DOMAINS for s in range(3)]
    assert nothing_learnt(Selection.of(content), "pictures") == ""
    report = build(Loaded(content, 0, ("c0de",)), Selection.of(content))
    assert report.warnings == []
    assert len(report.verdicts) == 1
    assert not any("majority" in table.markdown() for table in report.tables())


@pytest.mark.slow
def test_the_line_stands_in_every_table_and_picture_of_scores():
    content = [
        run_of(a, d, s, learning(np.random.default_rng(s)), point=p)
        for a in ("erm", "reptile", "pgrad")
        for d in DOMAINS
        for s in range(3)
        for p in (0, 1)
    ]
    report = build(Loaded(content, 0, ("c0de",)), Selection.of(content))
    tables = {table.name: table for table in report.tables()}
    for name in ("accuracy-pictures", "aggregates", "selection"):
        text = tables[name].text
        assert "majority class" in set(text["algorithm"]), name
        assert "majority class" in set(tables[name].numbers["algorithm"])
    line = tables["accuracy-pictures"].numbers.set_index(["algorithm", "held_out"]).loc[("majority class", "average")]
    assert line["mean"] == pytest.approx(31.0)
    for name in ("differences", "controls"):
        np.testing.assert_allclose(tables[name].numbers["constant"], 31.0 - 60.0)
    for section in report.sections:
        for picture in section.pictures:
            words = {text.get_text() for legend in picture.figure.legends for text in legend.get_texts()}
            kind = picture.name.split("-")[0]
            if kind in ("accuracy", "curves", "inside", "profiles", "cost", "sensitivity"):
                assert "majority class" in words, picture.name
        for picture in section.files:
            crosses = [line for axes in picture.figure.axes for line in axes.lines if line.get_marker() == "x"]
            assert [line.get_xdata()[0] for line in crosses] == pytest.approx([-29.0, -29.0])
    answer, plot = report.answer
    assert answer.constant == pytest.approx(-29.0)
    assert [(row.name, row.kind) for row in plot.rows][-1] == ("majority class", "constant")


@pytest.mark.slow
def test_page_and_terminal_say_first_that_nothing_was_learnt(command, tmp_path):  # noqa: F811
    code, out, _ = command(put(tmp_path / "runs", runs(luck)), "--output", str(tmp_path / "out"))
    assert code == 0
    assert out.startswith("NOTHING WAS LEARNT on pictures")
    assert "against" not in out
    html = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert html.index("NOTHING WAS LEARNT") < html.index("Baselines:")
    assert "no difference shown." not in html
    markdown = (tmp_path / "out/report.md").read_text(encoding="utf-8")
    assert markdown.index("NOTHING WAS LEARNT") < markdown.index("## Verdicts\n\nNone.")


def test_the_scale_is_that_of_the_metric_that_was_set():
    content = [record("erm", d, 0, 0.5) for d in DOMAINS]
    for one in content:
        one["config"]["metric"] = "auc"
    assert Selection.of(content).scale("pictures").label == "AUC, %"


def test_a_measure_that_is_not_defined_is_left_out(tmp_path):
    content = [record("erm", d, 0, 0.5, measures={"AUC": {d: [0.5, None if d == "art" else 0.7]}}) for d in DOMAINS]
    selection = Selection.of(load([put(tmp_path / "runs", content)]).records)
    np.testing.assert_allclose(selection.measured("pictures", "erm", "AUC"), [[np.nan, 70.0, 70.0]])
