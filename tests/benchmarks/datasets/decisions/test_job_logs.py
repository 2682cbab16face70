"""Logs of real clusters by their path: the format line by line, and that no job is in two blocks."""

import gzip
import json

import numpy as np
import pytest

from benchmarks.datasets import DATASETS
from benchmarks.datasets.decisions import by_path, job_logs, job_own
from benchmarks.datasets.decisions.games import as_teacher, at_random, log
from benchmarks.datasets.decisions.job_cluster import WAIT
from benchmarks.datasets.decisions.job_workloads import HORIZON, LONGEST, PROCESSORS, WORKLOADS
from benchmarks.datasets.lookup import identity
from tests.benchmarks.datasets.decisions.record import load as fixture

HEADER = "; Version: 2.2\n; MaxProcs: 128\n; UnixStartTime: 3600\n"


@pytest.fixture(scope="module")
def weather():
    found = {site: np.array(hours) for site, hours in json.loads(fixture("weather.json")).items()}
    return lambda: found


def line(number, at, running, processors, requested=-1, asked=-1):
    """One job, its 18 fields by their places in the format."""
    return f"{number} {at} 5 {running} {processors} -1 -1 {asked} {requested} -1 1 7 3 -1 1 -1 -1 -1"


def swf(path, days=20, header=HEADER, each=900, extra=()):
    """A job every quarter of an hour."""
    rng = np.random.default_rng(3)
    jobs = [
        line(number, number * each, int(rng.integers(60, 20000)), int(rng.choice([1, 2, 16, 64])), 7200)
        for number in range(days * 86400 // each)
    ]
    text = header + "\n".join([*jobs, *extra]) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def test_jobs_by_hand(tmp_path):
    """Three known jobs on the first day of the third block, among others a week later."""
    at = 4 * 86400 - 3600 + 600 * 60  # ten o'clock: second 0 of the log is one o'clock in the morning
    found = job_logs.read(
        swf(
            tmp_path / "a.swf",
            extra=[
                line(9001, at, 1500, 128, 3000),
                line(9002, at + 1200, 0, 4, 60),  # never ran
                line(9003, at + 1250, 90000, -1, -1, asked=1),  # a size that was asked for, no time
            ],
        )
    )
    assert found.submitted[0] == 3600
    assert (np.diff(found.submitted) >= 0).all()
    assert "1 that never ran left out" in found.facts
    assert "1922 jobs of 128 processors" in found.facts
    jobs = found.jobs(2, 60, np.random.default_rng(0))
    assert all(0 <= job.arrival < HORIZON and 1 <= job.processors <= PROCESSORS for job in jobs)
    assert sum(job.work for job in jobs) <= job_logs.FULL
    seen = [job for seed in range(30) for job in found.jobs(2, 60, np.random.default_rng(seed))]
    whole = next(job for job in seen if job.processors == PROCESSORS)
    assert (whole.arrival, whole.runtime, whole.requested) == (0, 3, 5)  # 128 of 128 processors are 64 of 64
    long = next(job for job in seen if job.runtime == LONGEST and job.requested == 2 * LONGEST)
    assert (long.arrival, long.processors) == (2, 1)


def test_the_time_of_the_day(tmp_path):
    for header, seconds in (
        ("; MaxProcs: 8 (of 10)\n; StartTime: Tue Feb 21 18:44:15 IST 2006\n; UnixStartTime: 5\n", 67455),
        ("; MaxProcs: 8\n; UnixStartTime: 90000\n; TimeZone: -7200\n", 82800),
        ("; MaxProcs: 8\n", 0),
    ):
        assert job_logs.read(swf(tmp_path / "a.swf", header=header)).submitted[0] == seconds


BROKEN = {
    r"line 6: 17 fields; a job of the Standard Workload Format has 18": " ".join(["1"] * 17),
    r"line 6: field 4 must be a number, got 'x'": line(1, 5, "x", 2),
    r"line 6: field 5 must be a number, got 'nan'": line(1, 5, 5, "nan"),
    r"line 6: field 2 must be at most 10000000000, got 1e300": line(1, "1e300", 5, 2),
    r"line 6: field 2 must be at most 10000000000, got 1000000000000000": line(1, 10**15, 5, 2),
    r"line 6: field 2, the time of submission, must be 0 or more seconds, got -4": line(1, -4, 5, 2),
}


@pytest.mark.parametrize("message", BROKEN)
def test_a_broken_line_is_named(tmp_path, message):
    path = swf(tmp_path / "a.swf", header=HEADER + f"{line(0, 0, 60, 1)}\n\n{BROKEN[message]}\n")
    with pytest.raises(ValueError, match=rf"a\.swf, {message}"):
        DATASETS[f"decisions:{path}"]


def test_broken_logs(tmp_path, own_cache):
    for header, message in (
        ("", "must say how many processors"),
        ("; MaxProcs: -1\n", "got '-1'"),
        (f"; MaxProcs: {10**30}\n", "got '1000"),
    ):
        with pytest.raises(ValueError, match=message):
            job_logs.read(swf(tmp_path / "a.swf", header=header))
    with pytest.raises(ValueError, match="UnixStartTime of the header must be a whole number of seconds, got 'noon'"):
        job_logs.read(swf(tmp_path / "a.swf", header="; MaxProcs: 8\n; UnixStartTime: noon\n"))
    with pytest.raises(ValueError, match="StartTime of the header must have a time of the day, got '25:10:00'"):
        job_logs.read(swf(tmp_path / "a.swf", header="; MaxProcs: 8\n; StartTime: Mon Jan 1 25:10:00 2020\n"))
    strange = "; MaxProcs: 8\n; Note: so\u2028and\x0cso\x85\n"  # signs that part lines elsewhere
    assert len(job_logs.read(swf(tmp_path / "a.swf", header=strange)).submitted) == 1920
    with pytest.raises(ValueError, match=r"480 jobs that ran are in [23] busy blocks .* at least 8 such"):
        DATASETS[f"decisions:{swf(tmp_path / 'short.swf', days=5)}"]
    (tmp_path / "b.swf").write_text("; MaxProcs: 3\n")
    with pytest.raises(ValueError, match="0 jobs that ran are in 0 busy blocks"):
        DATASETS[f"decisions:{tmp_path / 'b.swf'}"]
    (tmp_path / "b.swf.gz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"b\.swf\.gz cannot be read: BadGzipFile"):
        DATASETS[f"decisions:{tmp_path / 'b.swf.gz'}"]
    with pytest.raises(ValueError, match=r"there is no file .*nowhere"):
        DATASETS["decisions:nowhere.swf"]
    good = swf(tmp_path / "good.swf")
    with pytest.raises(ValueError, match="workloads must be one of all, none; got 'some'"):
        DATASETS[f"decisions:{good}?workloads=some"]
    with pytest.raises(ValueError, match="there must be at least two"):
        DATASETS[f"decisions:{good}?workloads=none"]
    with pytest.raises(ValueError, match="'window' is no option"):
        DATASETS[f"decisions:{good}?window=3"]
    with pytest.raises(ValueError, match="log must be given once and be one of mixed, poor, good; got 'best'"):
        DATASETS[f"decisions:{good}?log=best"]
    swf(tmp_path / "batch.swf")
    with pytest.raises(ValueError, match="its domain would be called 'batch', as a made workload"):
        DATASETS[f"decisions:{tmp_path / 'batch.swf'}"]
    assert not list((tmp_path / "cache").glob("*.npz"))


def test_no_job_is_in_two_blocks_and_some_are_kept_for_play(tmp_path):
    found = job_logs.read(swf(tmp_path / "a.swf", days=60))
    assert set(found.for_logs) & set(found.for_play) == set()
    assert sorted((*found.for_logs, *found.for_play)) == list(found.blocks)
    assert len(found.for_play) == len(found.blocks) // 4
    ends = []
    for block in found.blocks:
        first, last = 2 * block * 86400, (2 * block + 2) * 86400
        for start in (0, 138):  # the first and the last hour at which an episode may begin
            jobs = found.jobs(block, start, np.random.default_rng(0))
            assert job_logs.MOST >= len(jobs) >= 1
            assert first <= 2 * block * 86400 + (start + jobs[-1].arrival) * 600 < last
        ends.append(last)
    assert ends == sorted(ends)


def test_the_set(tmp_path, own_cache, weather):
    (tmp_path / "logs").mkdir()
    swf(tmp_path / "logs/KTH.swf.gz")
    swf(tmp_path / "logs/ours.swf", each=1200)
    (tmp_path / "logs/readme.txt").write_text("x")
    name = f"decisions:{tmp_path / 'logs'}"
    assert by_path.entry(name.partition(":")[2]).domains == (*WORKLOADS, "KTH", "ours")
    entry = job_own.entry(f"{tmp_path / 'logs'}?workloads=none&log=good&learn=done", weather)
    assert entry.domains == ("KTH", "ours")
    assert entry.loss.__name__ == "bc of done"
    data = entry.factory()
    assert data.digest() == job_own.entry(f"{tmp_path / 'logs'}?workloads=none&log=good", weather).factory().digest()
    blocks = job_logs.read(tmp_path / "logs/ours.swf").for_logs
    assert [len(domain.groups.unique()) for domain in data.domains] == [len(blocks)] * 2
    assert set(entry.shown()) == {"KTH", "ours"}
    before = identity(name)
    assert before != identity(f"{name}?workloads=none")
    own, _ = by_path.game_set(f"{tmp_path / 'logs'}?workloads=none")
    assert own.domains == ("KTH", "ours")


def test_the_teacher_is_far_above_random(tmp_path, weather):
    own, query = job_own.decision_set(str(swf(tmp_path / "a.swf", each=1800)), weather)
    play = own.play(own.chosen(query))
    gaps = []
    for seed in range(16):
        teacher, chance = play.game("a", seed), play.game("a", seed)
        log(teacher, as_teacher, np.random.default_rng(seed))
        steps = log(chance, at_random, np.random.default_rng(seed))
        assert all(step.view.legal[WAIT] for step in steps)
        gaps.append(teacher.outcome() - chance.outcome())
    assert np.mean(gaps) > 3 * np.std(gaps, ddof=1) / 4


def test_where_logs_are_all_there_is_nothing_is_played():
    assert by_path.game_set("nowhere.jsonl") == (None, "")
