"""Jobs on green power: the simulator's books, the model of the workload, and what the player cannot know."""

import copy
import dataclasses
import io
import json
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.datasets import DATASETS
from benchmarks.datasets.decisions import job_power, job_scheduling
from benchmarks.datasets.decisions.games import as_teacher, at_random, log
from benchmarks.datasets.decisions.job_cluster import BROWN, END, POLICIES, WAIT, Cluster
from benchmarks.datasets.decisions.job_workloads import (
    BATCH,
    DAY,
    HORIZON,
    INTERACTIVE,
    LONGEST,
    PROCESSORS,
    WORKLOADS,
    Job,
    arrivals,
    runtime,
    size,
)
from benchmarks.datasets.fetch import FetchError
from benchmarks.reports.contact_sheet import draw
from tests.benchmarks.datasets.decisions.gaps import inside_and_outside
from tests.benchmarks.datasets.decisions.record import at_hand, load


@pytest.fixture(scope="module")
def weather():
    found = {site: np.array(hours) for site, hours in json.loads(load("weather.json")).items()}
    return lambda: found


def game(weather, domain, seed):
    return job_scheduling.play({"log": "mixed"}, weather).game(domain, seed)


def sunny(*jobs, green=0):
    return Cluster(list(jobs), np.full(DAY + END, green), start=0)


def test_one_job_by_hand():
    job = Job(arrival=0, processors=4, runtime=3, requested=6, patience=10)
    cluster = sunny(job, green=1)
    assert cluster.view().legal.tolist() == [True] + [False] * 7 + [True]
    assert cluster.act(WAIT) == pytest.approx(0.0)  # nothing runs, so nothing is paid
    gained = cluster.act(0)  # a step late; then three steps of which 3 processors each are brown
    assert gained == pytest.approx((12 * 0.9 - BROWN * 9) / 12)
    assert cluster.over
    assert cluster.outcome() == pytest.approx(gained)


def test_a_job_that_waits_too_long_is_gone():
    cluster = sunny(Job(0, 4, 3, 3, patience=2), Job(5, 1, 1, 1, patience=9), green=64)
    cluster.act(WAIT)
    cluster.act(WAIT)
    assert [job.arrival for job in cluster.queue] == [5]
    assert cluster.time == 5  # nothing was asked meanwhile
    cluster.act(0)
    assert cluster.outcome() == pytest.approx(1 / 13)


def test_rewards_add_up_to_the_outcome(weather):
    for domain in WORKLOADS:
        own = game(weather, domain, 3)
        steps = log(own, at_random, np.random.default_rng(0))
        assert sum(step.reward for step in steps) == pytest.approx(own.outcome())
        assert own.over
        assert not own.running
        busy = np.array([busy for busy, _ in own.history])
        assert busy.max() <= PROCESSORS
        assert all(step.view.legal[step.done] for step in steps)


def test_what_cannot_be_started_is_refused():
    cluster = sunny(Job(0, 1, 5, 5, 20), Job(0, 64, 5, 5, 20), Job(0, 1, 5, 5, 20), green=64)
    cluster.act(0)
    with pytest.raises(ValueError, match="64 processors are not free"):
        cluster.act(0)
    with pytest.raises(ValueError, match="green must have"):
        Cluster([], np.zeros(3), 0)


def test_the_teacher_waits_for_the_sun():
    job = Job(0, 32, 3, 3, patience=100)
    green = np.zeros(DAY + END)
    green[DAY + 6 :] = 64
    cluster = Cluster([job], green, 0)
    times = 0
    while not cluster.over:
        times += cluster.teacher() == WAIT
        cluster.act(cluster.teacher())
    assert times == 6
    assert sunny(job, green=64).teacher() == 0


@pytest.mark.parametrize("domain", WORKLOADS)
def test_the_teacher_is_far_above_random(weather, domain):
    values = {}
    for name, policy in {"teacher": as_teacher, **POLICIES}.items():
        games = [game(weather, domain, seed) for seed in range(16)]
        for seed, own in enumerate(games):
            log(own, policy, np.random.default_rng(seed))
        values[name] = np.array([own.outcome() for own in games])
    gap = values["teacher"] - values["random"]
    assert gap.mean() > 3 * gap.std(ddof=1) / np.sqrt(len(gap))
    assert all(values["teacher"].mean() > own.mean() for name, own in values.items() if name != "teacher")


def test_nothing_that_the_player_cannot_know_is_seen(weather):
    """Other run times of what waits and runs, and another sky to come: the same views, other choices of the teacher."""
    differs = 0
    for seed in range(6):
        own = game(weather, "batch", seed)
        rng = np.random.default_rng(seed)
        for _ in range(25):
            if own.over:
                break
            other = copy.deepcopy(own)
            other.green[DAY + other.time + 1 :] = rng.integers(0, 65, size=len(other.green) - DAY - other.time - 1)
            other.queue = [dataclasses.replace(job, runtime=1) for job in other.queue]
            other.jobs = [dataclasses.replace(job, runtime=1) for job in other.jobs]
            for each in other.running:
                each.end = other.time + 1
            for mine, theirs in zip(vars(own.view()).values(), vars(other.view()).values(), strict=True):
                assert np.array_equal(mine, theirs)
            differs += own.teacher() != other.teacher()
            own.act(at_random(own, rng))
    assert differs > 10


def test_the_model_of_lublin_and_feitelson():
    rng = np.random.default_rng(0)
    for model in (BATCH, INTERACTIVE):
        sizes = [size(model, rng) for _ in range(6000)]
        assert np.mean(np.array(sizes) == 1) == pytest.approx(model.serial, abs=0.02)
        powers = np.mean([number > 1 and number & (number - 1) == 0 for number in sizes])
        assert powers > model.power - 0.02  # others are powers of two by chance
        assert max(sizes) <= PROCESSORS
        steps = np.array([runtime(model, 4, rng) for _ in range(4000)])
        assert 1 <= steps.min() <= steps.max() <= LONGEST
        offset = model.mixing[0] * 4 + model.mixing[1]
        (a, b), (c, d) = model.gammas
        logs = np.where(rng.random(40000) < offset, rng.gamma(a, b, 40000), rng.gamma(c, d, 40000))
        assert np.mean(steps == 1) == pytest.approx(np.mean(np.exp(logs) <= 600), abs=0.03)
    day = np.array(arrivals(BATCH, 5000, 0, rng))  # from midnight to four in the afternoon
    assert day.max() < HORIZON
    assert np.sum(day < 30) < 0.3 * np.sum(day >= 60)


def test_the_same_data_twice_and_gaps_where_they_should_be(weather):
    options = {"log": "mixed"}
    built = [job_scheduling.build(tuple(WORKLOADS), options, weather, number=3).data for _ in range(2)]
    assert built[0].digest() == built[1].digest()
    assert built[0].domains[0].inputs.dtype == torch.int16
    assert built[0].digest() != job_scheduling.build(tuple(WORKLOADS), {"log": "good"}, weather, number=3).data.digest()
    sites = job_scheduling.build(tuple(job_power.FILES), options, weather, number=2).data
    assert sites.names == tuple(job_power.FILES)
    for domain in built[0].domains:
        assert len(domain.groups.unique()) == 3


def test_by_name():
    entry = DATASETS["job-scheduling?log=poor&loss=filtered&learn=done"]
    assert entry.domains == tuple(WORKLOADS)
    assert "log-poor" in entry.factory.name
    assert DATASETS["job-scheduling-sites"].domains == tuple(job_power.FILES)


def test_a_page_for_people(weather, tmp_path):
    pages = job_scheduling.page(tuple(WORKLOADS), {"log": "mixed"}, weather)
    assert all(picture.shape == (260, 800, 3) and picture.dtype == np.uint8 for picture in pages.values())
    data = job_scheduling.build(tuple(WORKLOADS), {"log": "mixed"}, weather, number=1).data
    entry = dataclasses.replace(DATASETS["job-scheduling"], shown=lambda: pages)
    picture = draw("job-scheduling", entry, data, tmp_path)
    with Image.open(picture) as opened:
        assert opened.size[0] > 400


def test_weather_by_the_file(tmp_path):
    """Both formats, written here by their published descriptions."""
    head = ",".join(["Date", "Time", "ETR", "ETRN", "GHI (W/m^2)", *["x"] * 41, "Wspd (m/s)"])
    line = ",".join(["01/01/1990", "01:00", "0", "0", "250", *["0"] * 41, "7.5"])
    three = "\n".join(["a site", head, *[line] * 8760])
    two = "\n".join([" 12839 MIAMI", *[" " * 17 + "0250" + " " * 74 + "075" + " " * 30] * 8760])
    content = {name: two if name.endswith("tm2") else three for name in job_power.FILES.values()}
    path = tmp_path / "pvlib.whl"

    def written(files):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, text in files.items():
                archive.writestr(name, text)
        path.write_bytes(buffer.getvalue())
        return path

    for hours in job_power.read(written(content)).values():
        assert hours.shape == (8760, 2)
        assert hours[0].tolist() == [250.0, 7.5]
    with pytest.raises(FetchError, match="holds no readable weather"):
        job_power.read(written({}))
    with pytest.raises(FetchError, match="for sand-point, expected 8760 hours"):
        job_power.read(written(content | {job_power.FILES["sand-point"]: "\n".join(["a", head, line])}))
    path.write_bytes(b"no archive")
    with pytest.raises(FetchError, match="holds no readable weather"):
        job_power.read(path)


@pytest.mark.slow
@pytest.mark.skipif(
    not at_hand(job_power.WHEEL), reason="the wheel of pvlib is not here: data job-scheduling fetches it"
)
@pytest.mark.parametrize("name", ["job-scheduling", "job-scheduling-sites"])
def test_the_real_preparation(name):
    entry = DATASETS[name]
    built = entry.factory.build()
    assert built.data.digest() == entry.digest
    assert built.facts["weather"] == "sand-point, greensboro, miami, 8760 of 8760 hours"


@pytest.mark.slow
@pytest.mark.skipif(
    not at_hand(job_power.WHEEL), reason="the wheel of pvlib is not here: data job-scheduling fetches it"
)
def test_a_workload_that_is_held_out_is_harder_and_a_site_is_not():
    """On average: one of the four workloads is not. The sites are the control."""
    gaps = {}
    for name in ("job-scheduling", "job-scheduling-sites"):
        domains = DATASETS[name].domains
        inside, outside = inside_and_outside(name, domains, rollouts=40, batch_size=16, lr=3e-3)
        gaps[name] = np.mean([outside[domain] - inside[domain] for domain in domains])
    assert gaps["job-scheduling"] < -0.015
    assert abs(gaps["job-scheduling-sites"]) < 0.015
