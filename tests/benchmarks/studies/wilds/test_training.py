"""The command on miniatures: what it trains, what it writes, and that a killed run ends like one that was not."""

import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from torch.nn.functional import cross_entropy

import pgrad
from benchmarks.algorithms import ALGORITHMS, QUICK
from benchmarks.base.seeds import seed_from
from benchmarks.runs import checkpoint
from benchmarks.studies.wilds import backbones, constant
from benchmarks.studies.wilds.catalogue import DEFAULTS
from benchmarks.studies.wilds.inputs import transform
from benchmarks.studies.wilds.miniatures import MINIATURES
from benchmarks.studies.wilds.setup import require_fitting
from pgrad.integrations import wilds
from tests.benchmarks.toy_sweeps import comparable
from tests.miniatures import run_folder

ROOT = Path(__file__).parents[4]

pytestmark = [
    # Metrics of networks that have hardly been trained: a class that is never predicted, a constant prediction.
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning"),
    pytest.mark.filterwarnings("ignore:An input array is constant"),
]


def weights(output: Path) -> dict[str, torch.Tensor]:
    """Those that validation chose."""
    return checkpoint.load(run_folder(output) / "best.pt")["model"]


def results(output: Path) -> dict:
    return json.loads((run_folder(output) / "results.json").read_text())


def stop_after(monkeypatch: pytest.MonkeyPatch, *updates: int) -> None:
    """The process is "killed" right after it has saved itself at these numbers of updates."""
    saved, stops = checkpoint.save, list(updates)

    def save_and_stop(content, path) -> None:
        saved(content, path)
        if path.name == "checkpoint.pt" and stops and content["progress"]["updates"] == stops[0]:
            stops.pop(0)
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", save_and_stop)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in MINIATURES if name != "py150"])
def test_every_data_set_is_trained_evaluated_and_exported(name: str, call, miniature, records, tmp_path: Path) -> None:
    assert call(name, splits=1, groups=2, steps=4, eval_every=2) == 0
    found = results(tmp_path / "run")
    dataset = miniature(name)
    assert found["rollout_length"] == 2
    (record,) = records()
    assert record["status"] == "finished"
    assert record["config"]["dataset"] == f"wilds:{name}"
    assert record["curves"]["step"] == [2, 4]
    assert all(math.isfinite(loss) for loss in record["curves"]["loss"])
    assert record["curves"]["held_out"] == record["domain_curves"][record["config"]["held_out"]]
    splits = {split for split in dataset.split_dict if split != "train"}
    assert set(found["results"]) == splits
    metric = wilds.TASKS[name].metric
    at = record["curves"]["step"].index(record["selection"]["step"])
    for split in splits:
        path = run_folder(tmp_path / "run") / "predictions" / name / wilds.prediction_file(name, split)
        predictions = wilds.read_predictions(path)
        subset = dataset.get_subset(split)
        assert len(predictions) == len(subset)
        if split in ("val", "test"):
            (curve,) = [values for part, values in record["domain_curves"].items() if part.split()[0] == split]
            assert curve[at] == found["results"][split][metric]
        if name != "globalwheat":
            if predictions.shape != subset.y_array.shape and name != "sqf":
                predictions = predictions.unsqueeze(-1)
            again, _ = dataset.eval(predictions, subset.y_array, subset.metadata_array)
            expected = found["results"][split][metric]
            expected = math.nan if expected is None else expected
            assert float(again[metric]) == pytest.approx(expected, abs=1e-6, nan_ok=True)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # wilds leaves the files of py150 open
def test_py150_with_a_language_model(call, data: Path, offline_tokenizer: Path, tmp_path: Path) -> None:
    from benchmarks.studies.wilds.miniatures import make

    make("py150", data, side=32)
    backbone = "transformers/microsoft/CodeGPT-small-py"
    assert offline_tokenizer.is_dir()
    assert call("py150", backbone=backbone, pretrained=False, steps=2, eval_splits=("val",)) == 0
    assert 0 <= results(tmp_path / "run")["results"]["val"]["acc"] <= 1


@pytest.mark.parametrize("algorithm", QUICK)
def test_the_loop_is_the_plain_one(algorithm: str, call, miniature, tmp_path: Path) -> None:
    assert call("camelyon17", algorithm=algorithm, splits=2, steps=12, weight_decay=0.1, outer_lr=0.5) == 0
    dataset = miniature("camelyon17")
    torch.manual_seed(seed_from("wilds", "initialisation", "camelyon17", 0))
    model = backbones.build("tiny", DEFAULTS["camelyon17"], dataset, False, torch.zeros(3, 32, 32))
    train = dataset.get_subset("train", transform=transform(DEFAULTS["camelyon17"], dataset, "tiny", 32, 0))
    generator = torch.Generator().manual_seed(seed_from("wilds", "order", "camelyon17", 0))

    def inner(params, lr: float) -> torch.optim.SGD:
        return torch.optim.SGD(params, lr=lr, momentum=0.9, weight_decay=0.1)

    if algorithm == "erm":
        optimizer = inner(model.parameters(), 1e-3)
        sampler = pgrad.DomainBatchSampler([0] * len(train), 4, generator=generator, mode="infinite")
        # Without a generator of its own the loader would draw one number before the first dropout mask.
        loader = torch.utils.data.DataLoader(train, batch_sampler=sampler, generator=torch.Generator())
    else:
        loader = wilds.rollout_loader(train, ["hospital"], 8, splits=2, infinite=True, generator=generator)
        optimizer = (
            pgrad.PGrad(model.parameters(), 1e-3, 6, outer_lr=0.5, inner=inner)
            if algorithm == "pgrad"
            else inner(model.parameters(), 1e-3)
        )
    anchor = [p.detach().clone() for p in model.parameters()]
    for step, (x, y, _) in zip(range(1, 13), loader, strict=False):
        optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        optimizer.step()
        if algorithm == "reptile" and step % 6 == 0:
            with torch.no_grad():
                for p, start in zip(model.parameters(), anchor, strict=True):
                    p.copy_(start.add_(0.5 * (p - start)))
    for name, value in weights(tmp_path / "run").items():
        torch.testing.assert_close(value, model.state_dict()[name], rtol=1e-5, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dataset", "algorithm", "options"),
    [
        ("camelyon17", "pgrad", {"splits": 1}),  # roll-outs of 3: it stops in the middle of them
        ("iwildcam", "pgrad", {"groups": 3, "splits": 1}),
        ("rxrx1", "reptile", {"groups": 3, "splits": 1}),  # with random rotations
        ("amazon", "erm", {}),  # with a schedule
    ],
)
def test_a_run_that_stopped_ends_like_one_that_did_not(
    dataset: str, algorithm: str, options: dict, call, records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"algorithm": algorithm, "steps": 12, "eval_every": 6, "checkpoint_every": 4, **options}
    assert call(dataset, output=tmp_path / "whole", **options) == 0
    stop_after(monkeypatch, 4, 8)
    for _ in range(2):
        assert call(dataset, output=tmp_path / "parts", **options) == 130
        torch.rand(7)
        np.random.rand(7)  # noqa: NPY002
    assert call(dataset, output=tmp_path / "parts", **options) == 0
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert comparable(records("whole")) == comparable(records("parts"))
    (record,) = records("parts")
    assert [attempt["status"] for attempt in record["attempts"]] == ["interrupted", "interrupted", "finished"]
    assert results(tmp_path / "whole")["results"] == results(tmp_path / "parts")["results"]
    one, other = run_folder(tmp_path / "whole"), run_folder(tmp_path / "parts")
    files = [path.relative_to(one) for path in (one / "predictions").rglob("*.csv")]
    assert files
    assert all((one / file).read_bytes() == (other / file).read_bytes() for file in files)


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on(miniature, data: Path, records, tmp_path: Path) -> None:
    miniature("waterbirds")
    options = ["--backbone", "tiny", "--resolution", "32", "--batch-size", "4", "--splits", "1", "--lr", "0.001"]
    length = [
        "--steps",
        "300",
        "--eval-every",
        "150",
        "--checkpoint-every",
        "7",
        "--data",
        str(data),
        "--device",
        "cpu",
    ]
    code = "import cyclopts; from benchmarks.commands.words.wilds import wilds_command; cyclopts.run(wilds_command)"
    command = [sys.executable, "-c", code, "waterbirds", *options, *length]

    def start(folder: str) -> subprocess.Popen:
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [*command, "--output", str(tmp_path / folder)], cwd=ROOT, env=env, stdout=subprocess.PIPE
        )

    killed = start("killed")
    try:
        while not list((tmp_path / "killed").glob("*/checkpoint.pt")):
            assert killed.poll() is None
            time.sleep(0.02)
    finally:
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
    folder = run_folder(tmp_path / "killed")
    assert not (folder / "results.json").exists()
    assert 7 <= checkpoint.load(folder / "checkpoint.pt")["progress"]["updates"] < 300

    from benchmarks.commands.words.wilds import wilds_command as train

    same = {
        "backbone": "tiny",
        "resolution": 32,
        "batch_size": 4,
        "splits": 1,
        "lr": 0.001,
        "data": data,
        "device": "cpu",
    }
    same |= {"steps": 300, "eval_every": 150, "checkpoint_every": 7}
    for folder in ("killed", "whole"):
        assert train("waterbirds", **same, output=tmp_path / folder) == 0
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert results(tmp_path / "whole")["results"] == results(tmp_path / "killed")["results"]
    assert comparable(records("whole")) == comparable(records("killed"))
    assert [attempt["status"] for attempt in records("killed")[0]["attempts"]] == ["lost", "finished"]


def test_workers_change_nothing(call, tmp_path: Path) -> None:
    for workers in (0, 2):
        folder = tmp_path / str(workers)
        assert call("camelyon17", steps=6, splits=1, workers=workers, output=folder, eval_splits=("val",)) == 0
    first, second = weights(tmp_path / "0"), weights(tmp_path / "2")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_finished_run_is_not_done_again(call, records, tmp_path: Path, capsys) -> None:
    assert call("celebA", steps=2) == 0
    before = records()
    assert not (run_folder(tmp_path / "run") / "checkpoint.pt").exists()  # nothing is left to go on with
    assert call("celebA", steps=2) == 0
    assert "nothing is done again" in capsys.readouterr().out
    assert records() == before


def test_another_configuration_is_another_row(call, records, tmp_path: Path) -> None:
    for lr in (0.001, 0.5):
        assert call("celebA", steps=2, lr=lr) == 0
    assert [record["config"]["hparams"]["lr"] for record in records()] == [0.001, 0.5]
    assert len(list((tmp_path / "run").glob("pgrad-seed0-*/best.pt"))) == 2


def test_a_damaged_file_to_go_on_from_is_named(call, tmp_path: Path, monkeypatch, capsys) -> None:
    with monkeypatch.context() as patched:
        stop_after(patched, 12)
        assert call("celebA", steps=24, eval_every=12) == 130
    path = run_folder(tmp_path / "run") / "checkpoint.pt"
    content = checkpoint.load(path)
    path.write_bytes(b"nothing")
    assert call("celebA", steps=24, eval_every=12) == 2
    assert "checkpoint.pt must be a checkpoint of a run" in capsys.readouterr().err
    checkpoint.save({**content, "run": {**content["run"], "code": "old"}}, path)
    assert call("celebA", steps=24, eval_every=12) == 2
    assert "code='old' (here" in capsys.readouterr().err
    path.unlink()
    assert call("celebA", steps=24, eval_every=12) == 0


def test_a_run_that_fails_is_a_row(call, records, capsys) -> None:
    options = {"algorithm": "erm", "lr": 1e30, "steps": 4, "eval_splits": ("val",)}
    assert call("poverty", **options) == 1
    assert "the mean loss before step 5 is" in capsys.readouterr().err
    (record,) = records()
    assert (record["status"], record["failure"]) == ("failed", "diverged")
    assert "DivergedError" in record["traceback"]
    assert call("poverty", **options) == 2
    assert "--retry-failed does it again" in capsys.readouterr().err
    assert call("poverty", **options, retry_failed=True) == 1
    assert len(records()[0]["attempts"]) == 2


def test_the_best_checkpoint_of_validation_is_the_one_that_is_evaluated(call, records, tmp_path: Path) -> None:
    assert call("camelyon17", steps=60, eval_every=6, splits=1, lr=1e-2) == 0
    (record,) = records()
    curves, found = record["curves"], results(tmp_path / "run")
    best = max(curves["validation"])
    first = curves["validation"].index(best)
    assert record["selection"] == {name: curves[name][first] for name in ("step", "validation", "held_out")}
    assert found["selected"] == curves["step"][first]
    assert found["results"]["val"]["acc_avg"] == best
    assert record["model_file"] == (run_folder(tmp_path / "run") / "best.pt").relative_to(tmp_path / "run").as_posix()


@pytest.mark.slow
def test_steps_are_whole_roll_outs_for_every_algorithm_alike(call, records, capsys) -> None:
    for algorithm in ("erm", "sam", "pgrad", "upgrad"):  # a step, two, a step, and three at a time
        assert call("camelyon17", algorithm=algorithm, splits=1, steps=10, eval_every=5, eval_splits=("val",)) == 0
    assert "10 steps are not whole roll-outs of 3: 12 are made" in capsys.readouterr().out
    assert [record["curves"]["step"] for record in records()] == [[6, 12]] * 4


@pytest.mark.slow
def test_folds_are_the_held_out_domains_of_poverty(call, records, tmp_path: Path) -> None:
    for fold in ("A", "B"):
        assert call("poverty", algorithm="erm", steps=5, fold=fold, eval_splits=("test",)) == 0
    assert [record["config"]["held_out"] for record in records()] == ["test of fold A", "test of fold B"]
    files = {path.name for path in (tmp_path / "run").glob("*/predictions/poverty/*")}
    assert files == {wilds.prediction_file("poverty", "test", fold=fold) for fold in ("A", "B")}


@pytest.mark.slow
def test_a_report_compares_the_runs_of_a_folder(call, tmp_path: Path) -> None:
    from benchmarks.commands.words.report import report_command as report
    from benchmarks.commands.words.status import status_command

    for seed in (0, 1):
        for algorithm in QUICK:
            assert call("camelyon17", algorithm=algorithm, seed=seed, splits=1, steps=6, eval_splits=("val",)) == 0
    assert status_command(tmp_path / "run") == 0
    assert report((str(tmp_path / "run"),)) == 0
    text = (tmp_path / "run" / "report" / "report.md").read_text()
    assert "## wilds:camelyon17: held-out acc_avg" in text
    assert all(f"| {algorithm}" in text for algorithm in QUICK)
    assert "pgrad against reptile on wilds:camelyon17" in text
    page = (tmp_path / "run" / "report" / "report.html").read_text()
    assert "official metric acc_avg; the split val chooses, the split test is held out" in page


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # means of nothing
def test_scores_that_are_not_defined_are_none_in_records_and_missing_in_reports(
    call, records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks.commands.words.report import report_command as report

    plain = wilds.evaluate

    def undefined(*args, **kwargs):
        found = plain(*args, **kwargs)
        return {split: dataclasses.replace(one, results={"acc_avg": math.nan}) for split, one in found.items()}

    monkeypatch.setattr(wilds, "evaluate", undefined)
    for algorithm in ("erm", "reptile"):
        assert call("camelyon17", algorithm=algorithm, steps=9) == 0
    assert [record["curves"]["validation"] for record in records()] == [[None], [None]]
    assert results_of_all(tmp_path / "run") == [{"acc_avg": None}] * 6
    assert report((str(tmp_path / "run"),)) == 0
    assert "n/a" in (tmp_path / "run" / "report" / "report.md").read_text()


def results_of_all(output: Path) -> list[dict]:
    files = sorted(output.glob("*/results.json"))
    return [found for path in files for found in json.loads(path.read_text())["results"].values()]


def test_starting_from_another_run(call, tmp_path: Path) -> None:
    assert call("waterbirds", algorithm="erm", steps=3, output=tmp_path / "erm") == 0
    start = run_folder(tmp_path / "erm") / "best.pt"
    assert call("waterbirds", steps=1, groups=2, splits=1, lr=0.0, start_from=start, output=tmp_path / "next") == 0
    first, second = checkpoint.load(start)["model"], weights(tmp_path / "next")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_random_states_come_back() -> None:
    import random

    state = checkpoint.random_state()

    def draw() -> list[float]:
        return [torch.rand(1).item(), np.random.rand(), random.random()]  # noqa: NPY002

    first = draw()
    checkpoint.restore_random_state(state)
    assert draw() == first


def test_a_checkpoint_is_replaced_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a" / "checkpoint.pt"
    checkpoint.save({"step": 1}, path)

    def break_off(content, file) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", break_off)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save({"step": 2}, path)
    assert checkpoint.load(path) == {"step": 1}


FITTING = [name for name in ALGORITHMS if name not in QUICK]


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", FITTING)
def test_every_algorithm_trains_and_resumes_bit_for_bit(
    algorithm: str, call, records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"algorithm": algorithm, "splits": 1, "steps": 18, "eval_every": 9, "checkpoint_every": 4}
    options["eval_splits"] = ("val",)
    assert call("camelyon17", output=tmp_path / "whole", **options) == 0
    cost = ALGORITHMS[algorithm].evaluations(3)
    stop_after(monkeypatch, next(updates for updates in (1, 2, 3, 4) if updates * cost >= 4))
    assert call("camelyon17", output=tmp_path / "parts", **options) == 130
    torch.rand(7)
    assert call("camelyon17", output=tmp_path / "parts", **options) == 0
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert comparable(records("whole")) == comparable(records("parts"))


@pytest.mark.parametrize(
    ("dataset", "options", "words"),
    [
        ("iwildcam", {"algorithm": "groupdro", "groups": 3}, "must see the same domains all the time"),
        ("bdd100k", {"algorithm": "irm"}, "must have a task with cross_entropy or mse; this one has multitask_bce"),
        ("amazon", {"algorithm": "mixup"}, "must have inputs that can be mixed; those of amazon are words"),
        ("globalwheat", {"algorithm": "erm-swad"}, "must have a loss on the validation split"),
    ],
)
def test_algorithms_that_do_not_fit_are_refused(
    dataset: str, options: dict, words: str, call, tmp_path, capsys
) -> None:
    assert call(dataset, splits=1, **options) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run" / "records.jsonl").exists()


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["bdd100k", "globalwheat"])
def test_pooled_and_single_domain_algorithms_need_no_other_loss(dataset: str, call) -> None:
    for algorithm in ("sam", "reptile-ema"):
        require_fitting(algorithm, dataset)
        assert call(dataset, algorithm=algorithm, splits=1, groups=2, steps=2, eval_splits=("val",)) == 0


def test_the_constant_predictor_is_evaluated_officially(miniature) -> None:
    dataset = miniature("iwildcam")
    found = constant.figures(dataset, "F1-macro_all")
    often = int(dataset.get_subset("train").y_array.mode().values)

    def official(split: str, number: int) -> float:
        truth = dataset.get_subset(split).y_array.numpy()
        return f1_score(truth, np.full_like(truth, number), average="macro", labels=np.unique(truth))

    assert found["majority class: validation"] == [pytest.approx(official("val", often))]
    assert found["majority class: held out"] == [pytest.approx(official("test", often))]
    best = max(official("val", number) for number in dataset.get_subset("val").y_array.unique().tolist())
    assert found["majority class: validation, best in hindsight"] == [pytest.approx(best)]


@pytest.mark.parametrize(
    ("name", "metric"),
    [("poverty", "r_wg"), ("globalwheat", "detection_acc_avg_dom")],
)
def test_where_there_is_no_constant_predictor_nothing_is_said(miniature, name: str, metric: str) -> None:
    assert constant.figures(miniature(name), metric) == {}


def test_of_several_labels_each_has_its_more_frequent_value(miniature) -> None:
    dataset = miniature("bdd100k")
    often = (dataset.get_subset("train").y_array.double().mean(dim=0) > 0.5).double()
    reached = (dataset.get_subset("test").y_array.double() == often).double().mean().item()
    found = constant.figures(dataset, "acc_all")
    assert found["majority class: held out"] == [pytest.approx(reached)]
