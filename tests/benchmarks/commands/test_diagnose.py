"""From a file of a recorder, a stored run or a checkpoint to a table and a picture."""

import json
import sys

import pytest
import torch

import pgrad
from benchmarks.__main__ import app
from benchmarks.runs.config import RunConfig
from benchmarks.studies.analyse import recorded


@pytest.mark.slow
def test_a_table_and_a_picture(tmp_path, capsys):
    model = torch.nn.Linear(4, 2)
    opt = pgrad.PGrad(model.parameters(), lr=1e-2, rollout_length=3)
    with pgrad.analysis.Recorder(opt).attach() as recorder:
        for step in range(30):
            opt.zero_grad()
            model(torch.randn(8, 4) + step % 3).square().mean().backward()
            opt.step(domain=step % 3)
    recorder.to_jsonl(tmp_path / "rows.jsonl")
    with pytest.raises(SystemExit) as done:
        app(["diagnose", str(tmp_path / "rows.jsonl")])
    assert done.value.code in (0, None)
    written = capsys.readouterr().out
    assert written.startswith(f"10 roll-outs: {pgrad.analysis.diagnose(recorder.rows).verdict}\n")
    for name, values in pgrad.analysis.diagnose(recorder.rows).quantiles.items():
        (row,) = [line for line in written.splitlines() if line.startswith(f"| {name} ")]
        assert [cell.strip() for cell in row.strip("|").split("|")] == [name, *(f"{value:.4f}" for value in values)]
    assert "disagreement of domains" in written
    assert (tmp_path / "rows.png").stat().st_size > 10_000
    recorder.to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(SystemExit):
        app(["diagnose", str(tmp_path / "rows.parquet")])
    assert capsys.readouterr().out == written


@pytest.mark.slow
@pytest.mark.parametrize(("content", "wrong"), [('{"points": 4, "cos', "line 1 is none"), ("", "got 0 rows without")])
def test_a_file_that_is_no_table_is_refused_in_words(tmp_path, capsys, content, wrong):
    file = tmp_path / "rows.jsonl"
    file.write_text(content)
    with pytest.raises(SystemExit) as done:
        app(["diagnose", str(file)])
    assert done.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {file}: ")
    assert wrong in said
    assert not (tmp_path / "rows.png").exists()


MINE = """
import torch


def checkpoint():
    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    batches = [(torch.randn(8, 4) + domain, torch.arange(8) % 2, domain) for domain in range(3)]
    return model, nn.functional.cross_entropy, batches
"""


@pytest.mark.slow
def test_a_stored_run_is_done_once_more(said, tmp_path):
    out = tmp_path / "runs"
    words = ("--algorithms", "pgrad", "reptile", "--datasets", "coloured-digits", "--seeds", "1", "--rollouts", "6")
    assert said("sweep", *words, "--launcher", "in-process", "--output", out)[0] == 0
    records = [json.loads(line) for line in (out / "records.jsonl").read_text().splitlines()]
    kept = {record["config"]["algorithm"]: record for record in records}
    code, written, _ = said("diagnose", kept["pgrad"]["key"][:12], "--output", out)
    assert code == 0
    assert written.startswith("6 roll-outs: ")
    assert (out / f"diagnose-{kept['pgrad']['key'][:12]}.png").stat().st_size > 10_000
    # the record has the mean cosine of the same roll-outs
    rows = recorded(RunConfig.model_validate(kept["pgrad"]["config"]), out)
    cosines = [row["cosine"] for row in rows]
    assert [sum(cosines) / len(cosines)] == pytest.approx(kept["pgrad"]["diagnostics"]["cosine"], rel=1e-6)

    code, _, errors = said("diagnose", kept["reptile"]["key"], "--output", out)
    assert code == 2
    assert "reptile keeps no points of roll-outs: name a run of pgrad" in errors


@pytest.mark.slow
def test_a_checkpoint_of_a_python_file(said, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    file = tmp_path / "mine.py"
    (tmp_path / "beside_mine.py").write_text("from torch import nn")
    file.write_text(f"from beside_mine import nn\n{MINE}")
    code, written, _ = said("diagnose", file, "--rollout-length", "3", "--rollouts", "5", "--lr", "0.01")
    assert code == 0
    assert written.startswith("5 roll-outs: ")
    assert file.with_suffix(".png").stat().st_size > 10_000
    for content, wrong in (("", "it must define checkpoint()"), ("def checkpoint(): return 1", "got int")):
        file.write_text(content)
        code, _, errors = said("diagnose", file)
        assert code == 2
        assert wrong in errors


@pytest.mark.parametrize("what", ["absent.jsonl", "absent.py"])
def test_a_file_that_is_not_there(said, what):
    code, _, errors = said("diagnose", what)
    assert code == 2
    assert "there is no such file" in errors
