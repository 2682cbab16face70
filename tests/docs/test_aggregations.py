"""The page about aggregations: its code runs, and its example is what it says."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import pgrad
from tests.docs.pages import run
from tests.pgrad.test_principal import points, problems

PAGE = run("docs/aggregations.md")


def record(x, domains):
    return pgrad.Rollout(x @ x.T, rtol=len(x) * torch.finfo(x.dtype).eps, domains=tuple(domains))


def domains_of(x, seed=0, number=3):
    """A domain for each step: every domain once in each pass, in an order of its own, as samplers give it."""
    generator = torch.Generator().manual_seed(seed)
    return torch.cat([torch.randperm(number, generator=generator) for _ in range(len(x))])[: len(x) - 1].tolist()


def test_the_loop_ran_and_knew_its_domains():
    assert sorted(PAGE["opt"].last_update.domain_cosines) == [0, 1, 2]
    assert PAGE["opt"].last_update.domains == (0, 1, 2, 0, 1, 2)


@settings(max_examples=60, deadline=None)
@given(problems, st.integers(0, 99))
def test_no_direction_agrees_more_between_domains(x, seed):
    """The definition: the sum over pairs of steps from different domains, along g and along random directions."""
    domains = domains_of(x, seed)
    g = x.T @ PAGE["cross_domain"](record(x, domains))
    assert float(g.norm()) == pytest.approx(float(x[-1].norm()), rel=1e-6)
    assert float(g @ x[-1]) <= 0
    if len(x) < 3:
        return
    u = (x[1:] - x[:-1]) / (x[1:] - x[:-1]).norm()
    pairs = torch.tensor([[a != b for b in domains] for a in domains]).double()
    noise = torch.randn(u.shape, generator=torch.Generator().manual_seed(seed)).double()
    inside = noise @ u.T @ u  # directions in the span of the steps

    def agreement(v):
        along = u @ (v / v.norm())
        return float(along @ pairs @ along)

    best = agreement(g)
    assert all(agreement(v) <= best + 1e-7 for v in torch.cat([u, inside]))


def test_a_nearly_straight_walk_where_a_naive_version_was_wrong():
    """Its norm came out as 0.0024 there."""
    x = points(steps=3, d=15, rank=1, scale=1.0, seed=593)
    g = x.T @ PAGE["cross_domain"](record(x, [0, 1, 2]))
    assert float(g.norm()) == pytest.approx(6.21, abs=0.005)
    assert torch.allclose(g, -x[-1], rtol=1e-6)


def test_no_movement_gives_zero():
    assert PAGE["cross_domain"](record(torch.zeros(4, 3).double(), [0, 1, 2])).tolist() == [0.0] * 4
