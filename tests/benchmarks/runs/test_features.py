"""Features of a frozen backbone: computed once, whole or not at all, and the runs that train a head on them."""

import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace

import pytest
import timm
import torch

from benchmarks.models.backbones import Backbone
from benchmarks.runs import features as module
from benchmarks.runs.config import RunConfig
from benchmarks.runs.features import FrozenBackbone, featured
from benchmarks.runs.outputs import Place
from benchmarks.runs.prepared import prepared
from benchmarks.runs.runner import run
from benchmarks.sweeps.coordinator import perform
from benchmarks.sweeps.files import validated
from benchmarks.sweeps.store import Store
from tests.benchmarks.toy_sweeps import HERE, ROOT, comparable

PLUGIN = str(HERE / "pictures.py")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(3)
    model = timm.create_model("test_byobnet")
    model.train()(torch.randn(4, 3, 64, 64))
    path = tmp_path_factory.mktemp("weights") / "net.pth"
    torch.save(model.state_dict(), path)
    return str(path)


@pytest.fixture(autouse=True)
def _forgetful():
    """As in a new process."""
    validated({"datasets": "tiny-pictures", "plugins": PLUGIN})
    featured.cache_clear()
    prepared.cache_clear()


def sweep(weights, **more):
    settings = {"rollouts": 4, "evaluate_every": 2, "batch_size": 4, "model": "timm:test_byobnet", "weights": weights}
    content = {"datasets": "tiny-pictures", "plugins": PLUGIN, "algorithms": ["erm", "pgrad"], "seeds": 1}
    return validated(
        {**content, "settings": {**settings, "tuning": "frozen"}, "launcher": "in-process", **more},
    )


def files(folder):
    return sorted(path.name.partition(".")[2] for path in (folder / "data").iterdir() if "feature" in path.name)


@pytest.mark.parametrize("image_size", [None, 64])
def test_cached_features_are_the_computed_ones(weights, tmp_path, image_size):
    chosen = FrozenBackbone("test_byobnet", weights, image_size)
    written = featured("tiny-pictures", chosen, tmp_path)
    featured.cache_clear()
    read = featured("tiny-pictures", chosen, tmp_path)
    pictures = prepared("tiny-pictures", tmp_path)
    net = Backbone("test_byobnet", (3, 32, 32), weights, image_size).eval()
    for first, second, domain in zip(written.domains, read.domains, pictures.domains, strict=True):
        with torch.inference_mode():
            assert torch.equal(second.inputs, net(domain.inputs))
        assert torch.equal(first.inputs, second.inputs)
        assert torch.equal(second.labels, domain.labels)
        assert (second.name, second.inputs.dtype) == (domain.name, torch.float32)


def test_computed_once_for_each_backbone_size_and_data(weights, tmp_path, monkeypatch):
    made = []
    real = module.Backbone
    monkeypatch.setattr(module, "Backbone", lambda *arguments: made.append(arguments) or real(*arguments))
    for image_size in (None, 64, None, 64):
        featured.cache_clear()
        featured("tiny-pictures", FrozenBackbone("test_byobnet", weights, image_size), tmp_path)
    assert len(made) == 2
    data = prepared("tiny-pictures", tmp_path)
    other = replace(data, domains=(*data.domains[:2], replace(data.domains[2], inputs=1 - data.domains[2].inputs)))
    monkeypatch.setattr(module, "prepared", lambda *_: other)
    featured.cache_clear()
    found = featured("tiny-pictures", FrozenBackbone("test_byobnet", weights), tmp_path)
    assert len(made) == 3
    featured.cache_clear()
    monkeypatch.undo()
    before = featured("tiny-pictures", FrozenBackbone("test_byobnet", weights), tmp_path)
    same = [torch.equal(a.inputs, b.inputs) for a, b in zip(found.domains, before.domains, strict=True)]
    assert same == [True, True, False]


@pytest.mark.parametrize(
    "damage", [lambda content: content[: len(content) // 2], lambda content: content[:-999] + b"x" * 999]
)
def test_a_damaged_file_is_computed_again(weights, tmp_path, damage):
    chosen = FrozenBackbone("test_byobnet", weights)
    first = [domain.inputs.clone() for domain in featured("tiny-pictures", chosen, tmp_path).domains]
    (path,) = (tmp_path / "data").glob("*.features")
    whole = path.read_bytes()
    path.unlink()  # the file of old may still be mapped
    path.write_bytes(damage(whole))
    featured.cache_clear()
    with pytest.warns(UserWarning, match=r"\.features is damaged .* computed again"):
        again = featured("tiny-pictures", chosen, tmp_path)
    assert all(torch.equal(one, domain.inputs) for one, domain in zip(first, again.domains, strict=True))
    featured.cache_clear()
    featured("tiny-pictures", chosen, tmp_path)


def test_changed_bytes_of_a_feature_are_noticed(weights, tmp_path):
    chosen = FrozenBackbone("test_byobnet", weights)
    featured("tiny-pictures", chosen, tmp_path)
    (path,) = (tmp_path / "data").glob("*.features")
    content = torch.load(path, weights_only=True)
    content["features"][1][0, 0] += 1
    torch.save(content, path.with_suffix(".other"))
    path.with_suffix(".other").replace(path)
    featured.cache_clear()
    with pytest.warns(UserWarning, match="its digest is not the one"):
        featured("tiny-pictures", chosen, tmp_path)


def test_a_full_disk_leaves_nothing(weights, tmp_path):
    """/dev/full refuses every byte, as a full disk does."""
    (tmp_path / "data").mkdir()
    chosen = FrozenBackbone("test_byobnet", weights)
    name = module._key(prepared("tiny-pictures", tmp_path), chosen)
    (tmp_path / "data" / f"{name}.partial").symlink_to("/dev/full")
    with pytest.raises((OSError, RuntimeError)):
        featured("tiny-pictures", chosen, tmp_path)
    assert files(tmp_path) == []
    featured("tiny-pictures", chosen, tmp_path)
    assert files(tmp_path) == ["features"]


KILLED = """
    import os, signal, sys, torch
    from benchmarks.runs import features
    from benchmarks.sweeps.store import Store
    from benchmarks.sweeps.coordinator import perform
    from tests.benchmarks.runs.test_features import sweep

    def save(content, path):  # as if killed in the middle
        with open(path, "wb") as file:
            file.write(b"half")
        os.kill(os.getpid(), signal.SIGKILL)

    features.torch.save = save
    with Store(sys.argv[2] + "/store.sqlite") as store:
        perform(sweep(sys.argv[1]), store, __import__("pathlib").Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_a_sweep_whose_writer_was_killed_goes_on(weights, tmp_path):
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    for folder in (broken, whole):
        folder.mkdir()
    prepared("tiny-pictures", broken)  # so that the features are what is saved
    words = [sys.executable, "-c", textwrap.dedent(KILLED), weights, str(broken)]
    ended = subprocess.run(words, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert files(broken) == []  # but for half a file under another name
    assert [path.read_bytes() for path in (broken / "data").glob("*.partial")] == [b"half"]
    with Store(broken / "store.sqlite") as store:
        records = perform(sweep(weights), store, broken)
        assert files(broken) == ["features"]
        (path,) = (broken / "data").glob("*.features")
        stamp = path.stat().st_mtime_ns
        again = perform(sweep(weights, algorithms=["erm", "pgrad", "reptile"]), store, broken)
    assert path.stat().st_mtime_ns == stamp
    with Store(whole / "store.sqlite") as store:
        undisturbed = perform(sweep(weights, algorithms=["erm", "pgrad", "reptile"]), store, whole)
    assert [record["status"] for record in again] == ["finished"] * 9
    assert comparable(again) == comparable(undisturbed)
    assert {record["key"] for record in records} < {record["key"] for record in again}
    assert records[0]["config"]["tuning"] == "frozen"
    assert records[0]["config"]["weights"].startswith(f"{weights}#")


def configuration(dataset, file, **changes):
    words = {"dataset": dataset, "algorithm": "erm", "held_out": "b", "seed": 0, "point": 0, "rollouts": 2}
    words |= {"hparams": {"lr": 0.01, "weight_decay": 0.0}, "batch_size": 4, "weights": file, "tuning": "frozen"}
    return RunConfig(**{**words, "model": "timm:test_byobnet", **changes})


def test_a_run_with_a_frozen_backbone_is_a_run_with_a_head(weights, tmp_path):
    config = configuration("tiny-pictures", weights)
    first, second = run(config, Place(tmp_path, weights=True)), run(config)
    assert first["status"] == second["status"] == "finished", (first.get("error"), second.get("error"))
    assert first["curves"] == second["curves"]
    kept = torch.load(tmp_path / first["model_file"], weights_only=True)
    assert {name: tuple(value.shape) for name, value in kept["model"].items()} == {"1.weight": (2, 256), "1.bias": (2,)}


@pytest.mark.parametrize(
    ("dataset", "changes", "message"),
    [
        ("tiny-vectors", {}, "'timm:test_byobnet' takes pictures, .* the shape [4]"),
        ("scaled-pictures", {}, "tuning: 'frozen' computes features once and for all, but scaled-pictures transforms"),
        ("tiny-pictures", {"image_size": 16}, "pictures of 16 x 16 pixels are too small for timm:test_byobnet"),
        ("tiny-pictures", {"weights": "gone.pth"}, "there is no file gone.pth"),
        ("tiny-pictures", {"model": "cnn"}, "is for networks of timm ('timm:NAME'); the model is 'cnn'"),
    ],
)
def test_a_run_that_cannot_be_is_a_record_that_says_why(dataset, changes, message, weights):
    record = run(configuration(dataset, weights, **changes))
    assert record["status"] == "failed"
    first, _, rest = message.partition(".* ")
    assert first in record["error"]
    assert rest in record["error"]
