"""What a user types and reads."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.commands.words.wilds import wilds_command as wilds
from benchmarks.studies.wilds import backbones
from benchmarks.studies.wilds.catalogue import DEFAULTS
from benchmarks.studies.wilds.config import Where, WildsConfig
from benchmarks.studies.wilds.inputs import augment, transform
from benchmarks.studies.wilds.miniatures import MINIATURES, make
from benchmarks.studies.wilds.setup import assemble, schedule
from pgrad.integrations.wilds import TASKS
from tests.miniatures import run_folder

ROOT = Path(__file__).parents[4]


@pytest.mark.slow
def test_the_demo_runs_from_nothing_in_an_empty_folder(tmp_path: Path) -> None:
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from benchmarks.__main__ import app; app(sys.argv[1:])"
    command = [sys.executable, "-c", code, str(ROOT), "wilds", "--demo", "--steps", "36", "--eval-every", "36"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "made up, its results mean nothing" in done.stdout
    assert "camelyon17: 120 examples, pgrad on tiny, 36 steps, roll-outs of 9" in done.stdout
    output = tmp_path / "runs" / "wilds" / "demo-camelyon17"
    assert (output / "store.sqlite").exists()
    assert len((output / "records.jsonl").read_text().splitlines()) == 1
    folder = run_folder(output)
    assert set(json.loads((folder / "results.json").read_text())["results"]) == {"id_val", "val", "test"}
    assert len(list((folder / "predictions" / "camelyon17").iterdir())) == 3


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (("imagenet",), {}, "'imagenet' is not known. Known are: camelyon17"),
        (("camelion17",), {}, "Did you mean 'camelyon17'?"),
        (("ogb-molpcba",), {}, "torch_geometric"),
        (("fmow",), {}, "python -m wilds.download_datasets --root_dir DIR --datasets fmow"),
        (("fmow",), {"data": Path("nowhere")}, "download it with"),
        (("fmow",), {"demo": True, "algorithm": "pgard"}, "Did you mean 'pgrad'? Known are: erm, erm-adamw, "),
        (("celebA",), {"demo": True, "backbone": "tiny", "pretrained": True}, "needs a backbone of a library"),
        (("celebA",), {"demo": True, "backbone": "resnet18"}, "backbone must be 'tiny', 'linear', or 'torchvision/'"),
        (("celebA",), {"demo": True, "backbone": "torchvision/resnet19"}, "torchvision/resnet19 is not known"),
        (
            ("celebA",),
            {"demo": True, "backbone": "transformers/bert"},
            "must be 'torchvision/...' or 'timm/...' or 'tiny'",
        ),
        (("amazon",), {"demo": True, "backbone": "timm/resnet18"}, "must be 'transformers/...' or 'tiny'"),
        (("celebA",), {"demo": True, "groups": 7}, "n_groups must be at most 4"),
        (("celebA",), {"demo": True, "group_by": ("age",)}, "fields must be some of 'male', 'y'"),
        (("celebA",), {"demo": True, "eval_splits": ("id_test",)}, "must be one of train, val, test; got 'id_test'"),
        (("celebA",), {"demo": True, "metric": "beauty"}, "must be one of acc_avg, acc_wg; got 'beauty'"),
        (("celebA",), {"demo": True, "split_scheme": "mine"}, "Split scheme mine not recognized"),
    ],
)
def test_mistakes_are_named(arguments, options, words, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert wilds(*arguments, **options) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert words in error


def test_every_data_set_that_can_be_used_has_defaults_and_a_miniature() -> None:
    usable = {name for name, line in TASKS.items() if not line.refused}
    assert set(DEFAULTS) == usable == set(MINIATURES)


@pytest.mark.parametrize("name", ["camelyon17", "fmow", "celebA"])
def test_a_miniature_is_the_same_every_time(name: str, tmp_path: Path) -> None:
    first, second = (make(name, tmp_path / part, side=16) for part in "ab")
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(second) for path in second.rglob("*") if path.is_file())
    assert all((first / file).read_bytes() == (second / file).read_bytes() for file in files)
    assert make(name, tmp_path / "a", side=16) == first
    with pytest.raises(FileExistsError, match="is not this miniature"):
        make(name, tmp_path / "a", side=24)
    other = make(name, tmp_path / "c", side=16, seed=1)
    assert any((first / file).read_bytes() != (other / file).read_bytes() for file in files if (other / file).exists())


def test_a_miniature_that_breaks_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.studies.wilds.miniatures import photographs

    monkeypatch.setattr(photographs, "save", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        make("celebA", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "backbone"),
    [
        ("camelyon17", "torchvision/densenet121"),
        ("celebA", "timm/resnet10t"),
        ("poverty", "timm/resnet18"),
        ("waterbirds", "torchvision/resnet18"),
        ("camelyon17", "linear"),
    ],
)
def test_backbones_have_a_last_layer_for_the_data_set(name: str, backbone: str, miniature) -> None:
    dataset = miniature(name)
    prepare = transform(DEFAULTS[name], dataset, backbone, 32, 0) or (lambda x: x)
    x = torch.stack([prepare(dataset.get_input(index)) for index in range(2)])
    model = backbones.build(backbone, DEFAULTS[name], dataset, False, x[0]).eval()
    assert model(x).shape == (2, 1 if name == "poverty" else 2)


def test_a_text_model_of_transformers(call, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    folder = tmp_path / "model"
    folder.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "people", "like", "them", "are", "horrible", "welcome"]
    (folder / "vocab.txt").write_text("\n".join(words))
    transformers.DistilBertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    transformers.DistilBertConfig(vocab_size=11, dim=8, n_layers=1, n_heads=2, hidden_dim=16).save_pretrained(folder)
    backbone = f"transformers/{folder}"
    assert call("civilcomments", backbone=backbone, pretrained=False, steps=4, groups=2, eval_splits=("val",)) == 0
    state = torch.load(run_folder(tmp_path / "run") / "best.pt", weights_only=True)
    assert state["model"]["model.classifier.weight"].shape == (2, 8)


def test_the_optimizer_is_the_published_one(miniature, data: Path) -> None:
    """AdamW decays no biases, as published; every algorithm of the benchmarks gets it."""
    miniature("civilcomments")
    config = WildsConfig(
        dataset="wilds:civilcomments",
        algorithm="pgrad",
        held_out="test",
        seed=0,
        point=0,
        hparams={"lr": 1e-5, "weight_decay": 0.01, "outer_lr": 0.1, "n_components": 4},
        model="tiny",
        group_by=("black", "y"),
        metric="acc_wg",
        steps=4,
        batch_size=4,
        splits=1,
        max_tokens=24,
        eval_batch_size=64,
    )
    parts = assemble(config, Where(data=data, folder=data / "run", predictions=data / "predictions"))
    optimizer = parts.training.algorithm.optimizer
    assert isinstance(optimizer.inner, torch.optim.AdamW)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.01, 0.0]
    assert {group["weight_decay"] for group in optimizer.outer.param_groups} == {0.0}
    assert parts.training.algorithm.setup.max_norm == 1.0


@pytest.mark.slow
def test_image_weights_that_cannot_be_had_are_named(call, capsys) -> None:
    assert call("celebA", backbone="timm/resnet10t", pretrained=True) == 2
    assert "weights of backbone timm/resnet10t are not on this machine" in capsys.readouterr().err


@pytest.mark.slow
def test_weights_that_cannot_be_had_are_named(call, capsys) -> None:
    assert call("civilcomments", backbone="transformers/no-such-model", pretrained=True) == 2
    assert "transformers/no-such-model is neither a folder nor in the cache" in capsys.readouterr().err


def test_images_are_cut_resized_and_normalized(miniature) -> None:
    image = miniature("celebA").get_input(0).resize((178, 218))
    x = transform(DEFAULTS["celebA"], miniature("celebA"), "tiny", 32, 0)(image)
    assert x.shape == (3, 32, 32)
    lowest = torch.tensor([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225])
    assert (x.amin(dim=(1, 2)) >= lowest - 1e-6).all()


def test_cells_are_standardized_one_by_one_and_rotated_at_random(miniature) -> None:
    dataset = miniature("rxrx1")
    x = transform(DEFAULTS["rxrx1"], dataset, "tiny", 32, 0)(dataset.get_input(0))
    torch.testing.assert_close(torch.std_mean(x, dim=(1, 2)), (torch.ones(3), torch.zeros(3)), rtol=1e-4, atol=1e-5)
    square = torch.arange(4.0).reshape(1, 2, 2)
    images = augment(DEFAULTS["rxrx1"])(square.expand(400, 1, 2, 2))
    found = {tuple(image.flatten().tolist()) for image in images}
    assert len(found) == 8  # the symmetries of a square
    assert augment(DEFAULTS["fmow"]) is None


@pytest.mark.parametrize(
    ("kind", "warmup", "expected"),
    [
        ("constant", 0, {0: 1.0, 99: 1.0}),
        ("epochs-0.96", 0, {0: 1.0, 9: 1.0, 10: 0.96, 25: 0.96**2}),
        ("linear", 0, {0: 1.0, 50: 0.5, 100: 0.0}),
        ("cosine", 20, {0: 0.0, 10: 0.5, 20: 1.0, 60: 0.5, 100: 0.0}),
    ],
)
def test_schedules(kind: str, warmup: int, expected: dict[int, float]) -> None:
    factor = schedule(kind, 100, 10, warmup)
    assert {step: factor(step) for step in expected} == pytest.approx(expected)
