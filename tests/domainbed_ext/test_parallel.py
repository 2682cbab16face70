"""The parallel variant against its formula."""

import copy

import torch

import pgrad
from domainbed_ext.parallel import Parallel

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


def test_a_rollout_that_diverges_is_dropped_and_the_next_one_is_sound():
    network = _network()
    parallel = _parallel(network, 3, 3)
    before = copy.deepcopy(network.state_dict())
    batches = _batches(3)
    for step, (x, y) in enumerate(batches):
        _backward(network, (x * float("nan") if step == 1 else x, y))
        parallel.step(step)
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)
    assert parallel.nonfinite_rollouts == 1
    for step, batch in enumerate(batches):
        _backward(network, batch)
        parallel.step(step)
    moved = _flat(network)
    assert moved.isfinite().all()
    assert not torch.equal(moved, torch.cat([value.flatten() for value in before.values()]))
