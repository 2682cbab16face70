"""The formulas of the peers, against numpy and finite differences: no autograd, no code of the benchmarks.

The model is a tanh layer and a linear layer with softmax, in float64. After one update of an algorithm the gradient
that its optimizer was given is still in ``.grad``; it is held against the numerical gradient of the objective.
"""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.algorithms import ALGORITHMS, Setup
from benchmarks.algorithms.genie import GENIE
from benchmarks.algorithms.joint import Features

D, N, INPUTS, HIDDEN, CLASSES = 3, 6, 3, 4, 3
HPARAMS = {"lr": 1e-2, "weight_decay": 0.0, "outer_lr": 0.1, "n_components": 4, "momentum": 0.9}


def network():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(INPUTS, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, CLASSES)).double()


def joint(number=0, domains=D):
    generator = torch.Generator().manual_seed(number)
    inputs = torch.randn(domains, N, INPUTS, generator=generator, dtype=torch.float64)
    return inputs, torch.randint(CLASSES, (domains, N), generator=generator)


def pooled(number=0):
    inputs, labels = joint(number)
    return inputs.flatten(0, 1), labels.flatten()


def build(name, model, updates=10, domains=D, rollout_length=6, **hparams):
    setup = Setup(rollout_length=rollout_length, n_domains=domains, updates=updates, seed=3)
    return ALGORITHMS[name].factory(model, {**HPARAMS, **hparams}, setup)


def vector(model):
    return nn.utils.parameters_to_vector(model.parameters()).detach().numpy().copy()


def given(model):
    return torch.cat([p.grad.flatten() for p in model.parameters()]).numpy()


def forward(theta, inputs):
    """Features and probabilities from the parameters as one vector, in the order of torch."""
    cuts = np.cumsum([HIDDEN * INPUTS, HIDDEN, CLASSES * HIDDEN])
    w, b, v, c = np.split(theta, cuts)
    features = np.tanh(inputs @ w.reshape(HIDDEN, INPUTS).T + b)
    outputs = features @ v.reshape(CLASSES, HIDDEN).T + c
    return features, outputs


def softmax(outputs):
    powers = np.exp(outputs - outputs.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def losses(outputs, labels):
    return -np.log(np.take_along_axis(softmax(outputs), labels[..., None], -1)[..., 0])


def risks(theta, inputs, labels):
    return losses(forward(theta, inputs)[1], labels).mean(-1)


def slope(function, theta, h=1e-5):
    steps = h * np.eye(len(theta))
    return np.array([(function(theta + step) - function(theta - step)) / (2 * h) for step in steps])


def close(found, expected, rtol=1e-6):
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol * np.abs(expected).max())


def adam_first_step(theta, gradient, lr):
    """Adam's first step without weight decay: the corrected moments are the gradient and its square."""
    return theta - lr * gradient / (np.abs(gradient) + 1e-8)


# ------------------------------------------------------------------------------------------------ penalties and weights


def vrex(theta, inputs, labels):
    return risks(theta, inputs, labels).var()


def irm(theta, inputs, labels):
    """The derivative of a cross-entropy with respect to a factor of the outputs f is sum_c (p_c - y_c) f_c."""
    _, outputs = forward(theta, inputs)
    slopes = ((softmax(outputs) - np.eye(CLASSES)[labels]) * outputs).sum(-1)
    return (slopes[:, ::2].mean(-1) * slopes[:, 1::2].mean(-1)).mean()


def coral(theta, inputs, labels):
    features, _ = forward(theta, inputs)
    distances = []
    for one, other in itertools.combinations(features, 2):
        covariances = np.cov(one, rowvar=False) - np.cov(other, rowvar=False)
        distances.append(((one.mean(0) - other.mean(0)) ** 2).mean() + (covariances**2).mean())
    return np.mean(distances)


PENALTIES = {"vrex": vrex, "irm": irm, "coral": coral}


@pytest.mark.parametrize("name", PENALTIES)
def test_gradient_of_risk_and_penalty(name):
    model, (inputs, labels) = network(), joint()
    theta = vector(model)
    loss = build(name, model, penalty_weight=7.0).update(inputs, labels)

    def objective(theta):
        data = inputs.numpy(), labels.numpy()
        return risks(theta, *data).mean() + 7.0 * PENALTIES[name](theta, *data)

    assert loss.item() == pytest.approx(risks(theta, inputs.numpy(), labels.numpy()).mean())
    close(given(model), slope(objective, theta))
    assert np.abs(given(model) - slope(lambda x: risks(x, inputs.numpy(), labels.numpy()).mean(), theta)).max() > 1e-3


@pytest.mark.parametrize("name", ["vrex", "irm"])
def test_penalty_starts_late_with_a_fresh_adam(name):
    model, (inputs, labels) = network(), joint()
    algorithm = build(name, model, updates=10, penalty_weight=50.0, penalty_start=0.2)
    for update in range(4):
        theta = vector(model)
        algorithm.update(inputs, labels)
        weight = 1.0 if update < 2 else 50.0

        def objective(theta, weight=weight):
            data = inputs.numpy(), labels.numpy()
            return risks(theta, *data).mean() + weight * PENALTIES[name](theta, *data)

        close(given(model), slope(objective, theta))
        if update in (0, 2):
            close(vector(model), adam_first_step(theta, given(model), lr=1e-2), rtol=1e-5)
        else:
            assert np.abs(vector(model) - adam_first_step(theta, given(model), lr=1e-2)).max() > 1e-5


def test_group_dro():
    model = network()
    algorithm = build("groupdro", model, eta=0.5)
    q = np.ones(D) / D
    for number in range(3):
        inputs, labels = joint(number)
        theta = vector(model)
        algorithm.update(inputs, labels)
        q = q * np.exp(0.5 * risks(theta, inputs.numpy(), labels.numpy()))
        q /= q.sum()
        close(algorithm.weights.numpy(), q)
        close(
            given(model), slope(lambda x, q=q, data=(inputs, labels): q @ risks(x, *(v.numpy() for v in data)), theta)
        )
    assert q.max() - q.min() > 0.01


def test_mixup():
    model, (inputs, labels) = network(), joint()
    theta = vector(model)
    build("mixup", model, alpha=0.4).update(inputs, labels)
    rng = np.random.default_rng(3)
    order, fractions = rng.permutation(D), rng.beta(0.4, 0.4, size=D)

    def objective(theta):
        total = 0.0
        for i in range(D):
            one, other, w = order[i], order[(i + 1) % D], fractions[i]
            _, outputs = forward(theta, w * inputs[one].numpy() + (1 - w) * inputs[other].numpy())
            total += w * losses(outputs, labels[one].numpy()).mean()
            total += (1 - w) * losses(outputs, labels[other].numpy()).mean()
        return total / D

    close(given(model), slope(objective, theta))


# ------------------------------------------------------------------------------------------------- sharpness, lookahead


def gradient_at(theta, data):
    return slope(lambda x: risks(x, data[0].numpy(), data[1].numpy()), theta)


def test_sam():
    model, data = network(), pooled()
    theta = vector(model)
    build("sam", model, rho=0.3).update(*data)
    g = gradient_at(theta, data)
    expected = gradient_at(theta + 0.3 * g / np.linalg.norm(g), data)
    close(given(model), expected)
    close(vector(model), adam_first_step(theta, expected, lr=1e-2), rtol=1e-5)


def test_sagm():
    model, data = network(), pooled()
    theta = vector(model)
    build("sagm", model, rho=0.3, alpha=0.2).update(*data)
    g = gradient_at(theta, data)
    expected = (g + gradient_at(theta + 0.3 * g / np.linalg.norm(g) - 0.2 * g, data)) / 2
    close(given(model), expected)
    close(vector(model), adam_first_step(theta, expected, lr=1e-2), rtol=1e-5)


@pytest.mark.parametrize("name", ["sam", "sagm"])
def test_running_statistics_do_not_see_the_perturbed_point(name):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(INPUTS, 4), nn.BatchNorm1d(4), nn.Linear(4, CLASSES)).double()
    inputs, labels = pooled()
    expected = 0.1 * model[0](inputs).mean(dim=0).detach()
    build(name, model, rho=5.0, alpha=1e-3).update(inputs, labels)
    torch.testing.assert_close(model[1].running_mean, expected)
    assert model[1].momentum == 0.1


def test_lookahead():
    model, plain = network(), network()
    algorithm = build("lookahead", model, k=2, alpha=0.5)
    adam = torch.optim.Adam(plain.parameters(), lr=1e-2)
    slow = vector(plain)
    for number in range(5):
        inputs, labels = pooled(number)
        algorithm.update(inputs, labels)
        adam.zero_grad()
        nn.functional.cross_entropy(plain(inputs), labels).backward()
        adam.step()
        if number % 2:
            slow = slow + 0.5 * (vector(plain) - slow)
            nn.utils.vector_to_parameters(torch.from_numpy(slow.copy()), plain.parameters())
        close(vector(model), vector(plain), rtol=1e-9)
        with algorithm.evaluated() as evaluated:
            close(vector(evaluated), slow, rtol=1e-9)
        close(vector(model), vector(plain), rtol=1e-9)


# --------------------------------------------------------------------------------------------------- Jacobian descent


def conflict():
    """Two domains with the same examples, all of the first class in the one and of the second in the other."""
    inputs, labels = joint(2, domains=2)
    return inputs[:1].repeat(2, 1, 1), torch.arange(2)[:, None].expand_as(labels)


def jacobian(theta, inputs, labels):
    return np.array([gradient_at(theta, (x, y)) for x, y in zip(inputs, labels, strict=True)])


def test_upgrad_is_that_of_torchjd():
    from torchjd import aggregation

    model, (inputs, labels) = network(), conflict()
    theta = vector(model)
    build("upgrad", model, domains=2).update(inputs, labels)
    rows = jacobian(theta, inputs, labels)
    assert rows[0] @ rows[1] < 0
    close(given(model), aggregation.UPGrad()(torch.from_numpy(rows)).numpy(), rtol=1e-5)


def test_two_domains_by_hand():
    """UPGrad takes from each of two conflicting gradients its part along the other, and averages what is left."""
    inputs, labels = conflict()
    one, other = jacobian(vector(network()), inputs, labels)
    left = one - one @ other / (other @ other) * other, other - one @ other / (one @ one) * one
    model = network()
    build("upgrad", model, domains=2).update(inputs, labels)
    close(given(model), (left[0] + left[1]) / 2, rtol=1e-4)


# -------------------------------------------------------------------------------------------------------------- GENIE


def test_genie_step_by_step():
    beta, lr, decay = 0.8, 0.05, 0.1
    gradients = np.random.default_rng(0).normal(size=(6, 5)) * [0.01, 0.1, 1, 3, 10]
    parameter = nn.Parameter(torch.linspace(-1, 1, 5, dtype=torch.float64))
    theta = parameter.detach().numpy().copy()
    optimizer = GENIE([parameter], lr, decay, beta, drop=0.0, generator=torch.Generator().manual_seed(9))
    noises = torch.Generator().manual_seed(9)
    seen = []
    for t, gradient in enumerate(gradients, 1):
        parameter.grad = torch.from_numpy(gradient.copy())
        optimizer.step()
        seen.append(gradient + decay * theta)
        weights = beta ** np.arange(t)[::-1] / (beta ** np.arange(t)).sum()  # of a mean that forgets
        mean, square = weights @ np.array(seen), weights @ np.array(seen) ** 2
        share = (weights**2).sum()  # of the variance of one gradient in that mean
        variance = (square - mean**2) / (1 - share) if t > 1 else np.full(5, 1e-8)
        trust = np.tanh(np.minimum(1 / variance, 10))
        signal = mean / (1 + np.maximum(share * variance, 1e-8) / (mean**2 + 1e-8))
        noise = torch.randn(5, generator=noises, dtype=torch.float64).numpy()
        size = (trust * np.abs(signal)).sum() / trust.sum()
        theta = theta - lr * (trust * signal + (1 - trust) * size * noise)
        close(parameter.detach().numpy(), theta, rtol=1e-9)


def test_genie_drops_a_part_of_the_update_and_lengthens_the_rest():
    moves = []
    for drop in (0.0, 0.4):
        parameter = nn.Parameter(torch.zeros(10_000, dtype=torch.float64))
        optimizer = GENIE([parameter], lr=1.0, drop=drop, generator=torch.Generator().manual_seed(0))
        parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        moves.append(parameter.detach())
    kept = moves[1] != 0
    assert kept.double().mean().item() == pytest.approx(0.6, abs=0.02)
    torch.testing.assert_close(moves[1][kept], moves[0][kept] / 0.6)


# ------------------------------------------------------------------------------------- ERM, variants of PGrad, averages


def plain_adam(model, minibatches):
    adam = torch.optim.Adam(model.parameters(), lr=1e-2)
    for inputs, labels in minibatches:
        adam.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        adam.step()
        yield vector(model)


def test_small_batches_are_the_roll_out_without_its_outer_step():
    walks = {name: network() for name in ("erm-small", "reptile", "pgrad")}
    algorithms = {name: build(name, model, rollout_length=4) for name, model in walks.items()}
    for number in range(4):
        for algorithm in algorithms.values():
            algorithm.update(*pooled(number))
        same = [np.allclose(vector(walks["erm-small"]), vector(model), rtol=1e-9, atol=0) for model in walks.values()]
        assert same == [True, number < 3, number < 3]


@pytest.mark.parametrize(("name", "every"), [("erm-ema", 1), ("erm-sgd-ema", 1), ("pgrad-ema", 3), ("reptile-ema", 3)])
def test_moving_average(name, every):
    model = network()
    algorithm = build(name, model, rollout_length=3, decay=0.7)
    average = None
    for number in range(9):
        algorithm.update(*pooled(number))
        if (number + 1) % every == 0:
            kept = 0.7**every
            average = vector(model) if average is None else kept * average + (1 - kept) * vector(model)
            with algorithm.evaluated() as evaluated:
                close(vector(evaluated), average, rtol=1e-9)
    assert np.abs(average - vector(model)).max() > 1e-4


@pytest.mark.parametrize(("name", "every"), [("erm-swa", 1)])
def test_mean_of_the_last_part(name, every):
    model = network()
    algorithm = build(name, model, updates=12, rollout_length=3, average_start=0.5)
    points = []
    for number in range(12):
        algorithm.update(*pooled(number))
        if number >= 6 and (number + 1) % every == 0:
            points.append(vector(model))
        if (number + 1) % 3 == 0:
            with algorithm.evaluated() as evaluated:
                close(vector(evaluated), np.mean(points, axis=0) if points else vector(model), rtol=1e-9)
    assert len(points) == 6 // every


@pytest.mark.parametrize(("name", "every"), [("erm-swad", 1)])
def test_average_over_the_valley(name, every):
    """Validation losses 3, 1, 1.1, 1.2, 9, ... begin the valley at the second checkpoint, end it after the fourth."""
    model = network()
    algorithm = build(name, model, rollout_length=3, tolerance=0.3)
    points, loss = [], [3.0, 1.0, 1.1, 1.2] + [9.0] * 8
    for checkpoint, value in enumerate(loss):
        for number in range(3):
            algorithm.update(*pooled(3 * checkpoint + number))
            if (number + 1) % every == 0:
                points.append(vector(model))
        algorithm.validate(lambda value=value: value)
        with algorithm.evaluated() as evaluated:
            found = vector(evaluated)
        if checkpoint < 3:
            close(found, vector(model), rtol=1e-12)
    per_checkpoint = 3 // every
    close(found, np.mean(points[per_checkpoint : 4 * per_checkpoint], axis=0), rtol=1e-9)


def test_average_over_the_valley_needs_validation():
    algorithm = build("erm-swad", network(), tolerance=0.3)
    algorithm.update(*pooled())
    with pytest.raises(RuntimeError, match="validate"), algorithm.evaluated():
        pass


def test_features_of_an_evaluation_are_not_kept():
    model = network()
    features = Features(model)
    with torch.no_grad():
        model(pooled()[0])
    with pytest.raises(ValueError, match="must be run, with gradients"):
        features.take()
    inputs, _ = pooled()
    model(inputs)
    close(features.take().detach().numpy(), forward(vector(model), inputs.numpy())[0])


def test_schedule_free_is_evaluated_at_the_average_of_its_library():
    """By the recursions of arXiv:2405.15682: z is stepped, x is the mean of the z, gradients are taken between both."""
    hparams = {"lr": 0.05, "weight_decay": 0.0, "warmup": 0.0}
    start, target = torch.tensor([[1.0, -2.0]]), torch.tensor([3.0])
    model = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.5, 0.25]]))
    setup = Setup(
        rollout_length=1, n_domains=1, updates=5, seed=0, loss=lambda found, wanted: ((found - wanted) ** 2).mean()
    )
    algorithm = ALGORITHMS["schedule-free"].factory(model, hparams, setup)

    z = x = torch.tensor([0.5, 0.25], dtype=torch.float64)
    second = torch.zeros(2, dtype=torch.float64)
    for step in range(1, 6):
        algorithm.update(start, target[:, None])
        y = 0.1 * z + 0.9 * x
        gradient = 2 * (start[0].double() @ y - 3.0) * start[0].double()
        second = 0.999 * second + 0.001 * gradient**2
        z = z - 0.05 * gradient / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
        x = (1 - 1 / step) * x + z / step
    with algorithm.evaluated() as evaluated:
        torch.testing.assert_close(evaluated.weight[0].double(), x, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(model.weight[0].double(), 0.1 * z + 0.9 * x, rtol=1e-5, atol=1e-6)


def two_layers():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def pairs(number):
    generator = torch.Generator().manual_seed(1)
    return [(torch.randn(5, 3, generator=generator), torch.arange(5) % 2) for _ in range(number)]


def adam_steps(model, parameters, lr, batches, pull=0.0, start=()):
    """Adam by torch, with the penalty of a pull written into the loss."""
    optimizer = torch.optim.Adam(parameters, lr=lr)
    for inputs, labels in batches:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs), labels)
        for parameter, there in zip(parameters, start, strict=False):
            loss = loss + pull / 2 * (parameter - there).square().sum()
        loss.backward()
        optimizer.step()


def made(name, updates, **hparams):
    model = two_layers()
    setup = Setup(rollout_length=1, n_domains=1, updates=updates)
    return model, ALGORITHMS[name].factory(model, {"lr": 0.05, "weight_decay": 0.0, **hparams}, setup)


def test_the_last_layer_is_trained_first():
    model, algorithm = made("probe-first", 10, probe=0.4, probe_lr=0.1)
    mine, batches = two_layers(), pairs(10)
    for number, batch in enumerate(batches):
        algorithm.update(*batch)
        assert torch.equal(model[0].weight, mine[0].weight) == (number < 4)
    adam_steps(mine, list(mine[2].parameters()), 0.1, batches[:4])
    adam_steps(mine, list(mine.parameters()), 0.05, batches[4:])
    torch.testing.assert_close(model.state_dict(), mine.state_dict())


def test_all_but_the_last_layer_is_pulled_to_its_start():
    model, algorithm = made("l2-sp", 8, pull=0.7)
    for batch in pairs(8):
        algorithm.update(*batch)
    mine = two_layers()
    start = [p.detach().clone() for p in mine[0].parameters()]
    adam_steps(mine, list(mine.parameters()), 0.05, pairs(8), 0.7, start)
    torch.testing.assert_close(model.state_dict(), mine.state_dict())


def test_the_mean_of_members_that_share_the_updates():
    model, algorithm = made("diwa", 9, members=3)
    batches, members = pairs(9), []
    for number, batch in enumerate(batches):
        algorithm.update(*batch)
        if number == 1:  # no member is done
            with algorithm.evaluated() as evaluated:
                assert torch.equal(evaluated[0].weight, model[0].weight)
    for number in range(3):
        members.append(two_layers())
        adam_steps(members[-1], list(members[-1].parameters()), 0.05, batches[3 * number : 3 * number + 3])
    with algorithm.evaluated() as evaluated:
        for name, value in evaluated.state_dict().items():
            mean = sum(member.state_dict()[name] for member in members) / 3
            torch.testing.assert_close(value, mean)
    torch.testing.assert_close(model.state_dict(), members[-1].state_dict())
