"""From a file of a recorder to a table and a picture."""

import pytest
import torch

import pgrad
from benchmarks.__main__ import app


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
    assert "disagreement of domains" in written
    assert (tmp_path / "rows.png").stat().st_size > 10_000
