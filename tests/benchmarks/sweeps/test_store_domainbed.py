"""Import of DomainBed's results.jsonl: three domains, env1 held out; the figures below are worked out by hand."""

import json

import pytest

from benchmarks.runs.selection import select_all
from benchmarks.sweeps.store import Store
from benchmarks.sweeps.store.domainbed import results
from benchmarks.sweeps.store.importing import bring_in

ARGUMENTS = {
    "dataset": "PACS",
    "algorithm": "ERM",
    "test_envs": [1],
    "trial_seed": 2,
    "hparams_seed": 3,
    "steps": 301,
    "output_dir": "somewhere",
    "seed": 77,
}
ROWS = [  # step, env0 in/out, env1 in/out, env2 in/out
    (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6),
    (300, 0.9, 0.8, 0.7, 0.6, 0.95, 0.7),
]


def write(folder, done=True, **changes):
    folder.mkdir(parents=True)
    lines = []
    for step, *scores in ROWS:
        names = [f"env{number}_{part}_acc" for number in range(3) for part in ("in", "out")]
        line = {
            "step": step,
            "epoch": 0.5,
            "loss": 1.5,
            "step_time": 0.5,
            "mem_gb": 1.0,
            **dict(zip(names, scores, strict=True)),
        }
        lines.append({**line, "args": {**ARGUMENTS, **changes}, "hparams": {"lr": 5e-5, "resnet18": True}})
    (folder / "results.jsonl").write_text("".join(json.dumps(line, sort_keys=True) + "\n" for line in lines))
    if done:
        (folder / "done").touch()


def test_figures(tmp_path):
    write(tmp_path / "run")
    (record,), left_out = results(tmp_path)
    assert left_out.paths == ()
    assert record["curves"]["step"] == [0, 300]
    assert record["curves"]["validation"] == pytest.approx([(0.2 + 0.6) / 2, (0.8 + 0.7) / 2])
    assert record["curves"]["held_out"] == [0.3, 0.7]
    assert record["domain_curves"] == {"env0": [0.2, 0.8], "env1": [0.3, 0.7], "env2": [0.6, 0.7]}
    assert record["timings"]["wall_seconds"] == pytest.approx(0.5 + 300 * 0.5)
    assert record["peak_memory"]["cuda_bytes"] == 2**30
    config = record["config"]
    assert (config["dataset"], config["algorithm"], config["held_out"]) == ("PACS", "ERM", "env1")
    assert (config["seed"], config["point"], config["hparams"]["lr"]) == (2, 3, 5e-5)


def test_into_the_store_once_and_through_selection(tmp_path):
    write(tmp_path / "in" / "one")
    write(tmp_path / "in" / "two", hparams_seed=4)
    write(tmp_path / "in" / "pair", test_envs=[0, 1])
    write(tmp_path / "in" / "unfinished", done=False, trial_seed=9)
    with Store(tmp_path / "s.sqlite") as store:
        records, left_out = results(tmp_path / "in")
        assert [path.name for path in left_out.paths] == ["unfinished"]
        assert bring_in(store, records).new == 3
        assert bring_in(store, results(tmp_path / "in", unfinished=True)[0]).known == 3
        found = store.records()
    assert len(found) == 4
    rows = select_all(found, "training-domain")
    assert {row["held_out"] for row in rows} == {"env1", "env0+env1"}
    assert all(row["step"] == 300 for row in rows)


def test_the_folder_may_lie_elsewhere(tmp_path):
    write(tmp_path / "a")
    write(tmp_path / "b", output_dir="elsewhere")
    first, second = results(tmp_path)[0]
    assert first["key"] == second["key"]


def test_a_torn_last_line_is_left_out(tmp_path):
    write(tmp_path / "run")
    with (tmp_path / "run/results.jsonl").open("a") as file:
        file.write('{"step": 600, "args"')
    (record,), _ = results(tmp_path)
    assert record["curves"]["step"] == [0, 300]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}\n", "line 1: not a line"),
        ('{"a"\n', "line 1"),
        ('{"step": 0, "args": {"test_envs": [0]}}\n', "env0_in_acc"),
    ],
)
def test_files_that_are_none(tmp_path, content, message):
    (tmp_path / "results.jsonl").write_text(content)
    with pytest.raises(ValueError, match=message):
        results(tmp_path / "results.jsonl")
    with pytest.raises(ValueError, match=r"no results\.jsonl"):
        results(tmp_path / "nothing")


def test_command(tmp_path, said):
    write(tmp_path / "in" / "one")
    write(tmp_path / "in" / "unfinished", done=False, trial_seed=9)
    status, out, _ = said("import", tmp_path / "in", "--domainbed", "--output", tmp_path / "out")
    assert status == 0
    assert "1 runs imported, 0 were there already." in out
