"""The command on miniatures: what it trains, what it writes, and that a killed run ends like one that was not."""

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
from torch.nn.functional import cross_entropy

import pgrad
from benchmarks.algorithms import ALGORITHMS
from benchmarks.base.seeds import seed_from
from benchmarks.studies.wilds import backbones, checkpoint
from benchmarks.studies.wilds.catalogue import DEFAULTS
from benchmarks.studies.wilds.inputs import transform
from benchmarks.studies.wilds.learners import PEERS
from benchmarks.studies.wilds.methods import METHODS, Reptile
from benchmarks.studies.wilds.miniatures import MINIATURES
from pgrad.integrations import wilds

ROOT = Path(__file__).parents[4]

pytestmark = [
    # Metrics of networks that have hardly been trained: a class that is never predicted, a constant prediction.
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning"),
    pytest.mark.filterwarnings("ignore:An input array is constant"),
]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load(folder / "checkpoint.pt")["model"]


def results(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in MINIATURES if name != "py150"])
def test_every_data_set_is_trained_evaluated_and_exported(name: str, call, miniature, tmp_path: Path) -> None:
    assert call(name, splits=1, groups=2, steps=4, eval_every=2) == 0
    record = results(tmp_path / "run")
    dataset = miniature(name)
    assert record["rollout_length"] == 2
    assert [row["step"] for row in record["history"]] == [2, 4]
    assert all(math.isfinite(row["loss"]) for row in record["history"])
    splits = {split for split in dataset.split_dict if split != "train"}
    assert set(record["results"]) == splits
    for split in splits:
        path = tmp_path / "run" / "predictions" / name / wilds.prediction_file(name, split)
        predictions = wilds.read_predictions(path)
        subset = dataset.get_subset(split)
        assert len(predictions) == len(subset)
        if name != "globalwheat":
            if predictions.shape != subset.y_array.shape and name != "sqf":
                predictions = predictions.unsqueeze(-1)
            again, _ = dataset.eval(predictions, subset.y_array, subset.metadata_array)
            metric = wilds.TASKS[name].metric
            assert float(again[metric]) == pytest.approx(record["results"][split][metric], abs=1e-6, nan_ok=True)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # wilds leaves the files of py150 open
def test_py150_with_a_language_model(call, data: Path, offline_tokenizer: Path, tmp_path: Path) -> None:
    from benchmarks.studies.wilds.miniatures import make

    make("py150", data, side=32)
    backbone = "transformers/microsoft/CodeGPT-small-py"
    assert offline_tokenizer.is_dir()
    assert call("py150", backbone=backbone, pretrained=False, steps=2, eval_splits=("val",)) == 0
    assert 0 <= results(tmp_path / "run")["results"]["val"]["acc"] <= 1


@pytest.mark.parametrize("algorithm", sorted(METHODS))
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


def test_reptile_with_one_step_and_an_outer_step_of_one_is_its_inner_optimizer() -> None:
    walks = []
    for wrapped in (False, True):
        p = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
        inner = torch.optim.Adam
        optimizer = Reptile([{"params": [p]}], 0.1, 1, 1.0, inner) if wrapped else inner([p], lr=0.1)
        for _ in range(5):
            optimizer.zero_grad()
            (p**4).sum().backward()
            optimizer.step()
        walks.append(p.detach())
    torch.testing.assert_close(*walks)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dataset", "algorithm", "options"),
    [
        ("camelyon17", "pgrad", {"splits": 1}),  # roll-outs of 3: checkpoints at 4 and 8 are in the middle
        ("iwildcam", "pgrad", {"groups": 3, "splits": 1}),
        ("rxrx1", "reptile", {"groups": 3, "splits": 1}),  # with random rotations
        ("amazon", "erm", {}),  # with a schedule
    ],
)
def test_a_run_that_stopped_ends_like_one_that_did_not(
    dataset: str, algorithm: str, options: dict, call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"algorithm": algorithm, "steps": 10, "eval_every": 5, "checkpoint_every": 4, **options}
    assert call(dataset, output=tmp_path / "whole", **options) == 0
    saved, stops = checkpoint.save, [4, 8]

    def save_and_stop(content, path) -> None:
        saved(content, path)
        if path.name == "checkpoint.pt" and stops and content["progress"]["step"] == stops[0]:
            stops.pop(0)
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", save_and_stop)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            call(dataset, output=tmp_path / "parts", **options)
        torch.rand(7)
        np.random.rand(7)  # noqa: NPY002
    assert call(dataset, output=tmp_path / "parts", **options) == 0
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    for key in ("history", "selected", "results"):
        assert results(tmp_path / "whole")[key] == results(tmp_path / "parts")[key]
    files = [p.relative_to(tmp_path / "whole") for p in (tmp_path / "whole" / "predictions").rglob("*.csv")]
    assert files
    assert all((tmp_path / "whole" / f).read_bytes() == (tmp_path / "parts" / f).read_bytes() for f in files)


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on(miniature, data: Path, tmp_path: Path) -> None:
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
    code = "import cyclopts; from benchmarks.commands.wilds import wilds; cyclopts.run(wilds)"
    command = [sys.executable, "-c", code, "waterbirds", *options, *length]

    def start(folder: str) -> subprocess.Popen:
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [*command, "--output", str(tmp_path / folder)], cwd=ROOT, env=env, stdout=subprocess.PIPE
        )

    killed = start("killed")
    try:
        while not (tmp_path / "killed" / "checkpoint.pt").exists():
            assert killed.poll() is None
            time.sleep(0.02)
    finally:
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
    assert not (tmp_path / "killed" / "results.json").exists()
    assert 7 <= checkpoint.load(tmp_path / "killed" / "checkpoint.pt")["progress"]["step"] < 300

    from benchmarks.commands.wilds import wilds as train

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


def test_workers_change_nothing(call, tmp_path: Path) -> None:
    for workers in (0, 2):
        folder = tmp_path / str(workers)
        assert call("camelyon17", steps=6, splits=1, workers=workers, output=folder, eval_splits=("val",)) == 0
    first, second = weights(tmp_path / "0"), weights(tmp_path / "2")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_finished_run_is_not_done_again(call, tmp_path: Path, capsys) -> None:
    assert call("celebA", steps=2) == 0
    before = (tmp_path / "run" / "checkpoint.pt").stat().st_mtime_ns
    assert call("celebA", steps=2) == 0
    assert "nothing is done again" in capsys.readouterr().out
    assert (tmp_path / "run" / "checkpoint.pt").stat().st_mtime_ns == before


def test_the_folder_of_another_run_is_refused(call, tmp_path: Path, capsys) -> None:
    assert call("celebA", steps=2) == 0
    assert call("celebA", steps=2, lr=0.5) == 1
    assert "lr=0.001 (here 0.5); choose another --output" in capsys.readouterr().err
    (tmp_path / "run" / "results.json").unlink()
    assert call("celebA", steps=2, seed=4) == 1
    assert "seed=0 (here 4)" in capsys.readouterr().err


def test_a_damaged_checkpoint_is_named(call, tmp_path: Path, capsys) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint.pt").write_bytes(b"nothing")
    assert call("celebA", steps=2) == 1
    assert "checkpoint.pt is not a checkpoint of this command" in capsys.readouterr().err


def test_a_loss_that_leaves_the_finite_numbers_ends_the_run(call, capsys) -> None:
    assert call("poverty", algorithm="erm", lr=1e30, steps=4, eval_splits=("val",)) == 1
    assert "the mean loss of steps 1 to 4 is" in capsys.readouterr().err


def test_the_best_checkpoint_of_validation_is_the_one_that_is_evaluated(call, miniature, tmp_path: Path) -> None:
    assert call("camelyon17", steps=60, eval_every=6, splits=1, lr=1e-2) == 0
    record = results(tmp_path / "run")
    best = max(row["validation"] for row in record["history"])
    assert record["selected"]["validation"] == best
    assert record["selected"]["step"] == min(row["step"] for row in record["history"] if row["validation"] == best)
    assert record["results"]["val"]["acc_avg"] == best


def test_starting_from_another_run(call, tmp_path: Path) -> None:
    assert call("waterbirds", algorithm="erm", steps=3, output=tmp_path / "erm") == 0
    start = tmp_path / "erm" / "best.pt"
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


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", PEERS)
def test_peers_train_and_resume_bit_for_bit(
    algorithm: str, call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"algorithm": algorithm, "splits": 1, "steps": 18, "eval_every": 18, "checkpoint_every": 6}
    options["eval_splits"] = ("val",)
    assert call("camelyon17", output=tmp_path / "whole", **options) == 0
    saved = checkpoint.save

    def save_and_stop(content, path) -> None:
        saved(content, path)
        if path.name == "checkpoint.pt" and content["progress"]["step"] == 6:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        call("camelyon17", output=tmp_path / "parts", **options)
    torch.rand(7)
    assert call("camelyon17", output=tmp_path / "parts", **options) == 0
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    evaluations = ALGORITHMS[algorithm].evaluations(3)
    assert results(tmp_path / "whole")["history"][-1]["step"] == -(-18 // evaluations) * evaluations


@pytest.mark.parametrize(
    ("dataset", "options", "words"),
    [
        ("iwildcam", {"algorithm": "groupdro", "groups": 3}, "must see the same domains all the time"),
        ("bdd100k", {"algorithm": "irm"}, "must have a task with cross_entropy or mse; this one has multitask_bce"),
    ],
)
def test_peers_that_do_not_fit_are_refused(dataset: str, options: dict, words: str, call, capsys) -> None:
    assert call(dataset, splits=1, **options) == 1
    assert words in capsys.readouterr().err
