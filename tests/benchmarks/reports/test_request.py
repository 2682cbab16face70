"""What a report can be asked for: some algorithms or held-out sets, a sweep that still runs, several side by side."""

import itertools

import numpy as np
import pytest
import yaml

from benchmarks.reports.load import load
from benchmarks.reports.overview import overview
from benchmarks.reports.request import Request
from benchmarks.reports.selection import Selection
from benchmarks.reports.watch import follow
from benchmarks.sweeps.config import Overrides, SweepConfig
from benchmarks.sweeps.coordinator import perform
from benchmarks.sweeps.files import read, validated
from benchmarks.sweeps.launcher_config import InProcess
from benchmarks.sweeps.store import Store
from tests.benchmarks.reports.test_report import DOMAINS, command, put, record, records  # noqa: F401  a fixture

TINY = Overrides(rollouts=2, evaluate_every=1, batch_size=8, splits=1, width=4)


def sweep_of(seeds, **changes):
    options = {"datasets": {"coloured-digits": TINY}, "algorithms": ("erm", "reptile"), "launcher": InProcess()}
    return SweepConfig(**{**options, "seeds": seeds, **changes})


def done(sweep, folder):
    with Store(folder / "store.sqlite") as store:
        perform(sweep, store, folder)
    return folder


def test_few_are_compared_by_name(tmp_path):
    source = put(tmp_path / "runs", records(seeds=8, gain=0.05))
    loaded, selection = Request((source,), compare=("pgrad", "reptile")).chosen()
    assert selection.algorithms == ("reptile", "pgrad")
    assert {one["config"]["algorithm"] for one in loaded.records} == {"pgrad", "reptile"}
    report, _ = Request((source,), compare=("pgrad", "reptile")).report(tmp_path / "out")
    (one,) = report.verdicts
    assert one.p_holm == one.p_value == pytest.approx(2.0**-7)  # nothing else is corrected for
    _, selection = Request((source,), compare=("pgrad",)).chosen()
    assert selection.baselines == ("pgrad",)
    with pytest.raises(ValueError, match="Did you mean 'pgrad'"):
        Request((source,), compare=("pgard",)).chosen()


def sets_of(loaded, **options):
    return Selection.of(loaded, **options).held_out("pictures")


def test_larger_held_out_sets_are_reported_where_they_were_asked_for():
    """All pairs beside all single domains: what cross-validation makes, and what somebody may have asked for."""
    pairs = ["+".join(pair) for pair in itertools.combinations(DOMAINS, 2)]
    content = [record(name, one, 0, 0.5) for name in ("erm", "pgrad") for one in (*DOMAINS, *pairs)]
    assert sets_of(content) == DOMAINS
    assert sets_of(content, sweeps=[{"datasets": {"other": {}}}]) == DOMAINS
    assert sets_of(content, sweeps=[{"datasets": {"pictures": None}, "leave_out": 2}]) == tuple(pairs)
    two = [{"datasets": {"pictures": {}}, "leave_out": size} for size in (1, 2)]
    assert set(sets_of(content, sweeps=two)) == {*DOMAINS, *pairs}
    some = [{"datasets": {"pictures": {"held_out": ["art", "sketch+photo"]}}}]
    assert set(sets_of(content, sweeps=some)) == {"art", "photo+sketch"}
    named = Selection.of(content, held_out=("sketch+photo", "art"))
    assert set(named.held_out("pictures")) == {"art", "photo+sketch"}
    assert {one["config"]["held_out"] for one in named.inner} == {"art+photo", "art+sketch"}
    with pytest.raises(ValueError, match=r"held-out: .*'art'"):
        Selection.of(content, held_out=("arts",))


@pytest.mark.slow
def test_the_store_of_a_sweep_tells_which_sets_were_asked_for(tmp_path):
    sweep = sweep_of(1, algorithms=("erm",), datasets={"coloured-digits": TINY.model_copy(update={"held_out": None})})
    done(sweep, tmp_path)
    both = {"coloured-digits": TINY.model_copy(update={"held_out": (("90%", "80%"),)})}
    done(sweep_of(1, algorithms=("erm",), datasets=both), tmp_path)
    _, selection = Request((str(tmp_path),)).chosen()
    assert set(selection.held_out("coloured-digits")) == {"90%", "80%", "10%", "90%+80%"}
    assert not selection.inner


@pytest.mark.slow
def test_a_store_gives_what_its_records_give(tmp_path):
    sweep = sweep_of(2, points=2, selection=("training-domain", "leave-one-domain-out"))
    done(sweep, tmp_path)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/records.jsonl").write_bytes((tmp_path / "records.jsonl").read_bytes())
    ours, theirs = load([str(tmp_path / "store.sqlite")]), load([str(tmp_path / "copy")])
    assert len(ours.records) == len(theirs.records) == len(sweep.runs())
    assert ours.codes == theirs.codes
    for method in ("training-domain", "last", "oracle", "leave-one-domain-out"):
        first, second = (Selection.of(loaded.records, method) for loaded in (ours, theirs))
        assert first.held_out("coloured-digits") == second.held_out("coloured-digits")
        for name in ("erm", "reptile"):
            scores = [one.scores("coloured-digits", name) for one in (first, second)]
            assert not np.isnan(scores[0]).any()
            np.testing.assert_array_equal(*scores)


@pytest.mark.slow
def test_one_command_adds_the_seeds_that_a_verdict_needs(tmp_path):
    own = Overrides(rollouts=40, evaluate_every=10, held_out=(("0°",),))
    options = {"datasets": {"rotated-digits": own}}
    done(sweep_of(2, **options), tmp_path)
    report, _ = Request((str(tmp_path),)).report(tmp_path / "report")
    assert report.answer[0].seeds == 6
    words = report.more_seeds.split()
    assert words[:4] == ["python", "-m", "benchmarks", "sweep"]
    assert words[5:] == ["--output", str(tmp_path)]
    assert report.more_seeds in (tmp_path / "report/report.html").read_text(encoding="utf-8")
    content, lines = read(tmp_path / "report/more-seeds.yaml")
    assert words[4] == str(tmp_path / "report/more-seeds.yaml")
    longer = validated(content, "file", lines)
    assert longer == sweep_of(6, **options)
    assert yaml.safe_load((tmp_path / "report/more-seeds.yaml").read_text(encoding="utf-8")) == content
    with Store(tmp_path / "store.sqlite") as store:
        before = {one["key"]: one["attempts"] for one in store.records()}
        perform(longer, store, tmp_path)
        after = {one["key"]: one["attempts"] for one in store.records()}
    assert len(after) == 3 * len(before)
    assert {key: after[key] for key in before} == before  # none of them was done again
    report, _ = Request((str(tmp_path),)).report(tmp_path / "report")
    assert report.answer[0].seeds == 0
    assert not report.more_seeds


@pytest.mark.slow
def test_a_page_follows_a_sweep_until_it_is_done(tmp_path):
    sweep = sweep_of(2)
    half = sweep_of(1)
    with Store(tmp_path / "store.sqlite") as store:
        store.enter(sweep)
        perform(half, store, tmp_path)
    request, pages = Request((str(tmp_path),)), []

    def make(refresh, progress):
        request.report(tmp_path / "report", refresh, progress)
        pages.append((tmp_path / "report/report.html").read_text(encoding="utf-8"))

    def meanwhile(_):
        if len(waits) == 1:  # at the second look nothing has changed
            with Store(tmp_path / "store.sqlite") as store:
                perform(sweep, store, tmp_path)
        waits.append(1)

    waits: list[int] = []
    follow((str(tmp_path),), 7, make, sleep=meanwhile)
    assert len(waits) == 2
    assert len(pages) == 2
    assert '<meta http-equiv="refresh" content="7">' in pages[0]
    assert "runs have ended. This page loads itself again every 7 s." in pages[0]
    assert "refresh" not in pages[1]
    with pytest.raises(ValueError, match="a file of records nothing happens"):
        follow((put(tmp_path / "lines", records(seeds=1)),), 7, make)


def test_side_by_side(tmp_path):
    """Two sources with other settings and data sets: a column for each data set, tested by itself."""
    first, second = records(seeds=8, gain=0.05), records(seeds=8, gain=-0.05)
    for one in second:
        one["config"]["rollouts"] = 3
    third = [record("erm", "art", seed, 0.5) for seed in range(2)] + [
        record("sam", "art", seed, 0.6) for seed in range(2)
    ]
    for one in third:
        one["config"]["dataset"] = "drawings"
    sources = tuple(put(tmp_path / name, content) for name, content in (("a", first), ("b", second), ("c", third)))
    made = overview(Request(sources))
    assert [column.title for column in made.columns] == ["pictures (a)", "pictures (b)", "drawings (c)"]
    cells = dict(made.rows)
    assert [name for name, _ in made.rows][-1] == "sam"  # on one data set only
    assert cells["sam"][:2] == ["", ""]
    assert cells["sam"][2] == "+10.0 [+10.0, +10.0] △"
    alone = [Request((source,)).report(tmp_path / "out")[0].verdicts for source in sources[:2]]
    for place, verdicts in enumerate(alone):
        (own,) = [one for one in verdicts if (one.algorithm, one.baseline) == ("pgrad", "erm")]
        assert cells["pgrad"][place].startswith(f"{own.difference.mean:+.1f}".replace("-", "−"))
        assert cells["pgrad"][place][-1] == {"better": "▲", "worse": "▼"}[own.verdict]


def test_side_by_side_on_the_command_line(command, tmp_path):  # noqa: F811
    sources = [put(tmp_path / name, records(seeds=2)) for name in ("a", "b")]
    code, out, _ = command(*sources, "--overview", "--output", str(tmp_path / "out"))
    assert code == 0
    assert out.split()[-1] == str(tmp_path / "out/overview.html")
    page = (tmp_path / "out/overview.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert page.count('<th scope="row">') == 2 * 3 + 2


def test_an_empty_store_beside_a_file_of_records_is_refused(command, tmp_path):  # noqa: F811
    source = put(tmp_path / "runs", records(seeds=1))
    with Store(tmp_path / "runs/store.sqlite"):
        pass
    code, _, errors = command(source)
    assert code == 2
    assert "holds no ended run, but" in errors
    assert "benchmarks import" in errors
