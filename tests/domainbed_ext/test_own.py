"""Folders of one's own inside DomainBed."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.filterwarnings("ignore")  # of DomainBed's own code
SMALL = json.dumps({"batch_size": 8, "ext_featurizer": "domainbed_ext.networks:tiny", "data_augmentation": False})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three domains; class cat is not in the third one."""
    monkeypatch.setenv("PGRAD_DATA", str(tmp_path / "prepared"))
    rng = np.random.default_rng(0)
    for domain, classes in {"north": "cat dog eel", "south": "cat dog eel", "west": "dog eel"}.items():
        for label in classes.split():
            place = tmp_path / "animals" / domain / label
            place.mkdir(parents=True)
            for i in range(8):
                Image.fromarray(rng.integers(0, 255, (30, 40, 3)).astype(np.uint8)).save(place / f"{i}.png")
    return tmp_path / "animals"


def test_labels_mean_the_same_in_all_domains_and_pictures_are_those_of_the_laboratory(folder, domainbed):
    from domainbed import datasets

    from benchmarks.datasets import DATASETS
    from domainbed_ext import own

    name = f"folder:{folder}"
    assert own.register(datasets, [name, "PACS"]) == {"dataset": name, "domains": ["north", "south", "west"]}
    assert datasets.num_environments(name) == 3
    made = vars(datasets)[name](None, [0], {"data_augmentation": False})
    assert (made.input_shape, made.num_classes) == ((3, 224, 224), 3)
    assert sorted(int(y) for _, y in made[2]) == [1] * 8 + [2] * 8  # dog and eel, as in the others
    expected = DATASETS[f"{name}?size=224"].factory().domains[1]
    mean, std = (np.array(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    for number in (0, 10, 23):
        x, y = made[1][number]
        assert int(y) == int(expected.labels[number])
        np.testing.assert_allclose(x.numpy() * std + mean, expected.inputs[number], atol=1e-6)


def test_floats_from_0_to_1_are_rounded_to_bytes():
    import torch

    from domainbed_ext.errors import Refusal
    from domainbed_ext.own import _bytes

    greys = torch.tensor([0.0, 0.5, 1.0, 200.4 / 255, 200.6 / 255]).reshape(-1, 1, 1, 1).expand(-1, 3, 1, 1)
    assert _bytes(greys, "folder:x")[:, 0, 0, 0].tolist() == [0, 128, 255, 200, 201]
    bytes_ = torch.arange(12, dtype=torch.uint8).reshape(1, 3, 2, 2)
    assert torch.equal(_bytes(bytes_, "folder:x"), bytes_)
    with pytest.raises(Refusal, match="three channels"):
        _bytes(torch.zeros(2, 1, 4, 4), "folder:x")


def test_options_of_the_name_count(folder, domainbed):
    from domainbed import datasets

    from domainbed_ext import own

    name = f"folder:{folder}?limit=2&domains=north,south"
    own.register(datasets, [name])
    made = vars(datasets)[name](None, [], {"data_augmentation": True})
    assert [len(env) for env in made] == [6, 6]
    assert made[0][0][0].shape == (3, 224, 224)


@pytest.mark.parametrize(
    ("name", "words"),
    [("folder:nowhere", "there is no folder nowhere"), ("folder:.?sise=3", "'sise' is no option")],
)
def test_what_the_laboratory_refuses_is_refused_here(name, words, command, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command("train", "--dataset", name, "--algorithm", "ERM") == 2
    assert words in capsys.readouterr().err
    argv = ["--algorithms", "ERM", "--output_dir", "out", "--n_trials", "1", "--n_hparams", "1"]
    assert command("sweep", "launch", "--datasets", name, *argv, "--command_launcher", "cores") == 2
    assert words in capsys.readouterr().err


def test_without_the_laboratory_it_is_said_what_to_install(monkeypatch):
    from domainbed_ext import own
    from domainbed_ext.errors import Refusal

    monkeypatch.setitem(sys.modules, "benchmarks.datasets", None)  # what Python holds for what must not be found
    with pytest.raises(Refusal, match=r"pip install 'pgrad\[bench\]'"):
        own.entry("folder:never-asked-for-before")


def test_a_batch_that_a_folder_cannot_fill(folder, command, capsys, tmp_path):
    argv = ["--algorithms", "ERM", "--output_dir", tmp_path / "out", "--n_trials", "1", "--n_hparams", "1"]
    argv += ["--single_test_envs", "--command_launcher", "cores", "--skip_confirmation"]
    assert command("sweep", "launch", "--datasets", f"folder:{folder}", *argv) == 2
    assert "batch_size=32 is larger than the training split of domain 1 (south) of folder:" in capsys.readouterr().err


@pytest.mark.slow
def test_a_sweep_over_a_folder_and_its_table(folder, command, tmp_path, capsys):
    out, name = tmp_path / "out", f"folder:{folder}"
    argv = ["--algorithms", "ERM", "PGrad", "--n_trials", "1", "--n_hparams", "1", "--single_test_envs"]
    argv += ["--steps", "2", "--workers", "0", "--hparams", SMALL, "--skip_confirmation", "--jobs", "2"]
    launch = ["sweep", "launch", "--datasets", name, "--output_dir", out, *argv, "--command_launcher", "cores"]
    assert command(*launch) == 0
    assert "6 done" in capsys.readouterr().out
    for path in out.glob("*/environment.json"):
        assert json.loads(path.read_text())["domains"] == ["north", "south", "west"]
    folder.rename(tmp_path / "gone")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "domainbed_ext", "collect", "--input_dir", str(out)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"Dataset: {name}" in done.stdout
    header = next(line for line in done.stdout.splitlines() if line.startswith("Algorithm"))
    assert header.split() == ["Algorithm", "north", "south", "west", "Avg"]
