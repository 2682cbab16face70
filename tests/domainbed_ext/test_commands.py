"""The entry points on the real checkout: what is refused, and short runs of the whole path."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from domainbed_ext import miniature
from domainbed_ext.hparams import NAMES

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.filterwarnings("ignore")  # of DomainBed's own code
SMALL = {"batch_size": 8, "ext_featurizer": "domainbed_ext.networks:tiny"}


@pytest.fixture
def data(tmp_path):
    miniature.write(tmp_path / "data", "PACS", images=6)
    return tmp_path / "data"


def _hparams(**hparams):
    return ["--hparams", json.dumps(hparams)]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--algorithm", "PGard"], "--algorithm PGard is unknown (did you mean PGrad?)"),
        (["--dataset", "Debug29"], "--dataset Debug29 is unknown (did you mean Debug28?)"),
        (["--test_envs", "3"], "--test_envs must be some of Debug28's domains (0: 0, 1: 1, 2: 2), got [3]"),
        (["--hparams", "{lr: 1}"], "--hparams must be JSON"),
        (_hparams(pgrad_split=3), "no algorithm knows 'pgrad_split' (did you mean pgrad_splits?)"),
        (_hparams(lr="high"), "lr must be a number like 0.001, got 'high'"),
        (_hparams(pgrad_components=0), "pgrad_components must be an int of at least 1, got 0"),
        (_hparams(batch_size=2), "cut into pgrad_splits=3 parts"),
        (_hparams(ext_featurizer="nothing:net"), "ext_featurizer must be 'module:function' that can be imported"),
        (
            ["--dataset", "Debug224", *_hparams(ext_pretrained="/nowhere")],
            "a folder that holds one of resnet50.ram_in1k",
        ),
        ([], "batch_size=64 is larger than the training split of a domain, 13 images: DomainBed would wait for ever"),
        (["--holdout_fraction", "0.01", *_hparams(batch_size=8)], "empty held-out split"),
        (["--dataset", "PACS"], "--data_dir must be given"),
        (["--dataset", "PACS", "--data_dir", "."], "PACS must be in PACS, which is not a folder"),
        (["--workers", "-1"], "--workers must be at least 0"),
    ],
)
def test_what_would_hang_or_fail_late_is_refused_at_once(command, tmp_path, monkeypatch, capsys, argv, message):
    monkeypatch.chdir(tmp_path)
    common = ["train", "--dataset", "Debug28", "--algorithm", "PGrad", "--steps", "1", "--workers", "0"]
    assert command(*common, *argv) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "train_output" / "results.jsonl").exists()


def test_a_missing_domain_is_refused(command, data, capsys):
    shutil.rmtree(data / "PACS" / "sketch")
    assert command("train", "--dataset", "PACS", "--data_dir", data) == 2
    assert (
        "must hold 4 folders, one per domain of PACS, got ['art_painting', 'cartoon', 'photo']"
        in capsys.readouterr().err
    )


def test_algorithms_that_call_cuda_are_refused_without_a_gpu(command, capsys):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert command("train", "--dataset", "Debug28", "--algorithm", "TRM", *_hparams(batch_size=8)) == 2
    assert "TRM calls .cuda() itself and needs a GPU" in capsys.readouterr().err


def test_a_sweep_is_checked_before_any_job_starts(command, data, tmp_path, capsys):
    def sweep(*argv):
        common = ["sweep", "launch", "--datasets", "PACS", "--data_dir", data, "--output_dir", tmp_path / "out"]
        seeds = ["--n_hparams", "1", "--n_trials", "1", "--single_test_envs", "--command_launcher", "cores"]
        return command(*common, *seeds, *argv), capsys.readouterr()

    code, out = sweep("--algorithms", "ERM", "PGrad", *_hparams(**{**SMALL, "batch_size": 16}))
    assert code == 2
    assert "domain 1 of PACS, 15 images: DomainBed would wait for ever" in out.err
    code, out = sweep("--algorithms", "ERM", *_hparams(**SMALL, pgrad_splits=2), "--command_launcher", "core")
    assert code == 2
    assert "'pgrad_splits' has no effect here: it belongs to PGrad, PGradReptile" in out.err
    assert "--command_launcher core is unknown (did you mean cores?)" in out.err
    assert not (tmp_path / "out").exists()


def test_dry_run_of_every_recipe_prints_its_jobs_and_does_nothing(command, tmp_path, capsys):
    from domainbed_ext import recipes

    for name in recipes.names():
        out = tmp_path / name
        common = ["sweep", "launch", "--recipe", name, "--data_dir", "/data", "--output_dir", out]
        with pytest.raises(SystemExit) as stop:
            command(*common, "--command_launcher", "gpus", "--dry-run", "--algorithms", "ERM", "PGrad")
        assert stop.value.code == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[-1] == f"{2 * recipes.load(name).expected['jobs_per_algorithm']} jobs; nothing was done"
        assert len(lines) == 1 + 2 * recipes.load(name).expected["jobs_per_algorithm"]
        assert all('"pgrad_splits": 3' in line for line in lines[:-1])
        assert not out.exists()


def test_recipes_say_every_hyper_parameter(domainbed):
    from domainbed import hparams_registry

    from domainbed_ext import recipes

    for name in recipes.names():
        recipe = recipes.load(name)
        (dataset,) = recipe.sweep["datasets"]
        needed = {key for a in recipe.sweep["algorithms"] for key in hparams_registry.default_hparams(a, dataset)}
        assert set(recipe.hparams) == needed


DRIVER = """
import sys, torch
torch.set_num_threads(1)
from domainbed_ext.__main__ import main
out, data, *algorithms = sys.argv[1:]
for name in algorithms:
    common = ["--algorithm", name, "--steps", "5", "--checkpoint_freq", "2", "--workers", "0"]
    debug = ["--dataset", "Debug28", "--hparams", '{"batch_size": 8}', "--hparams_seed", str(int(name == "MLDG"))]
    code = main(["train", *common, *debug, "--output_dir", f"{out}/{name}"])
    assert code == 0, (name, code)
"""


@pytest.mark.slow
def test_training_five_steps_with_all_of_ours_and_some_of_theirs(command, tmp_path, capsys):
    import torch

    theirs = ("ERM", "Fish", "Mixup", "MLDG", "Fishr")
    argv = [sys.executable, "-W", "ignore", "-c", DRIVER, tmp_path, tmp_path, *NAMES, *theirs]
    done = subprocess.run(list(map(str, argv)), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    for name in (*NAMES, *theirs):
        lines = (tmp_path / name / "results.jsonl").read_text().splitlines()
        records = [json.loads(line) for line in lines]
        assert [record["step"] for record in records] == [0, 2, 4]
        assert all(0 <= record["env2_out_acc"] <= 1 for record in records)
        assert (tmp_path / name / "done").exists()
        environment = json.loads((tmp_path / name / "environment.json").read_text())
        assert environment["torch"] == torch.__version__
        saved = torch.load(tmp_path / name / "model.pkl", weights_only=True)  # plain hyper-parameters
        assert saved["args"]["algorithm"] == name
    assert {"pgrad_cosine", "pgrad_variance_1", "pgrad_dropped"} <= records[0].keys() | json.loads(
        (tmp_path / "PGrad" / "results.jsonl").read_text().splitlines()[0]
    ).keys()

    before = (tmp_path / "PGrad" / "results.jsonl").read_text()
    again = ["train", "--dataset", "Debug28", *_hparams(batch_size=8), "--output_dir", tmp_path / "PGrad"]
    assert command(*again) == 2
    assert "holds results of another run already" in capsys.readouterr().err
    assert (tmp_path / "PGrad" / "results.jsonl").read_text() == before
