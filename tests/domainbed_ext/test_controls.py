import copy
import functools

import pytest
import torch

import pgrad
from domainbed_ext.controls import Parallel, Reptile

LR, OUTER_LR, DECAY = 1e-2, 0.3, 0.05


def _network(dtype=torch.float64):
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 3)).to(dtype)


def _batches(count, dtype=torch.float64):
    generator = torch.Generator().manual_seed(2)
    return [
        (torch.randn(6, 5, generator=generator, dtype=dtype), torch.randint(3, (6,), generator=generator))
        for _ in range(count)
    ]


def _backward(network, batch):
    network.zero_grad()
    torch.nn.functional.cross_entropy(network(batch[0]), batch[1]).backward()


def _flat(network):
    return torch.nn.utils.parameters_to_vector(network.parameters()).detach().clone()


def test_reptile_is_its_formula_and_moments_carry_over():
    network, twin = _network(), _network()
    reptile = Reptile(network.parameters(), LR, 4, OUTER_LR, DECAY)
    adam = torch.optim.Adam(twin.parameters(), lr=LR)
    for rollout in (_batches(4), _batches(4)):
        anchor = _flat(twin)
        for batch in rollout:
            _backward(network, batch)
            reptile.step()
            _backward(twin, batch)
            adam.step()
        moved = anchor - OUTER_LR * (anchor - _flat(twin) + DECAY * anchor)
        torch.nn.utils.vector_to_parameters(moved, twin.parameters())
        torch.testing.assert_close(_flat(network), moved, rtol=1e-12, atol=1e-14)


def test_reptile_and_pgrad_agree_where_there_is_one_step():
    networks = [_network(), _network()]
    outer = functools.partial(torch.optim.SGD, weight_decay=DECAY)
    optimizers = [
        Reptile(networks[0].parameters(), LR, 1, OUTER_LR, DECAY),
        pgrad.PGrad(networks[1].parameters(), lr=LR, rollout_length=1, outer_lr=OUTER_LR, outer=outer),
    ]
    for batch in _batches(3):
        for network, optimizer in zip(networks, optimizers, strict=True):
            _backward(network, batch)
            optimizer.step()
    torch.testing.assert_close(_flat(networks[0]), _flat(networks[1]), rtol=1e-10, atol=1e-12)


def _parallel(network, length, domains, k=2):
    return Parallel(network.parameters(), LR, length, OUTER_LR, DECAY, n_components=k, num_domains=domains)


def test_parallel_is_the_dense_principal_gradient_of_end_points_and_their_mean():
    domains, splits = 3, 2
    network, length = _network(), domains * splits
    parallel = _parallel(network, length, domains)
    models = [_network() for _ in range(domains)]
    workers = [torch.optim.Adam(model.parameters(), lr=LR) for model in models]
    for rollout in (_batches(length), _batches(length)):
        anchor, ends = _flat(network), []
        for step, batch in enumerate(rollout):
            domain = step % domains
            _backward(network, batch)
            parallel.step(domain)
            torch.nn.utils.vector_to_parameters(anchor.clone(), models[domain].parameters())
            _backward(models[domain], batch)
            workers[domain].step()
            ends.append(_flat(models[domain]))
        points = torch.stack([anchor, *ends, torch.stack(ends).mean(0)])
        gradient = length * pgrad.reference.principal_gradient(points, 2)
        torch.testing.assert_close(gradient.norm(), sum(end - anchor for end in ends).norm())
        expected = anchor - OUTER_LR * (gradient + DECAY * anchor)
        torch.testing.assert_close(_flat(network), expected, rtol=1e-9, atol=1e-11)


def test_parallel_does_not_depend_on_the_order_of_the_domains():
    batches, results = _batches(3), []
    for order in ((0, 1, 2), (2, 0, 1)):
        network = _network()
        parallel = _parallel(network, 3, 3)
        for domain in order:
            _backward(network, batches[domain])
            parallel.step(domain)
        results.append(_flat(network))
    torch.testing.assert_close(*results, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", ["reptile", "parallel"])
def test_a_rollout_that_diverges_is_dropped_and_the_next_one_is_sound(kind):
    network = _network()
    optimizer = Reptile(network.parameters(), LR, 3, OUTER_LR, DECAY) if kind == "reptile" else _parallel(network, 3, 3)
    before = copy.deepcopy(network.state_dict())
    batches = _batches(3)
    for step, (x, y) in enumerate(batches):
        _backward(network, (x * float("nan") if step == 1 else x, y))
        optimizer.step(*(() if kind == "reptile" else (step,)))
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)
    assert optimizer.nonfinite_rollouts == 1
    for step, batch in enumerate(batches):
        _backward(network, batch)
        optimizer.step(*(() if kind == "reptile" else (step,)))
    moved = _flat(network)
    assert moved.isfinite().all()
    assert not torch.equal(moved, torch.cat([value.flatten() for value in before.values()]))
