import json

import pytest

from domainbed_ext.collect import load
from domainbed_ext.errors import Refusal


def _job(sweep, name, algorithm="ERM", env=0, done=True, end="\n", steps=2, **args):
    folder = sweep / name
    folder.mkdir(parents=True)
    args = {"dataset": "PACS", "algorithm": algorithm, "test_envs": [env], "trial_seed": 0, "hparams_seed": 0, **args}
    accuracies = {f"env{i}_{part}_acc": 0.5 for i in range(4) for part in ("in", "out")}
    record = {"from": name, "args": args, "hparams": {}, **accuracies}
    lines = [json.dumps({"step": step, **record}) for step in range(steps)]
    (folder / "results.jsonl").write_text("\n".join(lines) + end)
    if done:
        (folder / "done").write_text("done")


def _names(records):
    return [(record["from"], record["step"]) for record in records]


def test_unfinished_jobs_count_only_if_asked_for_and_half_a_line_never(tmp_path, capsys):
    _job(tmp_path, "a")
    _job(tmp_path, "b", env=1, done=False, end='\n{"step": 2, "ar')
    assert _names(load([tmp_path])) == [("a", 0), ("a", 1)]
    assert "1 unfinished jobs are left out" in capsys.readouterr().err
    assert _names(load([tmp_path], include_unfinished=True)) == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    assert "incomplete" in capsys.readouterr().err


def test_sweeps_stand_side_by_side_and_the_first_counts_where_both_have_a_run(tmp_path, capsys):
    new, old = tmp_path / "new", tmp_path / "old"
    _job(new, "n", "PGrad")
    _job(new, "both", "ERM", steps=1)
    _job(old, "o", "Mixup", steps=1)
    _job(old, "repeated", "ERM", steps=1)
    assert _names(load([new, old])) == [("both", 0), ("n", 0), ("n", 1), ("o", 0)]
    assert "1 runs of later folders are left out" in capsys.readouterr().err


def test_two_runs_that_domainbed_cannot_tell_apart_are_refused(tmp_path):
    _job(tmp_path, "a", steps=1, holdout_fraction=0.2)
    _job(tmp_path, "b", steps=1, holdout_fraction=0.5)
    with pytest.raises(Refusal, match="cannot tell apart"):
        load([tmp_path])
    assert len(load([tmp_path], several_holdouts=True)) == 2


def test_nothing_to_collect_is_refused(tmp_path):
    with pytest.raises(Refusal, match="no finished job has results"):
        load([tmp_path])
