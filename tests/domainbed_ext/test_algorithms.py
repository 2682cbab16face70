"""Our algorithms on DomainBed's own classes and networks."""

import copy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from domainbed_ext.hparams import NAMES

ROOT = Path(__file__).parents[2]
SHAPE, CLASSES, DOMAINS = (3, 28, 28), 2, 3
TINY = "domainbed_ext.networks:tiny"


@pytest.fixture
def make(domainbed):
    from domainbed import algorithms, hparams_registry

    def make(name, domains=DOMAINS, **hparams):
        torch.manual_seed(4)
        merged = {**hparams_registry.default_hparams(name, "Debug28"), "ext_featurizer": TINY, **hparams}
        return algorithms.get_algorithm_class(name)(SHAPE, CLASSES, domains, merged)

    return make


def _minibatches(domains=DOMAINS, size=8):
    generator = torch.Generator().manual_seed(5)
    return [
        (torch.randn(size, *SHAPE, generator=generator) + d, torch.randint(CLASSES, (size,), generator=generator))
        for d in range(domains)
    ]


def _flat(algorithm):
    return torch.nn.utils.parameters_to_vector(algorithm.network.parameters()).detach().clone()


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_goes_into_a_fresh_instance_and_into_erm(make, name):
    algorithm = make(name)
    for _ in range(2):
        assert np.isfinite(algorithm.update(_minibatches())["loss"])
    algorithm.eval()
    x = _minibatches()[0][0]
    expected = algorithm.predict(x)
    assert expected.shape == (len(x), CLASSES)
    for fresh in (make(name), make("ERM")):
        fresh.load_state_dict(algorithm.state_dict())
        fresh.eval()
        torch.testing.assert_close(fresh.predict(x), expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_goes_on_like_the_original(make, name):
    algorithm = make(name)
    algorithm.update(_minibatches())
    twin = copy.deepcopy(algorithm)
    for each in (algorithm, twin):
        torch.manual_seed(6)
        np.random.seed(6)  # noqa: NPY002 - DomainBed's Mixup draws from it
        each.update(_minibatches())
    torch.testing.assert_close(_flat(twin), _flat(algorithm), rtol=0, atol=0)


def test_all_directions_are_as_many_components_as_steps(make):
    results = []
    for algorithm in (make("PGradFull"), make("PGrad", pgrad_components=9), make("PGrad", pgrad_components=1)):
        torch.manual_seed(7)
        algorithm.update(_minibatches())
        results.append(_flat(algorithm))
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)
    assert not torch.equal(results[1], results[2])


@pytest.mark.parametrize("freeze_bn", [False, True])
def test_batchnorm_keeps_the_statistics_of_the_anchor_or_none_when_frozen(make, freeze_bn):
    # With lr 0 nothing moves, and the statistics are those of one forward pass of each domain.
    algorithm = make("PGrad", lr=0.0, freeze_bn=freeze_bn)
    twin = copy.deepcopy(algorithm.network)
    torch.manual_seed(8)
    order = [domain for domain, _ in algorithm.order(_minibatches())[-DOMAINS:]]
    torch.manual_seed(8)
    algorithm.update(_minibatches())
    if not freeze_bn:
        with torch.no_grad():
            for domain in order:
                twin(_minibatches()[domain][0])
    torch.testing.assert_close(dict(algorithm.network.named_buffers()), dict(twin.named_buffers()))


def test_without_the_refresh_every_point_of_the_walk_counts(make):
    algorithm = make("PGrad", pgrad_refresh_batchnorm=False)
    algorithm.update(_minibatches())
    (batchnorm,) = [m for m in algorithm.network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert batchnorm.num_batches_tracked == 9


def test_dropout_is_active_in_the_walk_and_not_in_evaluation(make):
    def dropout(input_shape, hparams):
        network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Linear(3 * 28 * 28, 4))
        network.n_outputs = 4
        return network

    import domainbed_ext.networks as networks

    networks.dropout = dropout
    try:
        algorithm = make("PGrad", ext_featurizer="domainbed_ext.networks:dropout")
    finally:
        del networks.dropout
    zeros = []
    algorithm.network[0][1].register_forward_hook(lambda m, i, out: zeros.append(float((out == 0).float().mean())))
    algorithm.update(_minibatches())
    assert len(zeros) == 9
    assert all(0.4 < share < 0.6 for share in zeros)
    algorithm.eval()
    algorithm.predict(_minibatches()[0][0])
    assert zeros[-1] == 0


def test_mixup_mixes_the_parts_of_neighbours_in_the_pass(make):
    algorithm = make("PGradMix", pgrad_mixup_alpha=0.7)
    steps = algorithm.order(_minibatches())
    for index, neighbour in ((0, 1), (2, 0), (4, 5), (8, 6)):
        np.random.seed(9)  # noqa: NPY002
        share = np.random.beta(0.7, 0.7)  # noqa: NPY002
        np.random.seed(9)  # noqa: NPY002
        loss = algorithm.loss(steps, index)
        (x, y), (other_x, other_y) = steps[index][1], steps[neighbour][1]
        size = min(len(x), len(other_x))
        logits = algorithm.network(share * x[:size] + (1 - share) * other_x[:size])
        expected = share * cross_entropy(logits, y[:size]) + (1 - share) * cross_entropy(logits, other_y[:size])
        torch.testing.assert_close(loss, expected)
        assert steps[index][0] != steps[neighbour][0]


def test_pgrad_and_its_matched_control_differ_in_the_aggregation_alone(make):
    # One domain in one part: a roll-out of one step, which has one direction.
    minibatches = _minibatches(domains=1)
    moved = []
    for name in ("PGrad", "PGradReptile"):
        algorithm = make(name, domains=1, pgrad_splits=1, weight_decay=0.01)
        anchor = _flat(algorithm)
        for _ in range(2):
            algorithm.update(minibatches)
        moved.append(_flat(algorithm) - anchor)
    torch.testing.assert_close(*moved, rtol=1e-4, atol=1e-7)


def test_a_wrong_number_of_domains_is_refused(make):
    with pytest.raises(ValueError, match="minibatches must be 3, one per training domain, got 2"):
        make("PGrad").update(_minibatches(domains=2))


def test_fishrs_gradients_are_those_of_each_sample(make):
    algorithm = make("Fishr", nonlinear_classifier=True)
    x, y = _minibatches(size=5)[0]
    logits = algorithm.network(x)
    found = algorithm._get_grads(logits, y)
    for n in range(len(y)):
        losses = cross_entropy(logits, y, reduction="none")
        single = torch.autograd.grad(losses[n], list(algorithm.classifier.parameters()), retain_graph=True)
        for row, expected in zip(found.values(), single, strict=True):
            torch.testing.assert_close(row[n], expected.flatten())
    assert all(rows.requires_grad for rows in found.values())


def test_hparams_of_every_algorithm_can_be_written(domainbed):
    import json

    from domainbed import algorithms, hparams_registry

    for name in algorithms.ALGORITHMS:
        for seed in range(3):
            json.dumps(hparams_registry.random_hparams(name, "PACS", seed))


THEIR_TESTS = """
import unittest, warnings
warnings.simplefilter("ignore")
import torch
torch.set_num_threads(1)
import domainbed_ext
domainbed_ext.register()
from domainbed import hparams_registry
if not torch.cuda.is_available():  # their tests call .cuda()
    torch.Tensor.cuda = torch.nn.Module.cuda = lambda self: self
default = hparams_registry.default_hparams
# Weights cannot be downloaded here; a small network on the large images.
hparams_registry.default_hparams = lambda algorithm, dataset: {
    **default(algorithm, dataset), "ext_featurizer": "" if dataset == "Debug28" else "domainbed_ext.networks:tiny"
}
unittest.main(argv=["", "-k", "PGrad", "-k", "_ERM", "-k", "Fishr", "domainbed.test.test_models",
                    "domainbed.test.test_hparams_registry"], module=None)
"""


@pytest.mark.slow
def test_domainbeds_own_tests_pass_for_our_algorithms(domainbed, monkeypatch):
    monkeypatch.setenv("DOMAINBED", str(domainbed))
    done = subprocess.run([sys.executable, "-c", THEIR_TESTS], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.rstrip().endswith("OK")
    # 5 of ours, ERM, ERMPlusPlus and Fishr: on 2 data sets in test_models, on all 18 in test_hparams_registry.
    assert int(done.stderr.split("Ran ")[1].split()[0]) >= 8 * (2 + 18)
