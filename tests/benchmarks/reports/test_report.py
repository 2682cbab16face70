import functools
import io
import json
import re

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.algorithms import ALGORITHMS
from benchmarks.reports.build import build
from benchmarks.reports.load import Loaded, load
from benchmarks.reports.selection import Selection
from benchmarks.reports.style import looks
from benchmarks.reports.throughput import work
from benchmarks.sweeps.config import SweepConfig
from benchmarks.sweeps.coordinator import perform
from benchmarks.sweeps.launcher_config import InProcess
from benchmarks.sweeps.settings import Overrides
from benchmarks.sweeps.store import Store

DOMAINS = ("art", "photo", "sketch")
ERROR = "DivergedError: <script>the loss</script> is nan"


def record(algorithm, held_out, seed, score, point=0, **changes):
    start = 1.7e9 + 10 * seed
    config = {
        "dataset": "pictures",
        "algorithm": algorithm,
        "held_out": held_out,
        "seed": seed,
        "point": point,
        "hparams": {"lr": 1e-3 * 10**point, "n_components": 4},
        "model": "mlp",
        "rollouts": 2,
        "evaluate_every": 1,
        "batch_size": 8,
        "splits": 3,
        "width": 4,
    }
    attempt = {"number": 1, "status": "finished", "worker": f"w{seed % 2}", "started": start, "ended": start + 5}
    return {
        "key": f"{algorithm}-{held_out}-{seed}-{point}",
        "config": config,
        "status": "finished",
        "timings": {"wall_seconds": 5.0, "cpu_seconds": 4.0, "started": start, "ended": start + 5},
        "evaluations": 12,
        "peak_memory": {"resident_bytes": 2**29, "cuda_bytes": None},
        "environment": {"code": "c0de", "torch": "2.15"},
        "attempts": [attempt],
        "curves": {
            "step": [6, 12],
            "loss": [2.0, 1.0],
            "validation": [0.6, 0.8 - 0.1 * point],
            "held_out": [score - 0.1, score],
        },
        "diagnostics": {"explained_variance_ratio": [0.7, 0.2, 0.1], "cosine": [0.95]} if algorithm == "pgrad" else {},
        **changes,
    }


def failed(algorithm, held_out, seed, point):
    found = record(algorithm, held_out, seed, 0.0, point, status="failed", failure="diverged", error=ERROR)
    found["attempts"][0]["status"] = "failed"
    del found["curves"]
    return found


def records(seeds=8, gain=0.0):
    """erm and reptile differ by what the seed says; pgrad is reptile plus `gain`; point 1 of pgrad fails once."""
    found = []
    for seed in range(seeds):
        for number, held_out in enumerate(DOMAINS):
            base = 0.4 + 0.2 * number + 0.01 * seed
            other = base + 0.003 * (-1) ** seed * (1 + seed)
            for point in (0, 1):
                found.append(record("erm", held_out, seed, base, point))
                found.append(record("reptile", held_out, seed, other, point))
                found.append(record("pgrad", held_out, seed, other + gain, point))
    found[-1] = failed("pgrad", DOMAINS[-1], seeds - 1, 1)
    return found


def put(folder, content):
    folder.mkdir(exist_ok=True)
    (folder / "records.jsonl").write_text("".join(json.dumps(one) + "\n" for one in content), encoding="utf-8")
    return str(folder)


@pytest.fixture
def command(said):
    return functools.partial(said, "report")


def built(content, **options):
    selection = Selection.of(content, **options)
    return build(load_of(content), selection)


def load_of(content):
    return Loaded(list(content), 0, ("c0de",))


@pytest.fixture(scope="module")
def report():
    return built(records(gain=0.05))


def emptiness(figure):
    """Titles of the axes of a figure that show nothing: almost all of the inside is one colour."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    pixels = np.asarray(Image.open(buffer).convert("RGB")).astype(int)
    scale = 80 / figure.dpi
    empty = []
    for axes in figure.axes:
        box = axes.get_window_extent()
        rows = slice(round(len(pixels) - scale * box.y1) + 2, round(len(pixels) - scale * box.y0) - 2)
        inside = pixels[rows, round(scale * box.x0) + 2 : round(scale * box.x1) - 2].reshape(-1, 3)
        # Grid, shades and helping lines are light or thin; marks are dark or strongly coloured.
        strong = (inside.min(axis=1) < 150).sum()
        if strong < 25:
            empty.append(axes.get_title() or axes.get_xlabel())
    return empty


@pytest.mark.slow
def test_every_panel_of_every_picture_shows_something(report):
    pictures = [picture for section in report.sections for picture in section.pictures]
    files = [picture for section in report.sections for picture in section.files]
    assert [picture.name for picture in files] == ["differences-pictures"]
    names = {picture.name.split("-")[0] for picture in pictures}
    assert names == {
        *(
            "accuracy",
            "curves",
            "inside",
            "profiles",
            "cost",
            "sensitivity",
            "rollouts",
            "workers",
        )
    }
    pictures += files
    assert {picture.name: emptiness(picture.figure) for picture in pictures} == {p.name: [] for p in pictures}


def test_the_check_finds_an_empty_panel():
    figure = Figure()
    full, bare = figure.subplots(1, 2)
    full.plot([0, 1], [0, 1], "ko")
    bare.grid(color="0.88")
    bare.set_title("bare")
    assert emptiness(figure) == ["bare"]


@pytest.mark.slow
def test_the_page_is_whole_and_alone(command, tmp_path):
    code, out, _ = command(put(tmp_path / "runs", records()), "--output", str(tmp_path / "out"))
    assert code == 0
    html = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"|@import|url\(|<script', html)
    anchors = set(re.findall(r'href="#([^"]+)"', html))
    assert anchors <= set(re.findall(r'id="([^"]+)"', html))
    for word in (
        "Selection: validation (validation parts of the training domains)",
        "1 run failed",
        "&lt;script&gt;the loss",
        "0, 1, 2, 3, 4, 5, 6, 7",
        "c0de",
        *DOMAINS,
    ):
        assert word in html
    # A negative result in plain words: pgrad is exactly its control.
    assert "pgrad against reptile on pictures: no difference shown. Difference +0.00 points" in out
    assert not list((tmp_path / "out").rglob("*.partial"))
    markdown = (tmp_path / "out/report.md").read_text(encoding="utf-8")
    assert "| pictures   | reptile    | pgrad       | +0.00 " in markdown
    failures = pd.read_csv(tmp_path / "out/tables/failures.csv")
    assert failures[["algorithm", "held_out", "seed", "point"]].to_numpy().tolist() == [["pgrad", "sketch", 7, 1]]


@pytest.mark.slow
def test_the_tables_hold_the_numbers(report):
    tables = {table.name: table.numbers for table in report.tables()}
    accuracy = tables["accuracy-pictures"].set_index(["algorithm", "held_out"])
    assert accuracy.loc[("erm", "photo"), "mean"] == pytest.approx(100 * (0.6 + 0.035))
    assert accuracy.loc[("erm", "average"), "mean"] == pytest.approx(63.5)
    assert accuracy.loc[("erm", "worst"), "mean"] == pytest.approx(43.5)
    found = tables["differences"].set_index(["baseline", "algorithm"])
    assert set(found.index) == {("erm", "reptile"), ("erm", "pgrad"), ("reptile", "pgrad")}
    gain = found.loc[("reptile", "pgrad")]
    assert gain["difference"] == pytest.approx(5.0)
    assert (gain["seeds"], gain["seeds_won"]) == (8, 8)
    assert gain["p_wilcoxon"] == pytest.approx(2.0**-7)
    assert gain["p_holm"] == pytest.approx(3 * 2.0**-7)
    assert gain["verdict"] == "better"
    assert found.loc[("erm", "reptile"), "verdict"] == "no difference shown"
    controls = tables["controls"].set_index(["baseline", "algorithm"])
    assert set(controls.index) == {("reptile", "pgrad")}  # what the registry says, not the baselines of the report
    own = controls.loc[("reptile", "pgrad")]
    # The same pair, the same verdict: it is corrected for all three comparisons here too.
    assert (own["difference"], own["p_wilcoxon"], own["p_holm"]) == pytest.approx((5.0, 2.0**-7, 3 * 2.0**-7))
    assert own["verdict"] == gain["verdict"]
    cost = tables["cost"].set_index("algorithm")
    assert (cost.loc["pgrad", "runs"], cost.loc["pgrad", "failed"], cost.loc["erm", "failed"]) == (48, 1, 0)
    rollouts = tables["rollouts"].iloc[0]
    # Gram matrix min(i, j) of three orthonormal steps; its random-walk spectrum by numpy.
    centring = np.eye(4) - 0.25
    gram = np.minimum.outer(np.arange(4.0), np.arange(4.0))
    values = np.linalg.eigvalsh(centring @ gram @ centring)[::-1]
    assert rollouts["first_null"] == pytest.approx(values[0] / values.sum())


@pytest.mark.slow
def test_few_seeds_cannot_decide():
    report = built(records(seeds=4, gain=0.2))
    (gain,) = [one for one in report.verdicts if one.who == "pgrad against reptile on pictures"]
    assert gain.verdict == "leans better"
    assert report.answer[0].notes[0] == (
        "With 4 seeds and 3 comparisons no verdict is possible, however large a difference is; 7 seeds are needed (6 "
        "for a single comparison)."
    )


@pytest.mark.slow
def test_latex_is_escaped(report):
    for table in report.tables():
        text = table.latex()
        assert text.count("{") == text.count("}")
        assert not re.search(r"(?<!\\)[%#_&](?=\w)|[^\x00-\x7fτθ–§“”]", re.sub(r" & ", " ", text)), table.name


def test_another_measure_is_that_of_the_chosen_checkpoint():
    """The second checkpoint is chosen, and of point 0: 0.5 on one domain, 0.7 on the other, not 0.9."""
    shares = {"art": [0.9, 0.5], "photo": [0.9, 0.7]}
    content = [
        record(
            "erm",
            held_out,
            0,
            0.6,
            point,
            measures={"balanced accuracy": {held_out: shares[held_out]} if not point else {held_out: [0.9, 0.9]}},
        )
        for held_out in shares
        for point in (0, 1)
    ]
    selection = Selection.of(content)
    assert selection.measures("pictures") == ("balanced accuracy",)
    np.testing.assert_allclose(selection.measured("pictures", "erm", "balanced accuracy"), [[50.0, 70.0]])
    table = {table.name: table for table in build(load_of(content), selection).tables()}["accuracy-pictures"]
    assert table.text["balanced accuracy, %"].tolist() == ["60.0 ± n/a"]
    without = Selection.of([*content[:2], *(record("erm", "photo", 0, 0.6, point) for point in (0, 1))])
    np.testing.assert_array_equal(without.measured("pictures", "erm", "balanced accuracy"), [[50.0, np.nan]])


@pytest.mark.slow
def test_pictures_of_many_algorithms_show_the_baseline_and_the_best():
    names = [f"a{number:02}" for number in range(15)]
    content = [
        record(name, held_out, seed, 0.5 + 0.01 * seed + 0.001 * int(name[1:]))
        for name in names
        for held_out in DOMAINS[:1]
        for seed in (0, 1)
    ]
    report = built(content)
    pictures = {picture.name: picture for section in report.sections for picture in section.pictures}
    (legend,) = pictures["accuracy-pictures"].figure.legends
    shown = [text.get_text() for text in legend.get_texts()]
    assert shown == ["a00", "a14", "a13", "a12", "a11", "a10", "a09"]
    assert any("Pictures show a00, a14" in fact for fact in report.facts)
    assert [row.name for row in report.answer[1].rows] == [*reversed(names)]


def test_an_algorithm_looks_the_same_everywhere():
    everywhere = looks(["pgrad", "erm", "reptile", "one-of-ours"])
    assert looks(["one-of-ours", "reptile"]) == {name: everywhere[name] for name in ("one-of-ours", "reptile")}
    registered = looks(list(ALGORITHMS)).values()
    assert len({(look.colour, look.marker) for look in registered}) == len(ALGORITHMS)
    others = looks([str(number) for number in range(60)]).values()
    assert len({(look.colour, look.marker) for look in others}) == 60
    assert len({look.colour for look in looks(["erm", "pgrad", "reptile", "erm-ema", "erm-swad"]).values()}) == 5


@pytest.mark.slow
def test_runs_of_cross_validation_are_not_reported():
    content = [
        record(name, held_out, seed, 0.5, domain_curves={d: [0.5, 0.6] for d in DOMAINS})
        for name in ("erm", "pgrad")
        for held_out in (*DOMAINS, "art+photo", "art+sketch", "photo+sketch")
        for seed in (0, 1)
    ]
    selection = Selection.of(content, method="leave-one-domain-out")
    assert selection.held_out("pictures") == DOMAINS
    assert len(selection.inner) == 12
    assert len(selection.selected) == 12
    assert (
        "leave-one-domain-out"
        in {table.name: table for table in build(load_of(content), selection).tables()}["selection"].text.columns
    )


def test_throughput_by_hand():
    content = [record("erm", "art", seed, 0.5) for seed in range(4)]  # w0: 0-5 and 20-25, w1: 10-15 and 30-35
    done = work(content)
    assert (done.finished, done.training) == (4, 20.0)
    assert done.share == pytest.approx(20 / 50)
    assert done.whole_share == pytest.approx(20 / 70)
    assert work([{**content[0], "attempts": []}]) is None


def test_sources_together(tmp_path):
    first, second = records(seeds=2), records(seeds=3)
    loaded = load([put(tmp_path / "a", first), str(tmp_path / "a/records.jsonl"), put(tmp_path / "b", second)])
    assert len(loaded.records) == len(second)
    assert loaded.repeated == 2 * len(first)
    assert sum(one["status"] == "failed" for one in loaded.records) == 1  # that of `first` finished in `second`


def test_contradictions_are_refused(tmp_path):
    one, other = record("erm", "art", 0, 0.5), record("pgrad", "art", 0, 0.5)
    other["config"]["rollouts"] = 3
    with pytest.raises(ValueError, match="same settings to be compared, got rollouts 2 and 3"):
        load([put(tmp_path / "a", [one, other])])
    other = {**record("erm", "art", 0, 0.5), "key": "another"}
    other["config"]["hparams"] = {"lr": 9.0}
    with pytest.raises(ValueError, match="two sets of hyper-parameters"):
        load([put(tmp_path / "a", [one, other])])


def test_errors_say_what_to_do(command, tmp_path):
    for words, expected in (
        ((str(tmp_path),), "must hold store.sqlite or records.jsonl"),
        ((str(tmp_path / "none.jsonl"),), "does not exist"),
        ((put(tmp_path / "empty", []),), "there are no records"),
        ((put(tmp_path / "runs", records(seeds=2)), "--baseline", "ermm"), "Did you mean 'erm'"),
        ((str(tmp_path / "runs"), "--selection", "orakel"), "Did you mean 'oracle'"),
        ((str(tmp_path / "runs"), "--plugin", "no_such_module"), "no_such_module"),
    ):
        code, _, errors = command(*words)
        assert code == 2
        assert expected in errors


@pytest.mark.slow
def test_one_run_is_a_report_too(command, tmp_path):
    code, _, _ = command(put(tmp_path / "runs", [record("erm", "art", 0, 0.5)]))
    assert code == 0
    assert "nothing to compare" in (tmp_path / "runs/report/report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_only_failures_are_a_report_too(command, tmp_path):
    code, _, _ = command(put(tmp_path / "runs", [failed("erm", "art", 0, 0), failed("pgrad", "art", 0, 0)]))
    assert code == 0
    assert "2 runs failed" in (tmp_path / "runs/report/report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_real_sweep_from_its_folder_and_its_store(command, tmp_path):
    tiny = Overrides(rollouts=2, evaluate_every=1, batch_size=8, splits=1, width=4)
    sweep = SweepConfig(datasets={"coloured-digits": tiny}, algorithms=("erm", "pgrad"), seeds=1, launcher=InProcess())
    with Store(tmp_path / "store.sqlite") as store:
        perform(sweep, store, tmp_path)
    for source, output in ((tmp_path, "folder"), (tmp_path / "store.sqlite", "store")):
        code, out, _ = command(str(source), "--output", str(tmp_path / output))
        assert code == 0
        assert "6 runs" in out
    pages = [(tmp_path / output / "report.html").read_bytes() for output in ("folder", "store")]
    assert pages[0] == pages[1]
    assert "Roll-outs" in pages[0].decode()


@pytest.mark.slow
def test_settings_of_matplotlib_stay_as_they_were(report):
    assert mpl.rcParams["svg.fonttype"] == mpl.rcParamsDefault["svg.fonttype"]
