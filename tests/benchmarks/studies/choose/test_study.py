"""The study of choose: an unseen domain in two halves that no choice looks at, and the table of trials."""

import io
import json
import math
from dataclasses import asdict, replace

import pytest
import torch
from rich.console import Console

from benchmarks.base.errors import ConfigError
from benchmarks.datasets import DATASETS
from benchmarks.studies.choose.candidates import space_of
from benchmarks.studies.choose.halves import halved, register
from benchmarks.studies.choose.recipe import Recipe, Rung, Size
from benchmarks.studies.choose.resumed import earlier
from benchmarks.studies.choose.search import Search
from benchmarks.studies.choose.study import LINES, Study, Trial, trials, unseen_of
from benchmarks.studies.choose.tables import COLUMNS, rows
from benchmarks.sweeps.settings import SweepSettings
from benchmarks.sweeps.store import Store

FAST = Recipe(
    algorithms=("erm", "erm-sgd"),
    sizes=(Size(2, points=1, rollouts=4),),
    rungs=(Rung(1.0, 1),),
    checkpoints=2,
    batch_size=8,
    fixed="erm-ema",
)


def test_halves_are_the_domain_and_every_run_holds_them_out():
    register("rotated-digits")
    name, halves = halved("rotated-digits", "30°")
    data, whole = DATASETS[name].factory(), DATASETS["rotated-digits"].factory()
    assert data.names == ("0°", "15°", "45°", "60°", "75°", *halves)
    pixels = torch.cat([domain.inputs for domain in data.domains[-2:]]).flatten(1).sum(dim=1)
    assert torch.equal(pixels.sort().values, whole.domains[2].inputs.flatten(1).sum(dim=1).sort().values)
    assert abs(len(data.domains[-1]) - len(data.domains[-2])) <= 1
    space = space_of(name, (), SweepSettings(), FAST.sizes[0], FAST, halves)
    assert space.domains == ("0°", "15°", "45°", "60°", "75°")
    for outer in space.outers():
        for run in space.runs(space.default, outer, 0):
            assert set(halves) <= set(run.held_out)
            assert len(run.held_out) == 3 + len(outer)


def test_groups_stay_in_one_half():
    """As they do where the same concept stands in every style: the halves have no group in common."""
    from benchmarks.datasets import Domain
    from benchmarks.studies.choose.halves import _first

    groups = torch.arange(90) // 3
    first = _first(Domain("a", torch.zeros(90, 1), torch.zeros(90, dtype=torch.long), groups))
    assert set(groups[first].tolist()).isdisjoint(groups[~first].tolist())
    assert int(first.sum()) == 45


TRIAL = Trial(
    *("coloured-digits", "u", 5.0, 1, (2, 1, 4, 1), "erm", 0.70, 0.65, 0.5, 0.8, 0.60, 0.68, 0.66, 0.90),
    *(0.72, 0.70, 0.75, 0.71, 0.69, 0.60, True, 1.5, 1.2),
)


def test_rows_are_means_over_trials_in_points():
    other = replace(
        TRIAL, unseen="v", reached=0.30, estimate=math.nan, helps=False, unlike=1.1, stopped="time was over"
    )
    first, last, three = rows([TRIAL, other])
    assert three[2] == "0"  # the set has three domains, two of them known
    assert [text.partition(" [")[0] for text in first[1:]] == [text.partition(" [")[0] for text in last[1:]]
    found = dict(zip(COLUMNS, first, strict=True))
    assert found["regret"] == "+3.0"  # 0.75 - 0.72
    assert found["of validation"] == "+5.0"
    assert found["over ERM"] == "−10.0"  # (0.70 + 0.30) / 2 - 0.60
    assert found["inside interval"] == "1 of 2"
    assert found["far below ERM"] == "1 of 2"  # 0.30 is below 0.60 by more than 0.15
    assert found["promised too much"] == "+15.0"  # 0.65 - (0.70 + 0.30) / 2
    assert found["by validation"] == "+24.0"
    assert found["estimate off"] == "2.0"
    # 10 and -30, by hand: their mean, and 12.706 standard errors of 20 on either side.
    assert dict(zip(COLUMNS, last, strict=True))["over ERM"] == "−10.0 [−264.1, +244.1]"
    assert found["guess off"] == "9.0"
    assert found["estimate shown"] == found["called unlike"] == found["ended early"] == "1 of 2"
    assert found["promised too much there"] == "−5.0"  # 0.65 - 0.70, of the one that is unlike


@pytest.mark.slow
def test_a_trial_looks_at_the_unseen_domain_once_and_is_done_once(tmp_path):
    assert unseen_of("rotated-digits") == ["0°", "30°", "60°"]
    console = Console(file=io.StringIO(), width=1000)
    study = Study(tmp_path, 60.0, 1, console, 0.0, FAST, ("mlp",))
    trial = study.trial("coloured-digits", "10%")
    assert trial.models == ("mlp",)
    with Store(str(tmp_path / "coloured-digits-2-60" / "store.sqlite")) as store:
        records = list(store.each_record())
    assert {record["config"]["model"] for record in records} == {"mlp"}
    # The best in hindsight by hand: the highest of the first half, as it was trained or refitted.
    _, halves = halved("coloured-digits", "10%")
    own = [record for record in records if record["config"]["held_out"] == "+".join(halves)]
    seen = [
        tuple(record["domain_curves"][half][number] for half in halves)
        for record in own
        if record["config"]["algorithm"] in FAST.algorithms
        for number in range(len(record["curves"]["step"]))
    ]
    best = max(first for first, _ in seen)
    assert trial.hindsight_half in [second for first, second in seen if first >= best]
    assert 0.0 <= trial.reached <= 1.0
    assert trial.size == (2, 1, 4, 1)
    assert not math.isnan(trial.hindsight_half)
    (tmp_path / LINES).write_text(json.dumps(asdict(replace(trial, unseen="90%"))) + "\n")
    assert [one.unseen for one in trials(tmp_path)] == ["90%"]


def test_trials_of_other_networks_are_not_taken_for_these(tmp_path):
    (tmp_path / LINES).write_text(json.dumps(asdict(TRIAL)) + "\n")
    console = Console(file=io.StringIO())
    for study in (Study(tmp_path, 5.0, 1, console, models=("mlp",)), Study(tmp_path, 5.0, 2, console)):
        with pytest.raises(ConfigError, match=r"the usual networks with 1 worker, .*name another folder"):
            study.run(["coloured-digits"])


def test_a_line_that_was_cut_off_is_gone_and_the_others_stay(tmp_path):
    text = json.dumps(asdict(TRIAL))
    (tmp_path / LINES).write_text(f"{text}\n{text[:40]}")
    assert trials(tmp_path) == [TRIAL]
    assert (tmp_path / LINES).read_text() == f"{text}\n"


@pytest.mark.slow
def test_a_trial_that_was_killed_after_its_search_has_the_same_choice(tmp_path, monkeypatch):
    """Killed before it looked; then the same trial from its folder, where no search is done again."""

    def study(folder):
        return Study(folder, 60.0, 1, Console(file=io.StringIO(), width=1000), 0.0, FAST)

    whole = study(tmp_path / "whole").trial("coloured-digits", "10%")
    looked = Study._looked

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Study, "_looked", killed)
    with pytest.raises(KeyboardInterrupt):
        study(tmp_path / "killed").trial("coloured-digits", "10%")
    monkeypatch.setattr(Study, "_looked", looked)
    again = study(tmp_path / "killed")
    assert again.trial("coloured-digits", "10%") == whole
    assert "rung" not in again.console.file.getvalue()


@pytest.mark.slow
def test_a_search_that_was_killed_begins_anew(tmp_path, monkeypatch):
    """Else it would have more than its minutes."""
    study = Study(tmp_path, 60.0, 1, Console(file=io.StringIO(), width=1000), 0.0, FAST)
    monkeypatch.setattr(Search, "must", _interrupted)
    with pytest.raises(KeyboardInterrupt):
        study.trial("coloured-digits", "10%")
    (folder,) = tmp_path.iterdir()
    with Store(str(folder / "store.sqlite")) as store:
        assert list(store.each_record())
    assert earlier(folder) is None
    assert list(folder.iterdir()) == []


def _interrupted(*_):
    raise KeyboardInterrupt
