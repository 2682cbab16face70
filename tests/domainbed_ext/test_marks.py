"""DomainBed's own tables over made-up results, of which some domains are missing."""

import json
import re

import pytest

pytestmark = pytest.mark.filterwarnings("ignore")  # of DomainBed's own code


def _write(sweep, dataset, algorithm, trial, env, domains, accuracy):
    folder = sweep / f"{dataset}-{algorithm}-{trial}-{env}".replace("/", "_")
    folder.mkdir(parents=True)
    args = {"dataset": dataset, "algorithm": algorithm, "trial_seed": trial, "hparams_seed": 0, "test_envs": [env]}
    accuracies = {f"env{i}_{part}_acc": accuracy for i in range(domains) for part in ("in", "out")}
    (folder / "results.jsonl").write_text(json.dumps({"step": 0, "args": args, "hparams": {}, **accuracies}) + "\n")
    (folder / "done").write_text("done")


@pytest.fixture
def sweep(tmp_path):
    for env in range(4):
        _write(tmp_path, "PACS", "ERM", 0, env, 4, 0.5)
        _write(tmp_path, "VLCS", "ERM", 0, env, 4, 0.75)
        _write(tmp_path, "VLCS", "PGrad", 0, env, 4, 0.75)
    for trial, env, accuracy in [(0, 0, 0.25), (0, 2, 0.5), (1, 0, 0.25)]:
        _write(tmp_path, "PACS", "PGrad", trial, env, 4, accuracy)
    return tmp_path


def _rows(text, title):
    """The rows of the table of that title, by algorithm."""
    after = text[text.index(title) :].splitlines()
    rows = [re.split(r"\s{2,}", line.strip()) for line in after[2:4]]
    return {row[0]: row[1:] for row in rows}


def test_averages_over_fewer_domains_have_a_star(command, sweep, capsys):
    assert command("collect", "--input_dir", sweep) == 0
    out = capsys.readouterr().out
    method = "model selection method: training-domain validation set"
    averages = _rows(out, f"Averages, {method}")
    assert averages["ERM"] == ["75.0 +/- 0.0", "50.0 +/- 0.0", "62.5"]
    # by hand: trial 0 has (25 + 50) / 2 = 37.5, trial 1 has 25; their mean is 31.25
    assert averages["PGrad"] == ["75.0 +/- 0.0", "31.2 +/- 4.4 *", "53.1 *"]
    assert _rows(out, f"Dataset: VLCS, {method}")["PGrad"][-1] == "75.0"
    assert _rows(out, f"Dataset: PACS, {method}")["PGrad"][-1] == "X"
    assert "training-domain validation set: PACS, PGrad: trial 0 lacks C, S; trial 1 lacks C, P, S" in out
    assert "trial 0 lacks C, S" in (sweep / "results.txt").read_text()


def test_whole_tables_have_none_and_latex_stays_latex(command, sweep, tmp_path_factory, capsys):
    whole = tmp_path_factory.mktemp("whole")
    for env in range(4):
        _write(whole, "PACS", "ERM", 0, env, 4, 0.5)
    assert command("collect", "--input_dir", whole) == 0
    assert "*" not in capsys.readouterr().out
    assert command("collect", "--input_dir", sweep, "--latex") == 0
    out = capsys.readouterr().out
    assert r"31.2 $\pm$ 4.4 $^*$" in out
    assert "\n% * over fewer domains" in out


def test_a_trial_that_has_fewer_domains_than_another(command, tmp_path, capsys):
    for trial, env in [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0)]:
        _write(tmp_path, "PACS", "ERM", trial, env, 4, 0.5 if trial else 0.25)
    assert command("collect", "--input_dir", tmp_path) == 0
    out = capsys.readouterr().out
    # by hand: domain 0 is (25 + 50) / 2, the others are 25: 28.125
    assert _rows(out, "Dataset: PACS, model selection method: training-domain")["ERM"][-1] == "28.1 *"


def test_an_unknown_sweep_beside_is_refused(command, sweep, tmp_path, capsys):
    assert command("collect", "--input_dir", sweep, "--also", tmp_path / "old") == 2
    assert f"--also {tmp_path / 'old'} is not a folder" in capsys.readouterr().err
