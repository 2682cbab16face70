import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from domainbed_ext import folders, launchers
from domainbed_ext.errors import Refusal
from domainbed_ext.launchers import Options

ROOT = Path(__file__).parents[2]
# Refuses to work beside another job of its slot, and waits until one of the other slot has been there.
WORK = """
import os, sys, time
from pathlib import Path
folder, slot = Path(sys.argv[1]), os.environ["SLOT"]
(folder / f"{slot}.busy").touch(exist_ok=False)
(folder / f"{slot}.seen").touch()
while len(list(folder.glob("*.seen"))) < 2:
    time.sleep(0.01)
(folder / f"{sys.argv[2]}.done").write_text(slot)
(folder / f"{slot}.busy").unlink()
"""


def _command(*argv):
    return shlex.join([sys.executable, *map(str, argv)])


@pytest.mark.slow
def test_no_more_processes_than_slots_at_a_time_each_with_its_own_environment(tmp_path):
    commands = [_command("-c", WORK, tmp_path, n) for n in range(5)]
    launchers.run_in_slots(commands, [{"SLOT": "a"}, {"SLOT": "b"}])
    assert sorted(path.name for path in tmp_path.glob("*.done")) == [f"{n}.done" for n in range(5)]
    assert {path.read_text() for path in tmp_path.glob("*.done")} == {"a", "b"}
    assert not list(tmp_path.glob("*.busy"))


@pytest.mark.slow
def test_ending_the_launcher_ends_its_jobs(tmp_path):
    job = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    code = (
        "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
        f"from domainbed_ext import launchers; launchers.run_in_slots([{_command('-c', job)!r}], [{{}}])"
    )
    launcher = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text()):
        assert launcher.poll() is None
        time.sleep(0.05)
    launcher.send_signal(signal.SIGTERM)
    assert launcher.wait() == 143
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_every_launcher_gets_commands_of_our_entry_point():
    seen = []
    registry = {"theirs": seen.extend}
    launchers.install(registry, ["/opt/my python", "-m", "domainbed_ext", "train"], Options())
    assert set(registry) == {"theirs", "cores", "gpus", "slurm"}
    registry["theirs"](["python -m domainbed.scripts.train --hparams '{\"lr\": 1}' --seed 3"])
    assert [shlex.split(command) for command in seen] == [
        ["/opt/my python", "-m", "domainbed_ext", "train", "--hparams", '{"lr": 1}', "--seed", "3"]
    ]
    with pytest.raises(Refusal, match="not understood"):
        registry["theirs"](["python other.py"])


def test_gpus_are_refused_where_there_is_none(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(Refusal, match="no GPU is visible"):
        launchers.visible_gpus()


@pytest.mark.slow
def test_submitit_runs_the_jobs(tmp_path):
    folder = tmp_path / "job"
    folder.mkdir()
    script = tmp_path / "job.py"
    script.write_text("import sys; open(sys.argv[sys.argv.index('--output_dir') + 1] + '/done', 'w').write('done')")
    registry = {}
    launchers.install(registry, [sys.executable, str(script)], Options(output_dir=tmp_path, cluster="local"))
    registry["slurm"]([f"python -m domainbed.scripts.train --output_dir {folder}"])
    assert folders.state(folder) is folders.State.DONE


@pytest.mark.parametrize(("state", "queued"), [("PENDING", True), ("RUNNING", True), ("FAILED", False), ("", False)])
def test_slurm_is_asked_about_submitted_jobs(tmp_path, monkeypatch, capsys, state, queued):
    sacct = tmp_path / "sacct"  # prints what Slurm's prints for a job of an array
    line = f"7_2|{state}|node1\\n" if state else ""
    sacct.write_text(f"#!/bin/sh\nprintf 'JobID|State|NodeList\\n{line}'\n")
    sacct.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("submitit.SlurmJob.watcher", type(_slurm_watcher())())
    assert launchers.is_queued("slurm:7_2", tmp_path) is queued
    assert ("knows nothing" in capsys.readouterr().err) == (not state)


def _slurm_watcher():
    import submitit

    return submitit.SlurmJob.watcher  # one for all jobs of the process: it remembers states
