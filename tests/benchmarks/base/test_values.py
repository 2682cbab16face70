"""Values on the symlog scale: the two-hot target inverts, and is what a hand computes."""

import math

import hypothesis
import pytest
import torch
from hypothesis import strategies as st

from benchmarks.base.values import BINS, REACH, bins, expected, symexp, symlog, two_hot


@hypothesis.given(st.floats(-20000, 20000))
def test_a_two_hot_target_inverts(value):
    target = two_hot(torch.tensor(value, dtype=torch.float64))
    assert (target >= 0).all()
    assert float(target.sum()) == pytest.approx(1.0)
    assert int((target > 0).sum()) in (1, 2)
    assert float(symexp(target @ bins(target))) == pytest.approx(value, rel=1e-9, abs=1e-9)
    assert float(expected((target + 1e-30).log())) == pytest.approx(value, rel=1e-6, abs=1e-6)


def test_by_hand():
    width = 2 * REACH / (BINS - 1)
    value = math.expm1(2.25 * width)  # symlog is 2.25 bins above zero
    target = two_hot(torch.tensor([value], dtype=torch.float64))[0]
    middle = BINS // 2
    assert target[middle + 2] == pytest.approx(0.75)
    assert target[middle + 3] == pytest.approx(0.25)


def test_what_is_too_large_is_on_the_outermost_bin():
    assert two_hot(torch.tensor(1e9))[-1] == 1.0
    assert two_hot(torch.tensor(-1e9))[0] == 1.0


def test_symlog_is_odd_and_inverts():
    values = torch.linspace(-50, 50, 101, dtype=torch.float64)
    assert torch.allclose(symexp(symlog(values)), values)
    assert torch.equal(symlog(-values), -symlog(values))
