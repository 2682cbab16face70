"""Roll-outs and their ablations against their formulas, and PGrad beside its matched control under every one."""

import functools

import pytest
import torch
from torch import nn

from benchmarks.algorithms import ALGORITHMS, Setup
from benchmarks.algorithms.rollouts import ABLATIONS
from benchmarks.base.search import draw
from pgrad import reference
from tests.pgrad.reptile import Reptile

T, DOMAINS = 6, [2, 0, 1, 1, 2, 0]
PAIRS = {name: entry for name, entry in ALGORITHMS.items() if name.startswith("pgrad")}


def network():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()


def minibatch(number):
    """Mini-batch of a step; the domains come in the order of DOMAINS, and each has a shift of its own."""
    generator = torch.Generator().manual_seed(number)
    domain = DOMAINS[number % T]
    inputs = torch.randn(8, 3, generator=generator, dtype=torch.float64) + domain
    return inputs, torch.randint(3, (8,), generator=generator), domain


def vector(model):
    return nn.utils.parameters_to_vector(model.parameters()).detach().clone()


def points_of(model, optimizer, start, number):
    """Plain steps; the points on the way."""
    points = [vector(model)]
    for step in range(start, start + number):
        inputs, labels, _ = minibatch(step)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
        points.append(vector(model))
    return torch.stack(points)


def trained(name, updates, rollout_length=T, point=0, options=None, **hparams):
    entry, model = ALGORITHMS[name], network()
    setup = Setup(rollout_length=rollout_length, n_domains=3, updates=updates, **(options or {}))
    algorithm = entry.factory(model, {**draw(entry.space, point, 0), **hparams}, setup)
    for number in range(updates):
        inputs, labels, domain = minibatch(number)
        algorithm.begin(domain)
        algorithm.update(inputs, labels)
    return algorithm


def test_every_ablation_has_both_sides():
    names = {f"{kind}-{name}".rstrip("-") for name in ABLATIONS for kind in ("pgrad", "reptile")}
    assert names <= set(ALGORITHMS)


@pytest.mark.parametrize("name", PAIRS)
def test_same_budget_and_same_draws_as_the_control(name):
    entry, control = ALGORITHMS[name], ALGORITHMS[ALGORITHMS[name].control]
    assert entry.control == name.replace("pgrad", "reptile")
    assert (entry.batches, entry.passes) == (control.batches, control.passes) == ("single-domain", 1)
    assert set(entry.space) - set(control.space) <= {"n_components"}
    for point in range(4):
        own, its = draw(entry.space, point, 5), draw(control.space, point, 5)
        assert {key: own[key] for key in its} == its


@pytest.mark.parametrize("name", PAIRS)
def test_roll_outs_of_one_step_leave_no_difference_to_the_control(name):
    """Then every aggregation gives the step itself; so nothing but that differs between the two."""
    found, expected = (
        vector(trained(each, 9, rollout_length=1, point=1).model) for each in (name, PAIRS[name].control)
    )
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", PAIRS)
def test_longer_ones_do(name):
    found, expected = (vector(trained(each, 2 * T).model) for each in (name, PAIRS[name].control))
    assert (found - expected).norm() > 1e-4 * (found - vector(network())).norm()


# --------------------------------------------------------------------------------------------------------- the formulas

DENSE = {
    "reptile": reference.displacement_gradient,
    "pgrad": functools.partial(reference.principal_gradient, n_components=4),
}


def expected(inner, dense, momentum=0.0, lr=1e-2, outer_lr=0.1, decay=1e-5):
    """The whole method written down: three roll-outs, gradient by the dense oracle, outer step by hand (Nesterov)."""
    model = network()
    optimizer = inner(model.parameters(), lr=lr)
    buffer = torch.zeros_like(vector(model))
    for rollout in range(3):
        points = points_of(model, optimizer, rollout * T, T)
        gradient = dense(points) + decay * points[0]
        buffer = momentum * buffer + gradient
        nn.utils.vector_to_parameters(points[0] - outer_lr * (gradient + momentum * buffer), model.parameters())
    return vector(model)


@pytest.mark.parametrize(
    ("ablation", "inner", "options"),
    [
        ("", torch.optim.Adam, {}),
        ("nesterov", torch.optim.Adam, {"momentum": 0.8}),
        ("sgd", torch.optim.SGD, {"momentum": 0.8, "lr": 0.1}),
    ],
)
@pytest.mark.parametrize("kind", DENSE)
def test_every_ablation_is_its_formula(kind, ablation, inner, options):
    momentum = {"outer_momentum": options["momentum"]} if "momentum" in options else {}
    found = vector(trained(f"{kind}-{ablation}".rstrip("-"), 3 * T, **momentum).model)
    torch.testing.assert_close(found, expected(inner, DENSE[kind], **options), rtol=0, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_control_is_reptile_to_the_last_bit(dtype):
    """Written without pgrad: the independent check of the control."""
    space = draw(ALGORITHMS["reptile"].space, 1, 0)
    ours, theirs = network().to(dtype), network().to(dtype)
    setup = Setup(rollout_length=T, n_domains=3, updates=3 * T)
    algorithm = ALGORITHMS["reptile"].factory(ours, space, setup)
    outer = functools.partial(torch.optim.SGD, weight_decay=space["weight_decay"])
    inner = functools.partial(torch.optim.Adam, fused=True)
    reptile = Reptile(theirs.parameters(), space["lr"], T, space["outer_lr"], inner, outer)
    for number in range(3 * T):
        inputs, labels, _ = minibatch(number)
        algorithm.update(inputs.to(dtype), labels)
        reptile.zero_grad()
        nn.functional.cross_entropy(theirs(inputs.to(dtype)), labels).backward()
        reptile.step()
    assert torch.equal(vector(ours), vector(theirs))


def test_a_published_optimizer_is_the_inner_one_with_its_own_weight_decay():
    published = functools.partial(torch.optim.AdamW, weight_decay=0.3)
    algorithm = trained("pgrad", T, options={"inner": published}, weight_decay=0.05)
    assert type(algorithm.optimizer.inner) is torch.optim.AdamW
    assert algorithm.optimizer.param_groups[0]["weight_decay"] == 0.3
    assert algorithm.optimizer.outer.param_groups[0]["weight_decay"] == 0.0
    assert type(trained("erm", T, options={"inner": published}).optimizer) is torch.optim.AdamW


def test_the_optimizer_knows_the_domains_of_its_steps():
    assert trained("pgrad", T).optimizer.last_update.domains == tuple(DOMAINS)


def test_gradients_are_clipped_where_they_are_to_be():
    options = {"momentum": 0.0, "weight_decay": 0.0}
    still, moving = (vector(trained("erm-sgd", 3, options={"max_norm": n}, **options).model) for n in (1e-9, 0.0))
    assert (still - vector(network())).norm() < 1e-8 < (moving - vector(network())).norm()
