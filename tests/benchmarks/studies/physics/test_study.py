"""The tables of docs/physics.md, on the way that a user takes to them."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.commands.words.physics import app
from benchmarks.datasets import DATASETS
from benchmarks.datasets.bethe_heitler import SETTINGS, measure
from benchmarks.runs.config import Settings
from benchmarks.runs.protocol import leave_out
from benchmarks.studies.physics import baselines as study

SHORT = Settings(rollouts=12, evaluate_every=6, batch_size=32, splits=3, model="mlp", width=32)


def table(printed):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in printed.splitlines()]


def test_settings_are_printed(capsys):
    app("settings", result_action="return_value")
    header, _, *rows = table(capsys.readouterr().out)
    assert [row[0] for row in rows] == list(SETTINGS)
    share = [float(row[header.index("truth within 1 error")].rstrip("%")) for row in rows]
    assert np.mean(share) == pytest.approx(68.3, abs=4)


def test_training_beats_the_best_constant_on_settings_that_were_seen():
    row, lazy = study.baselines(["bethe-heitler-physics"], ["erm"], seeds=1, length=SHORT)
    constant = []
    assert lazy["algorithm"] == "mean target"
    for name in SETTINGS:
        found = measure(name)
        split = leave_out(DATASETS["bethe-heitler-physics"].factory(), [name], seed=0)
        pull = (split.labels[:, 0].double().mean().item() - found.value) / found.error
        assert lazy[name] == pytest.approx(np.sqrt(np.mean(pull**2)), abs=0.06)
        weight = found.error**-2 / np.sum(found.error**-2)
        constant.append(np.sqrt(np.mean(((np.sum(weight * found.value) - found.value) / found.error) ** 2)))
    seen, unseen = (float(row[part].split(" ")[0]) for part in ("seen settings", "unseen setting"))
    assert 1 < seen < min(constant)
    assert unseen > seen


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["erm", "pgrad", "vrex"])
def test_uncertainties_of_every_kind_of_mini_batch(algorithm):
    found = study.uncertainties("bethe-heitler-physics", algorithm, "11 GeV, low x", 2, SHORT)
    for uncertainty, spread in found.values():
        assert uncertainty.noise > 0
        assert spread > 0
        excess = uncertainty.deviation**2 - uncertainty.noise**2 * 1.5
        assert uncertainty.ignorance**2 == pytest.approx(max(0, excess))


@pytest.mark.slow
def test_more_is_unknown_of_the_unseen_setting():
    length = SHORT.model_copy(update={"rollouts": 60})
    found = study.uncertainties("bethe-heitler-physics", "erm", "11 GeV, low x", 2, length)
    assert found["unseen"][0].ignorance > 2 * found["seen"][0].ignorance


def test_without_noise_there_are_no_replicas(monkeypatch):
    monkeypatch.setattr(study, "redraw", lambda labels, generator: labels)
    found = study.uncertainties("bethe-heitler-physics", "erm", "6 GeV, high x", 2, SHORT)
    assert found["unseen"][0].noise == 0
    assert found["unseen"][1] > 0


def test_a_study_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    study.uncertainties("bethe-heitler-plain", "erm", "6 GeV, high x", 2, SHORT.model_copy(update={"rollouts": 1}))
    assert torch.equal(before, torch.get_rng_state())


def test_a_failed_run_is_an_error():
    with pytest.raises(RuntimeError, match="vrex on bethe-heitler-plain without '6 GeV, low x', seed 0: ValueError"):
        list(study.baselines(["bethe-heitler-plain"], ["vrex"], 1, SHORT.model_copy(update={"metric": "auc"})))


def test_an_unknown_name_is_pointed_at(capsys):
    with pytest.raises(SystemExit):
        app("baselines --datasets bethe-heitler-plane")
    assert "Did you mean 'bethe-heitler-plain'?" in capsys.readouterr().err


def test_tables_of_a_small_study(capsys):
    app(
        ["uncertainty", "--held-out", "6 GeV, low x", "--replicas", "2", "--rollouts", "2"],
        result_action="return_value",
    )
    header, _, *rows = table(capsys.readouterr().out)
    assert header[:4] == ["inputs", "unseen setting", "examples of", "noise"]
    assert [row[:3] for row in rows] == [
        [inputs, "6 GeV, low x", part] for inputs in ("plain", "physics") for part in ("seen", "unseen")
    ]


def test_page_shows_what_the_commands_print(capsys):
    page = (Path(__file__).parents[4] / "docs/physics.md").read_text(encoding="utf-8")
    for command in ("settings", "agreement"):
        app(command, result_action="return_value")
        printed = table(capsys.readouterr().out)
        assert [row for row in printed if row not in table(page)] in ([], [printed[1]])
    (example,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    with np.printoptions(precision=4):
        exec(example, {})
    assert "[0.0936 0.0282 0.0111]" in capsys.readouterr().out
