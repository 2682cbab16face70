"""The levers: each against its formula, and PGrad beside its matched control under every one of them."""

import functools

import pytest
import torch
from torch import nn

from benchmarks.algorithms import ALGORITHMS, Setup
from benchmarks.algorithms.levers import LEVERS
from benchmarks.algorithms.principal import WAYS
from benchmarks.base.search import draw
from pgrad import reference

T, DOMAINS = 6, [2, 0, 1, 1, 2, 0]
CONTROLLED = {name: entry for name, entry in ALGORITHMS.items() if entry.control}


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


def walk(model, optimizer, start, number, normalised=False):
    """Plain steps; the points on the way."""
    points = [vector(model)]
    for step in range(start, start + number):
        inputs, labels, _ = minibatch(step)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        if normalised:
            norm = torch.cat([p.grad.flatten() for p in model.parameters()]).norm()
            for p in model.parameters():
                p.grad /= norm
        optimizer.step()
        points.append(vector(model))
    return torch.stack(points)


def trained(name, updates, rollout_length=T, point=0, **hparams):
    entry, model = ALGORITHMS[name], network()
    setup = Setup(rollout_length=rollout_length, n_domains=3, updates=updates)
    algorithm = entry.factory(model, {**draw(entry.space, point, 0), **hparams}, setup)
    for number in range(updates):
        inputs, labels, domain = minibatch(number)
        algorithm.begin(domain)
        algorithm.update(inputs, labels)
    return model


# --------------------------------------------------------------------------------------------- a lever and its control


def test_every_lever_has_both_sides():
    assert len(CONTROLLED) == len(WAYS) + len(LEVERS) + sum(len(lever.ways) for lever in LEVERS.values()) + 3
    for name, lever in LEVERS.items():
        assert {f"reptile-{name}", f"pgrad-{name}", *(f"pgrad-{name}-{way}" for way in lever.ways)} <= set(ALGORITHMS)


@pytest.mark.parametrize("name", CONTROLLED)
def test_same_budget_and_same_draws_as_the_control(name):
    entry, control = ALGORITHMS[name], ALGORITHMS[ALGORITHMS[name].control]
    assert name.startswith("pgrad")
    assert entry.control.startswith("reptile")
    assert not control.control
    assert (entry.batches, entry.passes) == (control.batches, control.passes) == ("single-domain", 1)
    assert set(entry.space) - set(control.space) <= {"n_components"}
    for point in range(4):
        own, its = draw(entry.space, point, 5), draw(control.space, point, 5)
        assert {key: own[key] for key in its} == its


@pytest.mark.parametrize("name", CONTROLLED)
def test_roll_outs_of_one_step_leave_no_difference_to_the_control(name):
    """Then all ways to take the direction give the step itself; so nothing but that differs between the two."""
    found, expected = (vector(trained(each, 9, rollout_length=1, point=1)) for each in (name, CONTROLLED[name].control))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", CONTROLLED)
def test_longer_ones_do(name):
    found, expected = (vector(trained(each, 2 * T)) for each in (name, CONTROLLED[name].control))
    assert (found - expected).norm() > 1e-4 * (found - vector(network())).norm()


# --------------------------------------------------------------------------------------------------------- the formulas

ADAM, BETA0 = (functools.partial(torch.optim.Adam, betas=(beta, 0.999)) for beta in (0.9, 0.0))
DENSE = {
    "reptile": lambda points: points[0] - points[-1],
    "pgrad": functools.partial(reference.principal_gradient, n_components=4),
    "pgrad-full": reference.principal_gradient,
    "pgrad-k1": functools.partial(reference.principal_gradient, n_components=1),
    "pgrad-null": reference.above_null_gradient,
    "pgrad-increments": functools.partial(reference.increment_gradient, n_components=4),
    "pgrad-crossdomain": functools.partial(reference.cross_domain_gradient, domains=DOMAINS),
}


def expected(
    inner, dense, rollouts=2, momentum=0.0, nesterov=False, normalised=False, lr=1e-2, outer_lr=0.1, decay=1e-5
):
    """The whole method written down: walk, gradient by the dense oracle, outer step by hand."""
    model = network()
    optimizer = inner(model.parameters(), lr=lr)
    buffer = torch.zeros_like(vector(model))
    for rollout in range(rollouts):
        points = walk(model, optimizer, rollout * T, T, normalised)
        gradient = dense(points) + decay * points[0]
        buffer = momentum * buffer + gradient
        step = gradient + momentum * buffer if nesterov else buffer
        nn.utils.vector_to_parameters(points[0] - outer_lr * step, model.parameters())
    return vector(model)


@pytest.mark.parametrize("name", DENSE)
def test_every_way_to_take_the_direction(name):
    torch.testing.assert_close(vector(trained(name, 2 * T)), expected(ADAM, DENSE[name]), rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", ["reptile", "pgrad", *(f"pgrad-{way}" for way in LEVERS["beta0"].ways)])
def test_every_way_without_momentum(name):
    kind, _, way = name.partition("-")
    found = vector(trained(f"{kind}-beta0-{way}".rstrip("-"), 2 * T))
    torch.testing.assert_close(found, expected(BETA0, DENSE[name]), rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("lever", "inner", "options"),
    [
        ("momentum", ADAM, {"momentum": 0.8}),
        ("nesterov", ADAM, {"momentum": 0.8, "nesterov": True}),
        ("normalised", ADAM, {"normalised": True}),
        ("beta0-nesterov", BETA0, {"momentum": 0.8, "nesterov": True}),
        ("rmsprop", functools.partial(torch.optim.RMSprop, alpha=0.99), {"momentum": 0.8, "nesterov": True}),
        ("sgd", torch.optim.SGD, {"momentum": 0.8, "nesterov": True, "lr": 0.1}),
    ],
)
@pytest.mark.parametrize("kind", ["reptile", "pgrad"])
def test_every_lever_on_the_walk(kind, lever, inner, options):
    momentum = {"outer_momentum": options["momentum"]} if "momentum" in options else {}
    found = vector(trained(f"{kind}-{lever}", 3 * T, **momentum))
    torch.testing.assert_close(found, expected(inner, DENSE[kind], 3, **options), rtol=0, atol=1e-7)


@pytest.mark.parametrize("kind", ["reptile", "pgrad"])
def test_warm_start(kind):
    """Of 5 roll-outs 0.3, rounded to 2, are plain steps; then the model stands where these ended."""
    plain = network()
    adam = ADAM(plain.parameters(), lr=1e-2)
    walk(plain, adam, 0, 2 * T)
    for rollout in range(2, 5):
        points = walk(plain, adam, rollout * T, T)
        end = points[0] - 0.1 * (DENSE[kind](points) + 1e-5 * points[0])
        nn.utils.vector_to_parameters(end, plain.parameters())
    found = vector(trained(f"{kind}-warmup", 5 * T, warmup=0.3))
    torch.testing.assert_close(found, vector(plain), rtol=0, atol=1e-7)


def test_normalised_gradients_of_nothing_stay_nothing():
    entry, model = ALGORITHMS["reptile-normalised"], network()
    for parameter in model[2].parameters():
        nn.init.zeros_(parameter)
    setup = Setup(rollout_length=T, n_domains=3, updates=T, loss=lambda outputs, labels: 0.0 * outputs.sum())
    algorithm = entry.factory(model, draw(entry.space, 0, 0), setup)
    before = vector(model)
    algorithm.update(*minibatch(0)[:2])
    assert torch.equal(vector(model), before)


def test_the_direction_between_domains_needs_to_know_them():
    entry, model = ALGORITHMS["pgrad-crossdomain"], network()
    algorithm = entry.factory(model, draw(entry.space, 0, 0), Setup(rollout_length=T, n_domains=3, updates=T))
    algorithm.begin(1)
    algorithm.update(*minibatch(0)[:2])
    with pytest.raises(RuntimeError, match=r"begin\(domain\) must be called before each update"):
        algorithm.update(*minibatch(1)[:2])


def test_momentum_of_the_increments():
    """Why there are walks without it: with beta1 = 0.9 the steps of different domains point the same way."""
    cosines = {}
    for name, inner in (("adam", ADAM), ("beta0", BETA0)):
        model = network()
        optimizer = inner(model.parameters(), lr=1e-2)
        points = walk(model, optimizer, 0, 5 * T)[-T:]
        steps = nn.functional.normalize(points[1:] - points[:-1], dim=1)
        cosines[name] = float((steps @ steps.T).mean())
    assert cosines["adam"] > cosines["beta0"] + 0.2
