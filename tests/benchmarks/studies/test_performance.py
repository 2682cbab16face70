"""The benchmark of time and memory: its parts on tiny problems, and the command line once as a user has it."""

import json
import math
import os
import subprocess
import sys

import pytest
import torch

from benchmarks.commands.words.performance import app
from benchmarks.runs.environment import ROOT
from benchmarks.studies.performance import accuracy, limits, memory, run
from benchmarks.studies.performance.methods import METHODS
from benchmarks.studies.performance.problems import PROBLEMS, make_loss
from benchmarks.studies.performance.timing import make_clock, take_turns


def test_problems_are_what_they_say():
    for name, problem in PROBLEMS.items():
        with torch.device("meta"):
            model = problem.make()
        numbers = sum(p.numel() for p in model.parameters())
        assert numbers == pytest.approx(problem.parameters, rel=0.05), name


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_method_trains(method):
    task = run.Case("mlp-100k", method, steps=3)
    losses = []
    torch.manual_seed(0)
    model = PROBLEMS["mlp-100k"].make()
    micro_batch = make_loss(PROBLEMS["mlp-100k"], model, task.steps)

    def loss():
        value = micro_batch()
        losses.append(value.item())
        return value

    rollout = METHODS[method](model, loss, task.steps, {})
    for _ in range(30):
        rollout()
    assert losses[-1] < losses[0]
    assert len(losses) == 30 * 3 * (2 if method == "sam" else 1)


def test_pgrad_and_the_dense_way_go_to_the_same_place():
    """What is compared is the same computation."""
    pgrad_way, dense_way = _displacement("pgrad"), _displacement("dense")
    torch.testing.assert_close(pgrad_way, dense_way, rtol=1e-3, atol=1e-7)


def _displacement(method):
    torch.manual_seed(0)
    model = PROBLEMS["mlp-100k"].make()
    rollout = METHODS[method](model, make_loss(PROBLEMS["mlp-100k"], model, 9), 9, {})
    start = torch.nn.utils.parameters_to_vector(model.parameters()).detach().clone()
    rollout()
    return torch.nn.utils.parameters_to_vector(model.parameters()).detach() - start


def test_turns_rotate_and_ratios_are_taken_within_rounds():
    now, calls = [0.0], []

    def rollout(name, cost):
        def work():
            calls.append(name)
            now[0] += cost * len(calls)  # a machine that becomes slower and slower

        return work

    result = take_turns({"a": rollout("a", 1), "b": rollout("b", 2)}, lambda: now[0], rounds=4, warmup=1)
    assert calls == ["a", "b", "a", "b", "b", "a", "a", "b", "b", "a"]
    assert result["a"].ratio == result["a"].lower == 1
    ratios = sorted([2 * 4 / 3, 2 * 5 / 6, 2 * 8 / 7, 2 * 9 / 10])
    assert result["b"].ratio == pytest.approx((ratios[1] + ratios[2]) / 2)


def test_limits_count_every_pass():
    assert limits.vectors_moved(1) == 2 + 4 + 1 + 2 + 3
    assert limits.vectors_moved(9) == 2 + 3 * 8 + 4 + 9 + 10 + 3
    rates = limits.Rates(bytes_per_second=10.0, flops_per_second=100.0)
    assert rates.seconds(20, 100) == 2
    assert rates.seconds(20, 500) == 5


def test_cpu_clock_counts_no_sleep(monkeypatch):
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    assert make_clock("cpu", torch.device("cpu")).__name__ == "process_time"
    with pytest.raises(ValueError, match="clock must be 'wall'"):
        make_clock("cpu", torch.device("cuda"))


def test_what_does_not_fit_is_a_row_with_a_reason(monkeypatch):
    monkeypatch.setattr(run, "_free", lambda device: 1e6)
    (row,) = run.time_all([run.Case("mlp-1g", "inner")], "wall", 1)
    assert "free" in row["skipped"]


@pytest.mark.slow
def test_memory_of_a_fresh_process():
    """PGrad with 9 steps holds nine vectors more than Adam, with the displacement one; the rest varies by a few."""
    methods = ("inner", "pgrad", "displacement")
    peaks = [memory.in_fresh_process(run.Case("mlp-23m", method, batch=1)) for method in methods]
    vectors = [(peak - peaks[0]) / (4 * PROBLEMS["mlp-23m"].parameters) for peak in peaks]
    assert 8.5 < vectors[1] < 9.6
    assert 0.5 < vectors[2] < 1.6


@pytest.mark.slow
def test_memory_says_why_a_process_failed():
    with pytest.raises(RuntimeError, match="no such method"):
        memory.in_fresh_process(run.Case("mlp-100k", "no such method"))


@pytest.mark.slow
def test_command_line(tmp_path):
    command = [sys.executable, "-m", "benchmarks", "performance", "--problems", "mlp-100k", "--methods", "pgrad"]
    command += ["--rounds", "2", "--no-memory", "--no-variants", "--output", str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert "share of" in done.stdout
    results = json.loads((tmp_path / "results.json").read_text())
    inner, principal = results["times"]
    assert inner["ratio"] == 1
    assert len(principal["rounds"]) == 2
    assert principal["seconds_per_sample"] == pytest.approx(principal["seconds_per_update"] / 36)
    assert math.isfinite(principal["limit_ratio"])
    assert (tmp_path / "overhead.png").read_bytes().startswith(b"\x89PNG")


def test_unknown_names(capsys):
    with pytest.raises(SystemExit) as stopped:
        app(["--problems", "mlp-7k"])
    assert stopped.value.code == 2
    assert "--problems: 'mlp-7k' is not known. Did you mean" in capsys.readouterr().err


@pytest.mark.slow
def test_accuracy_of_less_memory(monkeypatch, capsys):
    monkeypatch.setattr(accuracy, "ROLLOUTS", 1)
    monkeypatch.setenv("COLUMNS", "200")  # no folded lines
    accuracy.main()
    lines = [line.split("│") for line in capsys.readouterr().out.splitlines() if "bfloat16" in line]
    errors = {int(line[1]): float(line[4]) for line in lines}
    assert errors.keys() == {9, 27, 64}
    assert 0 < max(errors.values()) < 0.01
