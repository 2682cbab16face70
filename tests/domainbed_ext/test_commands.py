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
        (["--test_envs", "0", "1", "2"], "got [0, 1, 2]; one domain at least must be left to train on"),
        (["--hparams", "{lr: 1}"], "--hparams must be JSON"),
        (_hparams(pgrad_split=3), "no algorithm knows 'pgrad_split' (did you mean pgrad_splits?)"),
        (
            _hparams(lr="high"),
            "lr must be a number above 0, got 'high'; DomainBed's default is --hparams '{\"lr\": 0.001}'",
        ),
        (_hparams(lr=-1e-3), "lr must be a number above 0, got -0.001"),
        (_hparams(lr=float("nan")), "lr must be a number above 0, got nan"),
        (_hparams(lr=True), "lr must be a number above 0, got True"),
        (_hparams(weight_decay=-1), "weight_decay must be a number of at least 0, got -1"),
        (_hparams(weight_decay=10**400), "weight_decay must be a number of at least 0, got 1000"),
        (_hparams(batch_size=8.5), "batch_size must be a whole number of at least 1, got 8.5"),
        (_hparams(batch_size=0), "batch_size must be a whole number of at least 1, got 0"),
        (_hparams(batch_size="8"), "batch_size must be a whole number of at least 1, got '8'"),
        (_hparams(resnet_dropout=1), "resnet_dropout must be a number of at least 0 and below 1, got 1"),
        (_hparams(class_balanced=1), "class_balanced must be true or false, got 1"),
        (_hparams(ext_pretrained=True), "ext_pretrained must be a string, got True"),
        (_hparams(pgrad_components=0), "pgrad_components must be a whole number of at least 1, got 0"),
        (_hparams(pgrad_splits=2.0), "pgrad_splits must be a whole number of at least 1, got 2.0"),
        (_hparams(pgrad_trajectory_dtype="half"), "must be one of own, float32, bfloat16, got 'half'"),
        (["--steps", "0"], "--steps must be of at least 1, got 0; write, for example, --steps 5001"),
        (["--steps", "-3"], "--steps must be of at least 1, got -3"),
        (["--checkpoint_freq", "0"], "--checkpoint_freq must be of at least 1, got 0"),
        (["--holdout_fraction", "1.2"], "--holdout_fraction must be above 0 and below 1, got 1.2"),
        (["--holdout_fraction", "nan"], "--holdout_fraction must be above 0 and below 1, got nan"),
        (["--uda_holdout_fraction", "1"], "--uda_holdout_fraction must be of at least 0 and below 1, got 1.0"),
        (["--trial_seed", "-1"], "--trial_seed must be of at least 0, got -1"),
        (["--seed", "-1"], "--seed must be of at least 0 and at most 4.29497e+09, got -1"),
        (
            ["--task", "domain_adaptation"],
            "--uda_holdout_fraction is 0: write, for example, --uda_holdout_fraction 0.5",
        ),
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


def test_a_number_that_one_algorithm_draws_broken_may_be_broken(command, capsys):
    """IGA's penalty is 1000 by default and drawn from a continuous range; its steps of annealing are whole."""
    for algorithm, given, ending in [
        ("IGA", {"penalty": 2.5}, "held-out split"),
        ("IRM", {"irm_penalty_anneal_iters": 2.5}, "must be a whole number of at least 0, got 2.5"),
    ]:
        argv = ["--dataset", "Debug28", "--algorithm", algorithm, "--holdout_fraction", "0.01"]
        assert command("train", *argv, *_hparams(batch_size=8, **given)) == 2
        assert ending in capsys.readouterr().err


def test_unlabelled_shares_in_a_sweep_are_refused_since_no_job_would_get_one(command, tmp_path, capsys):
    common = ["sweep", "launch", "--datasets", "Debug28", "--data_dir", ".", "--output_dir", tmp_path / "out"]
    seeds = ["--n_hparams", "1", "--n_trials", "1", "--algorithms", "ERM", "--command_launcher", "cores"]
    assert command(*common, *seeds, "--task", "domain_adaptation", *_hparams(batch_size=8)) == 2
    assert "train --task domain_adaptation --uda_holdout_fraction 0.5" in capsys.readouterr().err
    assert command(*common, *seeds, "--task", "adaptation", *_hparams(batch_size=8)) == 2
    assert "--task must be domain_generalization or domain_adaptation" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["WILDSCamelyon", "WILDSFMoW", "SpawriousO2O_easy"])
def test_data_sets_that_are_not_there(name, command, tmp_path, capsys):
    assert command("train", "--dataset", name, "--data_dir", tmp_path) == 2
    error = capsys.readouterr().err
    if name.startswith("WILDS"):
        assert f"python -m wilds.download_datasets --root_dir {tmp_path}" in error
    else:
        assert f"must be in {tmp_path / '0'}/LOCATION/CLASS" in error


def test_pictures_are_looked_at_before_training(command, data, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    broken = data / "PACS" / "photo" / "dog" / "001.jpg"
    broken.write_bytes(broken.read_bytes()[:500])
    argv = ["train", "--dataset", "PACS", "--data_dir", data, "--output_dir", tmp_path / "out", "--steps", "1"]
    hparams = _hparams(**{**SMALL, "batch_size": 99})
    assert command(*argv, *hparams) == 2
    assert f"  {broken}: cannot be read (Truncated File Read)" in capsys.readouterr().err
    assert command(*argv, *hparams, "--trust_images") == 2  # as DomainBed has it
    assert "DomainBed would wait for ever" in capsys.readouterr().err
    (data / "PACS" / "photo" / "dog").rename(data / "PACS" / "photo" / "Dog")
    assert command(*argv, *hparams, "--trust_images") == 2
    assert "has the class 'Dog', which is 'dog' in art_painting, cartoon, sketch" in capsys.readouterr().err


def test_domains_that_are_one_level_too_deep(command, data, capsys):
    (data / "PACS").rename(data / "kfold")
    (data / "PACS").mkdir()
    (data / "kfold").rename(data / "PACS" / "kfold")
    assert command("train", "--dataset", "PACS", "--data_dir", data) == 2
    assert "got ['kfold']; they are one level too deep" in capsys.readouterr().err


def test_folders_of_other_names_are_told_in_the_order_that_counts(command, data, capsys):
    (data / "PACS" / "sketch").rename(data / "PACS" / "drawing")
    assert command("train", "--dataset", "PACS", "--data_dir", data, *_hparams(**{**SMALL, "batch_size": 99})) == 2
    assert "in its tables they are A: art_painting, C: cartoon, P: drawing, S: photo" in capsys.readouterr().err


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
    assert "domain 1 (C) of PACS, 15 images: DomainBed would wait for ever" in out.err
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


def test_a_dry_run_refuses_what_is_wrong_without_the_data(command, tmp_path, capsys):
    common = ["sweep", "launch", "--recipe", "pacs", "--data_dir", "/data", "--output_dir", tmp_path / "out"]
    words = ["--command_launcher", "gpus", "--dry-run", "--algorithms", "ERM", "--hparams", '{"lr": "1e-3"}']
    assert command(*common, *words) == 2
    assert "lr" in capsys.readouterr().err


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
