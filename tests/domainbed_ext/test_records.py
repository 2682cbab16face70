"""Results of which something is damaged."""

import json

import pytest

from domainbed_ext import records
from domainbed_ext.collect import load, require_sweep
from domainbed_ext.errors import Refusal

ARGS = {"dataset": "PACS", "algorithm": "ERM", "test_envs": [0], "trial_seed": 0, "hparams_seed": 0}


def _record(step=0, args=(), **changes):
    accuracies = {f"env{i}_{part}_acc": 0.5 for i in range(4) for part in ("in", "out")}
    return {"step": step, "args": {**ARGS, **dict(args)}, "hparams": {}, **accuracies, **changes}


def _line(*args, **changes):
    return json.dumps(_record(*args, **changes)).encode() + b"\n"


@pytest.mark.parametrize(
    ("damaged", "why"),
    [
        (b"\x00" * 40 + b"\n", "it is no JSON"),
        (b"\xff\xfe\n", "it is no JSON"),
        (b'{"step": 1, "ar{"step": 2}\n', "it is no JSON"),
        (b"[" * 100_000 + b"\n", "it is no JSON"),
        (b"\n", "it is no JSON"),
        (b"3\n", "it is no JSON object"),
        (b"{}\n", "it has no args or hparams"),
        (_line(args={"algorithm": 3}), "its algorithm is 3"),
        (_line(args={"trial_seed": True}), "its trial_seed is True"),
        (_line(args={"test_envs": []}), "its test_envs are []"),
        (_line(args={"test_envs": [4]}), "its test_envs are [4], and it has accuracies of 4 domains"),
        (_line(step="1"), "its step is '1'"),
        (_line(env1_in_acc=float("nan")), "its env1_in_acc is nan"),
        (_line(env1_out_acc=50.0), "its env1_out_acc is 50.0"),
        (_line(env1_in_acc=None), "its env1_in_acc is None"),
    ],
)
def test_a_damaged_line_is_named_and_the_others_count(damaged, why, tmp_path, capsys):
    folder = tmp_path / "job"
    folder.mkdir()
    (folder / "done").write_text("done")
    (folder / records.FILE).write_bytes(_line(0) + damaged + _line(2))
    assert [record["step"] for record in load([tmp_path])] == [0, 2]
    told = capsys.readouterr().err
    assert f"{folder / records.FILE}, line 2: {why}" in told
    assert "1 damaged lines of 1 files are left out" in told


def test_a_job_without_a_whole_line_is_counted(tmp_path, capsys):
    for name, content in [("a", _line()), ("b", b"\x00\n"), ("c", b"")]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "done").write_text("done")
        (tmp_path / name / records.FILE).write_bytes(content)
    (tmp_path / "d" / records.FILE).mkdir(parents=True)
    (tmp_path / "d" / "done").write_text("done")
    assert len(load([tmp_path])) == 1
    told = capsys.readouterr().err
    assert f"{tmp_path / 'd' / records.FILE}, line 0: the file cannot be read (Is a directory)" in told
    assert f"3 jobs are left out, since no line is whole: {tmp_path / 'b'}" in told


def test_folders_that_are_no_sweep(tmp_path):
    with pytest.raises(Refusal, match=r"--also .*nowhere is not a folder"):
        require_sweep("--also", tmp_path / "nowhere")
    with pytest.raises(Refusal, match="holds no results"):
        require_sweep("--also", tmp_path)
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / records.FILE).write_bytes(_line())
    require_sweep("--also", tmp_path)
    with pytest.raises(Refusal, match=r"is the folder of one job; give the one above it"):
        require_sweep("--also", tmp_path / "job")
    with pytest.raises(Refusal, match="a folder is given twice"):
        load([tmp_path, tmp_path / "job" / ".."])
