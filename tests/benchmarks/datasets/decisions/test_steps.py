"""Episodes become windows: nothing crosses, nothing is lost, wrong logs are refused."""

import dataclasses

import numpy as np
import pytest
import torch

from benchmarks.base.values import BINS
from benchmarks.datasets.decisions.steps import DONE, RETURN, TEACHER, Episode, Shape, Step, View, returns, windows
from benchmarks.runs.protocol import leave_out
from tests.benchmarks.datasets.decisions.worlds import episodes


def view(number, options=2, legal=None):
    mask = np.ones(options, dtype=bool) if legal is None else np.array(legal)
    return View(np.array([number, -number, 7.0]), np.full((options, 1), number), mask)


def steps(*numbers):
    return [Step(view(number), 0, 1, float(number)) for number in numbers]


def made(*episodes, length=3, discount=1.0, kind="float32"):
    return windows(episodes, ("a", "b"), length, discount, kind)


def test_windows_by_hand():
    data = made(Episode("a", "x", steps(1, 2, 3, 4)), Episode("b", "y", steps(5)), Episode("a", "z", steps(6, 8)))
    first, second = data.domains
    # Three numbers of context in rows of two columns, padded, then two options: legal and their number.
    assert first.inputs.shape == (3, 3, 4, 2)
    assert data.n_outputs == 2 + BINS
    assert first.inputs[0, 0].tolist() == [[1, -1], [7, 0], [1, 1], [1, 1]]
    assert first.inputs[1, 0, 0].tolist() == [4, -4]
    assert first.inputs[1, 1:].abs().sum() == 0
    assert first.labels[0].tolist() == [[0, 1, 10], [0, 1, 9], [0, 1, 7]]
    assert first.labels[1].tolist() == [[0, 1, 4], [-1, -1, 0], [-1, -1, 0]]
    assert first.labels[2].tolist() == [[0, 1, 14], [0, 1, 8], [-1, -1, 0]]
    assert second.labels[0, 0].tolist() == [0, 1, 5]
    assert first.groups[0] == first.groups[1] != first.groups[2]


def test_returns_are_discounted_and_begin_anew():
    rewards, discount = np.array([1.0, 0.0, 4.0, 2.0]), 0.5
    whole = [sum(discount**k * rewards[t + k] for k in range(4 - t)) for t in range(4)]
    assert returns(rewards, discount).tolist() == whole
    assert returns(rewards, discount, {1}).tolist() == [1.0, 0.0, 5.0, 2.0]


def test_windows_never_cross_episodes_or_splits():
    found = episodes(number=25)
    numbered = [
        dataclasses.replace(
            each,
            group=f"task {number}",
            steps=[
                dataclasses.replace(step, view=View(np.array([number, t]), step.view.options, step.view.legal))
                for t, step in enumerate(each.steps)
            ],
        )
        for number, each in enumerate(found)
    ]
    data = windows(numbered, ("a", "b", "c"), 3, 1.0, "int16")
    for domain in data.domains:
        there = domain.labels[..., DONE] >= 0
        for window, mask in zip(domain.inputs, there, strict=True):
            assert len(window[mask][:, 0, 0].unique()) == 1  # one episode
            times = window[mask][:, 1, 0] // 256
            assert (times.diff() == 1).all()
    total = sum(int((domain.labels[..., DONE] >= 0).sum()) for domain in data.domains)
    assert total == sum(len(each.steps) for each in found)
    split = leave_out(data, ("c",), seed=1)
    trained = {int(number) for number in split.inputs[:, 0, 0, 0]}
    for part in (*split.validation, *split.held_out):
        assert not trained & {int(number) for number in part.inputs[:, 0, 0, 0]}


@pytest.mark.parametrize("kind", ["uint8", "int16", "float32"])
def test_kinds_of_numbers(kind):
    data = made(
        Episode("a", "x", [Step(View(np.array([1.0, 0.0]), np.zeros((2, 0)), np.ones(2, bool)), 0, 0, 0.0)]),
        Episode("b", "x", [Step(View(np.array([0.0, 1.0]), np.zeros((2, 0)), np.ones(2, bool)), 1, 1, 0.0)]),
        kind=kind,
    )
    inputs = data.domains[0].inputs
    assert inputs.dtype == getattr(torch, kind)
    assert (inputs.float() / (256 if kind == "int16" else 1))[0, 0, :, 0].tolist() == [1, 0, 1, 1]
    assert data.domains[0].labels.dtype == torch.float32


def test_the_shape_of_a_step_is_told_by_the_shapes_of_the_data():
    data = made(Episode("a", "x", steps(1)), Episode("b", "y", steps(5)))
    assert Shape.of(*data.input_shape[1:], data.n_outputs) == Shape(context=4, options=2, features=1)
    with pytest.raises(ValueError, match="a step of 2 rows cannot hold its context and the 2 options"):
        Shape.of(2, 1, 2 + BINS)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (Step(view(1, legal=[False, False]), 0, 0, 0.0), "no option is legal"),
        (Step(view(1, legal=[True, False]), 1, 0, 0.0), r"done must be one of the legal options \[0\], got 1"),
        (Step(view(1), 0, 2, 0.0), r"teacher must be one of the legal options \[0, 1\], got 2"),
        (Step(view(1), 0, 0, float("nan")), "the reward must be finite, got nan"),
        (Step(view(float("inf")), 0, 0, 0.0), "must be finite"),
        (Step(View(np.zeros(2), np.zeros((2, 1)), np.ones(2, bool)), 0, 0, 0.0), "have the shapes"),
        (Step(View(np.zeros(3), np.zeros((2, 1)), np.ones(3, bool)), 0, 0, 0.0), r"legal has the shape \(3,\)"),
    ],
)
def test_wrong_steps_are_refused(step, message):
    with pytest.raises(ValueError, match=message):
        made(Episode("a", "x", steps(1)), Episode("b", "the one", [step]))


def test_wrong_episodes_are_refused():
    with pytest.raises(ValueError, match="no episode is of the domain b"):
        made(Episode("a", "x", steps(1)))
    with pytest.raises(ValueError, match="is of the domain 'c'"):
        made(Episode("c", "x", steps(1)))
    with pytest.raises(ValueError, match="has no step"):
        made(Episode("a", "x", []))
    with pytest.raises(ValueError, match=r"int16, whole units of 1/256 in -32768..32767; they reach"):
        made(Episode("a", "x", steps(1)), Episode("b", "y", steps(500)), kind="int16")
    with pytest.raises(ValueError, match="kept as uint8"):
        made(Episode("a", "x", steps(1)), Episode("b", "y", steps(0.5)), kind="uint8")
    assert (DONE, TEACHER, RETURN) == (0, 1, 2)
