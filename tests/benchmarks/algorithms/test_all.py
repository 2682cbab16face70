"""Every algorithm of the registry on one small problem: what each of them promises to the harness."""

import io
import itertools
import math
import sys

import pytest
import torch
from torch import nn

from benchmarks.algorithms import ALGORITHMS, BASELINE, CONTROL, QUICK, Setup
from benchmarks.algorithms.base import extra
from benchmarks.base.search import draw
from benchmarks.runs.protocol import batches

DOMAINS, SPLITS, SIZE = 3, 2, 8
ROLLOUT = DOMAINS * SPLITS


def problem():
    """Three classes, well apart, in three domains that are shifted a little."""
    generator = torch.Generator().manual_seed(5)
    labels = torch.arange(240) % 3
    domains = torch.arange(240) // 80
    inputs = 3 * torch.eye(6)[labels] + 0.5 * torch.randn(240, 6, generator=generator) + 0.3 * domains[:, None]
    return inputs, labels, domains


def network():
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))


def minibatches(name, number, algorithm=None):
    """As the runner gives them: the algorithm is told the domain of each first, if it is of one."""
    inputs, labels, domains = problem()
    order = batches(ALGORITHMS[name].batches, domains, SIZE, SPLITS, seed=4)
    for index in itertools.islice(order, number):
        if algorithm is not None and ALGORITHMS[name].batches == "single-domain":
            algorithm.begin(int(domains[index[0]]))
        yield inputs[index], labels[index]


def build(name, model, updates, seed=7, point=0):
    entry = ALGORITHMS[name]
    setup = Setup(rollout_length=ROLLOUT, n_domains=DOMAINS, updates=updates, seed=seed)
    return entry.factory(model, draw(entry.space, point, seed=1), setup)


def vector(model):
    return nn.utils.parameters_to_vector(model.parameters()).detach().clone()


def trained(name, updates, seed=7, point=0):
    model = network()
    algorithm = build(name, model, updates, seed, point)
    losses = [algorithm.update(*minibatch) for minibatch in minibatches(name, updates, algorithm)]
    assert all(loss.shape == () and not loss.requires_grad and loss.isfinite() for loss in losses)
    return algorithm, [loss.item() for loss in losses]


def risk(algorithm):
    inputs, labels, _ = problem()
    with algorithm.evaluated() as model, torch.inference_mode():
        return nn.functional.cross_entropy(model(inputs), labels).item()


def test_the_quick_comparison_knows_its_three():
    assert QUICK == ("erm", "pgrad", "reptile")
    assert {BASELINE, CONTROL} < set(QUICK) < set(ALGORITHMS)
    assert next(iter(ALGORITHMS)) == BASELINE


@pytest.mark.parametrize("name", ALGORITHMS)
def test_entry(name):
    entry = ALGORITHMS[name]
    assert entry.description
    assert entry.source
    assert entry.use
    for distribution in entry.space.values():
        allowed = getattr(distribution, "values", None)
        assert (
            distribution.default in allowed if allowed else distribution.low < distribution.default < distribution.high
        )
    assert entry.evaluations(5) == entry.passes * (5 if entry.batches == "joint" else 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_loss_falls(name):
    """Also with the settings of a random point of the search the loss stays finite."""
    before = nn.functional.cross_entropy(network()(problem()[0]), problem()[1]).item()
    algorithm, _ = trained(name, 20 * ROLLOUT)
    algorithm.validate(lambda: 1.0)
    assert risk(algorithm) < 0.85 * before
    trained(name, 2 * ROLLOUT, point=1)


@pytest.mark.parametrize("name", sorted(set(ALGORITHMS) - {"mixup"}))
def test_the_first_loss_is_that_of_the_start_without_penalties(name):
    ((inputs, labels),) = minibatches(name, 1)
    expected = nn.functional.cross_entropy(network()(inputs.reshape(-1, 6)), labels.flatten())
    assert trained(name, 1)[1] == [pytest.approx(expected.item(), rel=1e-6)]


@pytest.mark.parametrize("name", ALGORITHMS)
def test_same_seed_same_weights_whatever_the_global_generator_says(name):
    one = vector(trained(name, 2 * ROLLOUT)[0].model)
    model = network()
    torch.manual_seed(99)
    algorithm = build(name, model, 2 * ROLLOUT)
    state = torch.random.get_rng_state()
    for minibatch in minibatches(name, 2 * ROLLOUT, algorithm):
        algorithm.update(*minibatch)
    assert torch.equal(vector(model), one)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("name", ["mixup", "genie"])
def test_random_choices_come_from_the_seed(name):
    one, other = (vector(trained(name, ROLLOUT, seed=seed)[0].model) for seed in (1, 2))
    assert not torch.equal(one, other)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_it_resumes_bit_for_bit(name):
    """Saved in the middle of a roll-out, through a file that loads with weights_only, and after the penalty began."""
    updates, stop = 4 * ROLLOUT, ROLLOUT + 2
    expected, _ = trained(name, updates)
    model = network()
    before = build(name, model, updates)
    order = list(minibatches(name, updates))
    for minibatch in order[:stop]:
        before.update(*minibatch)
    before.validate(lambda: 1.0)
    file = io.BytesIO()
    torch.save({"model": model.state_dict(), "algorithm": before.state_dict()}, file)
    saved = torch.load(io.BytesIO(file.getvalue()), weights_only=True)
    again = network()
    nn.init.normal_(again[0].weight)
    after = build(name, again, updates)
    again.load_state_dict(saved["model"])
    after.load_state_dict(saved["algorithm"])
    for minibatch in order[stop:]:
        after.update(*minibatch)
    assert torch.equal(vector(again), vector(expected.model))
    for algorithm in (expected, after):
        algorithm.validate(lambda: 1.0)
    if name != "erm-swad":  # whose valley depends on the validation in the middle
        assert risk(after) == risk(expected)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_gradient_evaluations_are_as_many_as_the_registry_says(name):
    """Counts the examples that gradients of the loss flow back through, in mini-batches of SIZE examples."""
    model = network()
    examples = 0

    def count(_, __, outputs):
        def backward(gradient):
            nonlocal examples
            examples += math.prod(gradient.shape[:-1])

        if outputs.requires_grad:
            outputs.register_hook(backward)

    model[0].register_forward_hook(count)
    algorithm = build(name, model, ROLLOUT)
    for minibatch in minibatches(name, ROLLOUT, algorithm):
        algorithm.update(*minibatch)
    assert examples == SIZE * ROLLOUT * ALGORITHMS[name].evaluations(DOMAINS)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_evaluation_leaves_the_training_alone(name):
    one = vector(trained(name, 2 * ROLLOUT)[0].model)
    model = network()
    algorithm = build(name, model, 2 * ROLLOUT)
    for number, minibatch in enumerate(minibatches(name, 2 * ROLLOUT, algorithm)):
        algorithm.update(*minibatch)
        if number == ROLLOUT - 1:
            algorithm.validate(lambda: 1.0)
            assert math.isfinite(risk(algorithm))
    assert torch.equal(vector(model), one)


def squares(outputs, target, *, reduction="mean"):
    """Of what the only output is away from targets ``[n]``."""
    return nn.functional.mse_loss(outputs.squeeze(-1), target, reduction=reduction)


def chi_squares(outputs, target, *, reduction="mean"):
    """The same in units of the error in the second column of targets ``[n, 2]``."""
    deviations = ((outputs.squeeze(-1) - target[..., 0]) / target[..., 1]).square()
    return deviations.mean() if reduction == "mean" else deviations


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("loss", [squares, chi_squares])
def test_regression_needs_another_loss_only(name, loss):
    entry, model = ALGORITHMS[name], nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))
    setup = Setup(ROLLOUT, DOMAINS, updates=2 * ROLLOUT, loss=loss)
    algorithm = entry.factory(model, draw(entry.space, 0, seed=1), setup)
    losses = []
    for inputs, _ in minibatches(name, 2 * ROLLOUT, algorithm):
        mean, error = inputs.mean(dim=-1), 0.5 + inputs[..., 0].abs()
        losses.append(algorithm.update(inputs, mean if loss is squares else torch.stack([mean, error], dim=-1)))
    assert torch.stack(losses).isfinite().all()


@pytest.mark.parametrize("name", ALGORITHMS)
def test_frozen_parameters_stay_as_they_are(name):
    model = network()
    for parameter in model[0].parameters():
        parameter.requires_grad_(False)
    before = model[0].weight.clone()
    algorithm = build(name, model, ROLLOUT)
    for minibatch in minibatches(name, ROLLOUT, algorithm):
        algorithm.update(*minibatch)
    algorithm.validate(lambda: 1.0)
    with algorithm.evaluated() as evaluated:
        assert torch.equal(evaluated[0].weight, before)
        assert not torch.equal(evaluated[2].weight, network()[2].weight)


@pytest.mark.parametrize("name", ["upgrad", "irm", "vrex", "coral", "mixup", "groupdro"])
def test_one_training_domain_is_enough(name):
    """Then there is nothing to compare, and nothing breaks."""
    inputs, labels, domains = problem()
    model = network()
    entry = ALGORITHMS[name]
    algorithm = entry.factory(model, draw(entry.space, 0, 0), Setup(rollout_length=2, n_domains=1, updates=4))
    for index in itertools.islice(batches("joint", domains[:80], SIZE, 2, seed=0), 4):
        assert algorithm.update(inputs[index], labels[index]).isfinite()


def test_mixup_refuses_inputs_that_cannot_be_mixed():
    inputs, labels, _ = problem()
    with pytest.raises(TypeError, match=r"must be floating-point numbers, got torch\.int64"):
        build("mixup", network(), 1).update(inputs[:24].long().view(3, 8, 6), labels[:24].view(3, 8))


@pytest.mark.parametrize("name", ALGORITHMS)
def test_parameters_without_a_gradient(name):
    model = network()
    model.register_parameter("unused", nn.Parameter(torch.ones(2)))
    algorithm = build(name, model, ROLLOUT)
    assert all(algorithm.update(*minibatch).isfinite() for minibatch in minibatches(name, ROLLOUT, algorithm))


@pytest.mark.parametrize("name", ["irm", "coral"])
def test_mini_batches_of_one_example_are_refused(name):
    inputs, labels, _ = problem()
    with pytest.raises(ValueError, match="batch_size must be at least 2"):
        build(name, network(), 1).update(inputs[::80, None], labels[::80, None])


def test_models_without_a_linear_layer_are_refused():
    with pytest.raises(ValueError, match=r"must end in a torch\.nn\.Linear"):
        build("coral", nn.Sequential(nn.Flatten(), nn.Bilinear(2, 2, 2)), 1)


@pytest.mark.parametrize(
    ("name", "library"),
    [
        ("sam", "pytorch_optimizer"),
        ("lookahead", "pytorch_optimizer"),
        ("upgrad", "torchjd"),
        ("schedule-free", "schedulefree"),
    ],
)
def test_a_missing_library_is_named_with_what_installs_it(name, library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=rf"{library}.*pip install 'pgrad\[bench\]'"):
        build(name, network(), 1)


def test_other_errors_pass_through():
    with pytest.raises(KeyError), extra("torchjd"):
        raise KeyError


def test_joint_mini_batches_are_the_roll_out_taken_by_domain():
    _, _, domains = problem()
    single = list(itertools.islice(batches("single-domain", domains, SIZE, SPLITS, seed=4), 30 * DOMAINS))
    for number, joint in enumerate(itertools.islice(batches("joint", domains, SIZE, SPLITS, seed=4), 30)):
        assert joint.shape == (DOMAINS, SIZE)
        assert domains[joint].tolist() == [[domain] * SIZE for domain in range(DOMAINS)]
        here = single[number * DOMAINS : (number + 1) * DOMAINS]
        assert sorted(joint.tolist()) == sorted(index.tolist() for index in here)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_channels_last_is_the_same_training(name):
    """A fused optimizer takes the wrong numbers of a gradient that is laid out otherwise than its parameter."""

    def after(layout):
        torch.manual_seed(3)
        model = nn.Sequential(
            nn.Unflatten(1, (6, 1, 1)), nn.Upsample(4), nn.Conv2d(6, 4, 3), nn.Flatten(), nn.Linear(16, 3)
        )
        model = model.double().to(memory_format=layout)
        algorithm = build(name, model, updates=2 * ROLLOUT)
        for inputs, labels in minibatches(name, 2 * ROLLOUT, algorithm):
            algorithm.update(inputs.double(), labels)
        return model[2].weight.detach()

    contiguous, last = after(torch.contiguous_format), after(torch.channels_last)
    assert last.stride() != contiguous.stride()
    torch.testing.assert_close(last, contiguous, rtol=1e-6, atol=1e-9)
