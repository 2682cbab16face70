"""The Python blocks of README run, one after the other, as a reader would type them."""

import re
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def test_the_code_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) >= 3
    names = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), names)
    assert "PrincipalWeights(steps=3" in capsys.readouterr().out
    assert names["opt"].rollout_position == 0
    assert names["average"].count == 1
    assert (tmp_path / "checkpoint.pt").exists()
