import subprocess
import sys
from pathlib import Path

import pytest

from domainbed_ext import folders
from domainbed_ext.errors import Refusal
from domainbed_ext.folders import State

HOLD = """
import sys, time
from pathlib import Path
from domainbed_ext import folders
held = folders.lock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


@pytest.mark.slow
def test_a_job_killed_in_the_middle_is_interrupted_and_never_done(tmp_path):
    folder = tmp_path / "job"
    assert folders.state(folder) is State.NOT_LAUNCHED
    folder.mkdir()
    assert folders.state(folder) is State.INTERRUPTED
    root = Path(__file__).parents[2]
    job = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, cwd=root)
    try:
        assert job.stdout.readline() == b"held\n"
        assert folders.state(folder) is State.RUNNING
        with pytest.raises(Refusal, match="another process is training into"):
            folders.lock(folder)
    finally:
        job.kill()
        job.wait()
        job.stdout.close()
    assert folders.state(folder) is State.INTERRUPTED


def test_failures_keep_the_first_reason_and_a_finished_job_cannot_fail(tmp_path):
    folders.mark_failed(tmp_path, "first")
    folders.mark_failed(tmp_path, "second")
    assert folders.state(tmp_path) is State.FAILED
    assert folders.reason(tmp_path) == "first"
    (tmp_path / "failed").unlink()
    (tmp_path / "done").write_text("done")
    folders.mark_failed(tmp_path, "late")
    assert folders.state(tmp_path) is State.DONE
    assert not (tmp_path / "failed").exists()


def test_a_submitted_job_is_queued_for_as_long_as_the_cluster_says(tmp_path):
    folders.mark_submitted(tmp_path, "slurm:12_3")
    asked = []
    assert folders.state(tmp_path, lambda job: asked.append(job) or True) is State.QUEUED
    assert folders.state(tmp_path, lambda _: False) is State.INTERRUPTED
    assert asked == ["slurm:12_3"]


def test_what_an_attempt_left_is_kept(tmp_path):
    for text in ("one", "two"):
        folder = tmp_path / "job"
        folder.mkdir()
        (folder / "out.txt").write_text(text)
        folders.set_aside(folder)
    kept = sorted(tmp_path.glob(".attempts/*/out.txt"))
    assert [path.read_text() for path in kept] == ["one", "two"]
    (tmp_path / "job").mkdir()
    folders.set_aside(tmp_path / "job")  # empty: nothing to keep
    assert sorted(path.name for path in tmp_path.iterdir()) == [".attempts"]
