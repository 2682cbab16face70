"""Several real ranks on this machine: each test is one or a few launches of torchrun that run many checks each."""

import json
import signal
import subprocess
import sys

import pytest

from tests.pgrad.integrations.distributed.launch import ENVIRONMENT, HERE, run, torchrun
from tests.pgrad.integrations.problem import DEVICES

pytestmark = pytest.mark.slow


def check(ranks, folder, *checks, device="cpu"):
    report = folder / f"{len(list(folder.iterdir()))}.json"
    code, output = torchrun(ranks, HERE / "run_checks.py", device, report, folder, *checks)
    outcome = json.loads(report.read_text()) if report.exists() else {}
    failed = "\n".join(f"{name}: {problem}" for name, problem in outcome.items() if problem)
    assert not failed, failed
    assert code == 0, output
    assert {name.partition(".")[0] for name in outcome} == {name.partition(".")[0] for name in checks}


def test_two_ranks_then_four_then_two(tmp_path):
    """Each launch resumes from the checkpoints of the one before."""
    resume = [f"checks_of_checkpoints.resumes_{how}" for how in ("bit_for_bit", "on_another_number_of_ranks")]
    check(2, tmp_path, "checks_on_2", "checks_of_averages", "checks_of_checkpoints")
    check(4, tmp_path, "checks_on_4", *resume)
    check(2, tmp_path, resume[1])
    assert sorted(p.name for p in tmp_path.glob("from-*")) == ["from-0-2", "from-1-4", "from-2-2"]


@pytest.mark.parametrize("device", DEVICES)
def test_one_rank(tmp_path, device):
    check(1, tmp_path, "checks_on_1", device=device)


def test_death_of_a_rank_reaches_the_others(tmp_path):
    """Without torchrun, which would end the other ranks itself: the error of gloo comes out of step()."""
    script = [sys.executable, str(HERE / "dying.py")]
    doomed = subprocess.Popen([*script, "1", str(tmp_path / "store")], env=ENVIRONMENT)
    try:
        code, output = run([*script, "0", str(tmp_path / "store")])
    finally:
        doomed.kill()
        doomed.wait()
    assert doomed.returncode == -signal.SIGKILL
    assert code == 3, output
    assert "step 5: " in output
    assert "at the anchor: True, position: 0" in output
