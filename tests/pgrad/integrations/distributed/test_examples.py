"""The programs of docs/distributed.md run as they are, and its snippets are theirs."""

import re

import pytest

from tests.pgrad.integrations.distributed.launch import ROOT, torchrun

EXAMPLES = [ROOT / "examples" / name for name in ("ddp.py", "fsdp2.py")]


@pytest.mark.slow
def test_ddp_learns():
    code, output = torchrun(2, EXAMPLES[0])
    assert code == 0, output
    before, after = (float(loss) for loss in re.findall(r"loss ([\d.]+)", output))
    assert after < before / 2


@pytest.mark.slow
def test_fsdp2_goes_on_in_a_rollout(tmp_path):
    code, first = torchrun(2, EXAMPLES[1], tmp_path, 40)
    assert code == 0, first
    assert "from step 0, 0 steps into a roll-out" in first
    code, second = torchrun(1, EXAMPLES[1], tmp_path, 90)
    assert code == 0, second
    assert "from step 40, 4 steps into a roll-out" in second
    code, straight = torchrun(1, EXAMPLES[1], tmp_path / "other", 90)
    assert code == 0, straight
    last = re.compile(r"step 90, 0 steps into a roll-out: loss ([\d.]+) at the anchor")
    assert float(last.search(second)[1]) == pytest.approx(float(last.search(straight)[1]), abs=2e-4)


def test_snippets_are_from_the_examples():
    page = (ROOT / "docs" / "distributed.md").read_text()
    snippets = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    programs = "\n".join(example.read_text() for example in EXAMPLES)
    assert len(snippets) == 4
    for snippet in snippets:
        assert snippet in programs
