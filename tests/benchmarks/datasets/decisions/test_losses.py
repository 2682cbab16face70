"""Losses and figures of merit against sums over steps written out."""

import math

import pytest
import torch

from benchmarks.base.values import BINS, expected, two_hot
from benchmarks.datasets.decisions.losses import DecisionLoss, parted
from benchmarks.datasets.decisions.metrics import agreement, agreement_on_success, most_frequent, value_error

OPTIONS = 3


def problem(seed=0, n=4, steps=5):
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(n, steps, OPTIONS + BINS, generator=generator, dtype=torch.float64)
    labels = torch.zeros(n, steps, 3, dtype=torch.float64)
    labels[..., :2] = torch.randint(OPTIONS, (n, steps, 2), generator=generator).double()
    labels[..., 2] = 3 * torch.randn(n, steps, generator=generator, dtype=torch.float64)
    labels[1, 3:] = torch.tensor([-1.0, -1.0, 0.0], dtype=torch.float64)
    return outputs, labels


def written_out(outputs, labels, learn, cloning, critic):
    total, number = 0.0, 0
    for said, (done, teacher, gained) in zip(outputs.flatten(0, 1), labels.flatten(0, 1).tolist(), strict=True):
        if done < 0:
            continue
        number += 1
        choice = int(teacher if learn == "teacher" else done)
        value = float(said[OPTIONS]) if critic == "squared" else float(expected(said[OPTIONS:]))
        if cloning == "bc" or gained > value:
            total -= float(said[:OPTIONS].log_softmax(0)[choice])
        if critic == "squared":
            total += 0.5 * (float(said[OPTIONS]) - gained) ** 2
        if critic == "two-hot":
            total -= float(two_hot(torch.tensor(gained, dtype=torch.float64)) @ said[OPTIONS:].log_softmax(0))
    return total / number


@pytest.mark.parametrize("learn", ["teacher", "done"])
@pytest.mark.parametrize(
    ("cloning", "critic"),
    [("bc", "none"), ("bc", "two-hot"), ("bc", "squared"), ("filtered", "two-hot"), ("filtered", "squared")],
)
def test_losses(learn, cloning, critic):
    outputs, labels = problem()
    loss = DecisionLoss(learn, cloning, critic)
    assert float(loss(outputs, labels)) == pytest.approx(written_out(outputs, labels, learn, cloning, critic))
    each = loss(outputs, labels, reduction="none")
    assert each.shape == labels.shape[:2]
    assert (each[1, 3:] == 0).all()
    assert float(each.sum() / 18) == pytest.approx(float(loss(outputs, labels)))


def test_the_filter_gives_the_critic_no_gradient():
    outputs, labels = problem()
    outputs.requires_grad_()
    (both,) = torch.autograd.grad(DecisionLoss("done", "filtered", "squared")(outputs, labels), outputs)
    (alone,) = torch.autograd.grad(DecisionLoss("done", "bc", "squared")(outputs, labels), outputs)
    assert torch.equal(both[..., OPTIONS:], alone[..., OPTIONS:])
    assert not torch.equal(both[..., :OPTIONS], alone[..., :OPTIONS])


def test_a_critic_by_classes_has_gradients_of_one_size_in_any_unit():
    outputs, labels = problem()
    outputs.requires_grad_()
    sizes = {}
    for critic in ("two-hot", "squared"):
        for unit in (1.0, 100.0):
            scaled = labels.clone()
            scaled[..., 2] *= unit
            (g,) = torch.autograd.grad(DecisionLoss("done", "bc", critic)(outputs, scaled), outputs)
            sizes[critic, unit] = float(g[..., OPTIONS:].norm())
    assert sizes["two-hot", 100.0] < 2 * sizes["two-hot", 1.0]
    assert sizes["squared", 100.0] > 30 * sizes["squared", 1.0]


def test_agreement():
    outputs, labels = problem()
    choices, teachers = outputs[..., :OPTIONS].argmax(-1), labels[..., 1]
    right = [float(c == t) for c, t in zip(choices.flatten(), teachers.flatten(), strict=True) if t >= 0]
    assert agreement(outputs, labels) == pytest.approx(sum(right) / 18)
    gained = [g for d, _, g in labels.flatten(0, 1).tolist() if d >= 0]
    mean = sum(gained) / len(gained)
    better = [r for r, g in zip(right, gained, strict=True) if g > mean]
    assert agreement_on_success(outputs, labels) == pytest.approx(sum(better) / len(better))
    labels[..., 2] = 0.0
    assert math.isnan(agreement_on_success(outputs, labels))


def test_the_error_of_a_value_has_no_unit():
    outputs, labels = problem()
    outputs[..., OPTIONS] = labels[..., 2]
    assert value_error(outputs, labels, "squared") == 0.0
    counts = labels[..., 0] >= 0
    outputs[..., OPTIONS] = labels[..., 2][counts].median()
    assert value_error(outputs, labels, "squared") == pytest.approx(1.0)
    told = value_error(outputs[..., :], labels, "squared")
    outputs[..., OPTIONS] *= 50
    labels[..., 2] *= 50
    assert value_error(outputs, labels, "squared") == pytest.approx(told)
    labels[..., 2] = 1.0
    assert math.isnan(value_error(outputs, labels))


def test_the_answer_that_looks_at_nothing():
    _, labels = problem()
    answer = most_frequent(labels, OPTIONS + BINS)
    chosen = labels[..., 1][labels[..., 1] >= 0]
    shares = [float((chosen == option).double().mean()) for option in range(OPTIONS)]
    assert agreement(answer.expand(4, 1, -1), labels) == pytest.approx(max(shares))


def test_outputs_of_another_model_are_refused():
    _, labels = problem()
    with pytest.raises(ValueError, match="decisions need a model made for them"):
        parted(torch.zeros(4, OPTIONS + BINS), labels)
    with pytest.raises(ValueError, match="loss=filtered needs a critic"):
        DecisionLoss("done", "filtered", "none")
    with pytest.raises(ValueError, match="reduction must be"):
        DecisionLoss()(torch.zeros(4, 5, OPTIONS + BINS), labels, reduction="sum")
