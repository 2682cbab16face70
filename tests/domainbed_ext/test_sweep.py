"""Sweeps of real jobs: killed and resumed, failed and retried, collected by DomainBed's own script and by ours."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from domainbed_ext import folders, miniature
from domainbed_ext.folders import State

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.filterwarnings("ignore")  # of DomainBed's own code


def _tables(text):
    """The lines of collect_results' output that hold numbers."""
    return [line.rstrip() for line in text.splitlines() if " +/- " in line]


@pytest.mark.slow
def test_a_sweep_of_a_recipe_killed_and_resumed_and_collected(command, domainbed, tmp_path, capsys):
    data, out = tmp_path / "data", tmp_path / "out"
    miniature.write(data, "PACS", images=6)
    small = json.dumps({"batch_size": 8, "ext_featurizer": "domainbed_ext.networks:tiny"})
    argv = ["sweep", "launch", "--recipe", "pacs", "--algorithms", "ERM", "PGrad", "--n_trials", "1", "--steps", "5"]
    argv += ["--data_dir", data, "--output_dir", out, "--hparams", small, "--skip_confirmation", "--workers", "0"]
    argv = [*map(str, argv), "--command_launcher", "cores", "--jobs", "2"]

    def states():
        return [folders.state(folder) for folder in out.glob("[!.]*")]

    sweep = subprocess.Popen(
        [sys.executable, "-m", "domainbed_ext", *argv], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        while not {State.DONE, State.RUNNING} <= set(states()):
            assert sweep.poll() is None, "the sweep ended before it could be killed"
            time.sleep(0.1)
    finally:
        if sweep.poll() is None:
            os.killpg(sweep.pid, signal.SIGKILL)
            sweep.wait()
    while State.RUNNING in (killed := states()):  # its jobs are being ended by the system
        time.sleep(0.02)
    assert len(killed) == 8
    assert set(killed) == {State.DONE, State.INTERRUPTED}
    finished = {path.parent: path.read_text() for path in out.glob("*/done")}
    results = {folder: (folder / "results.jsonl").stat().st_mtime_ns for folder in finished}

    assert command(*argv) == 0
    assert "8 done" in capsys.readouterr().out
    assert states() == [State.DONE] * 8
    assert {folder: (folder / "results.jsonl").stat().st_mtime_ns for folder in finished} == results
    for path in out.glob("*/results.jsonl"):
        records = [json.loads(line) for line in path.read_text().splitlines()]
        assert [record["step"] for record in records] == [0, 4]  # of one attempt only
        assert records[0]["hparams"]["pgrad_outer_lr" if records[0]["args"]["algorithm"] == "PGrad" else "lr"] in (
            0.1,
            5e-5,
        )

    assert command(*argv) == 0  # nothing left to do
    capsys.readouterr()
    assert command("collect", "--input_dir", out) == 0
    ours = capsys.readouterr().out
    assert any(line.startswith("PGrad ") for line in _tables(ours))
    theirs = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "domainbed.scripts.collect_results", "--input_dir", str(out)],
        cwd=domainbed, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert sorted(_tables(theirs.stdout)) == sorted(_tables(ours))


@pytest.mark.slow
def test_a_failed_job_is_told_kept_and_retried_only_when_asked(command, tmp_path, monkeypatch, capfd):
    (tmp_path / "flaky.py").write_text(
        "from pathlib import Path\nfrom domainbed_ext.networks import tiny\n"
        "def net(input_shape, hparams):\n"
        f"    if Path({str(tmp_path / 'broken')!r}).exists(): raise OSError('disk gone')\n"
        "    return tiny(input_shape, hparams)\n"
    )
    (tmp_path / "broken").touch()
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    monkeypatch.syspath_prepend(tmp_path)
    out = tmp_path / "out"
    hparams = json.dumps({"batch_size": 8, "ext_featurizer": "flaky:net"})
    argv = [
        "sweep",
        "launch",
        "--datasets",
        "Debug28",
        "--algorithms",
        "PGrad",
        "--data_dir",
        "none",
        "--output_dir",
        out,
    ]
    argv += ["--n_hparams", "1", "--n_trials", "1", "--single_test_envs", "--steps", "2", "--hparams", hparams]
    argv += ["--command_launcher", "cores", "--skip_confirmation", "--workers", "0"]

    with pytest.raises(SystemExit):
        command(*argv, "--dry-run")
    jobs = [Path(line.split("--output_dir ")[1].split()[0]) for line in capfd.readouterr().out.splitlines()[:-1]]
    for job in jobs[1:]:  # as if they had been run; one is enough here
        job.mkdir(parents=True)
        (job / "done").write_text("done")

    assert command(*argv) == 1
    printed = capfd.readouterr().out
    assert "2 done, 1 failed" in printed
    assert "OSError: disk gone" in printed
    (tmp_path / "broken").unlink()
    assert command(*argv) == 1  # not asked for
    assert "About to launch 0 jobs" in capfd.readouterr().out
    assert command(*argv, "--retry_failed") == 0
    assert "3 done" in capfd.readouterr().out
    assert [path.parent.name for path in out.glob(".attempts/*/failed")] == [f"{jobs[0].name}-1"]


def test_collecting_domainbeds_released_sweep_gives_its_released_table(command, domainbed, tmp_path, capsys):
    # A copy, since the script writes results.txt into the folder.
    import shutil

    old = shutil.copytree(domainbed / "domainbed" / "misc" / "test_sweep_data", tmp_path / "old")
    assert command("collect", "--input_dir", old) == 0
    printed = capsys.readouterr().out
    released = (domainbed / "domainbed" / "misc" / "test_sweep_results.txt").read_text()
    assert printed.split() == released.split()
