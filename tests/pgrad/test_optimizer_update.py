"""What a roll-out does to the model, against the dense reference and against other optimizers."""

import functools
import math

import pytest
import torch
from torch import nn

import pgrad
from pgrad.reference import principal_gradient
from tests.pgrad.problems import loss, model, relative, train, vector


def walk(net, inner, start, steps):
    """The same roll-out by the inner optimizer alone: [T+1, d] points; the model ends at the last of them."""
    points = [vector(net)]
    for step in range(start, start + steps):
        train(net, inner, step, step + 1)
        points.append(vector(net))
    return torch.stack(points)


@pytest.mark.parametrize("k", [1, 4, None])
@pytest.mark.parametrize("steps", [1, 2, 9])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("inner", [torch.optim.Adam, functools.partial(torch.optim.SGD, momentum=0.9)])
def test_outer_steps_are_those_of_the_reference(inner, dtype, tolerance, steps, k):
    net, twin = model(dtype), model(dtype)
    opt = pgrad.PGrad(net.parameters(), 1e-2, steps, n_components=k, outer_lr=0.5, inner=inner)
    alone = inner(twin.parameters(), lr=1e-2)
    seen = []
    opt.outer.register_step_pre_hook(lambda *_: seen.append((vector(net), _gradient(net))))
    for rollout in range(3):
        points = walk(twin, alone, rollout * steps, steps)
        train(net, opt, rollout * steps, (rollout + 1) * steps)
        anchor, gradient = seen.pop()
        assert torch.equal(anchor, points[0])
        assert relative(gradient, principal_gradient(points, k)) < tolerance
        assert torch.equal(vector(net), torch.add(anchor, gradient, alpha=-0.5))
        nn.utils.vector_to_parameters(vector(net), twin.parameters())


def _gradient(net):
    return torch.cat([p.grad.reshape(-1) for p in net.parameters()])


def test_one_step_is_lookahead():
    """T = 1 with plain SGD outside: theta_0 + alpha (theta_1 - theta_0), alpha the outer learning rate."""
    net, twin = model(torch.float64), model(torch.float64)
    opt = pgrad.PGrad(net.parameters(), lr=0.05, rollout_length=1, outer_lr=0.3)
    adam = torch.optim.Adam(twin.parameters(), lr=0.05)
    for step in range(8):
        slow = vector(twin)
        train(twin, adam, step, step + 1)
        nn.utils.vector_to_parameters(torch.lerp(slow, vector(twin), 0.3), twin.parameters())
        train(net, opt, step, step + 1)
        assert torch.allclose(vector(net), vector(twin), rtol=1e-12, atol=1e-12)


def test_constant_gradients_are_lookahead_of_many_steps():
    weight = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    opt = pgrad.PGrad([weight], lr=0.1, rollout_length=5, inner=torch.optim.SGD, outer_lr=0.4)
    opt.rollout([lambda: _linear(weight)] * 5)
    moved = 0.4 * 5 * 0.1 * torch.tensor([3.0, 4.0], dtype=torch.float64)
    assert torch.allclose(weight.detach(), torch.tensor([1.0, -2.0], dtype=torch.float64) - moved)


def _linear(weight):
    value = (weight * torch.tensor([3.0, 4.0], dtype=weight.dtype)).sum()
    value.backward()
    return value


def test_without_movement_the_parameters_keep_their_bits():
    net = model()
    before = vector(net)
    opt = pgrad.PGrad(net.parameters(), lr=0.0, rollout_length=3)
    train(net, opt, 0, 6)
    assert torch.equal(vector(net), before)
    assert opt.last_update.length == 0.0


def test_without_outer_learning_rate_the_parameters_keep_their_bits():
    net = model()
    before = vector(net)
    opt = pgrad.PGrad(net.parameters(), rollout_length=3, outer_lr=0.0)
    train(net, opt, 0, 2)
    assert not torch.equal(vector(net), before)
    train(net, opt, 2, 3)
    assert torch.equal(vector(net), before)


def test_order_and_grouping_of_parameters_do_not_matter():
    nets = [model(torch.float64) for _ in range(3)]
    params = [list(net.parameters()) for net in nets]
    optimizers = [
        pgrad.PGrad(params[0], 1e-2, 3),
        pgrad.PGrad(params[1][::-1], 1e-2, 3),
        pgrad.PGrad([{"params": params[2][:1]}, {"params": params[2][1:]}], 1e-2, 3),
    ]
    for net, opt in zip(nets, optimizers, strict=True):
        train(net, opt, 0, 9)
    assert torch.allclose(vector(nets[0]), vector(nets[1]), rtol=1e-10)
    assert torch.allclose(vector(nets[0]), vector(nets[2]), rtol=1e-10)


def _split(flat):
    twin = model(torch.float64)
    nn.utils.vector_to_parameters(flat, twin.parameters())
    return [p.detach() for p in twin.parameters()]


@pytest.mark.parametrize(
    "outer",
    [
        torch.optim.Adam,
        torch.optim.AdamW,
        torch.optim.RMSprop,
        torch.optim.Adagrad,
        torch.optim.NAdam,
        torch.optim.Rprop,
        functools.partial(torch.optim.SGD, momentum=0.9, weight_decay=0.1),
    ],
)
def test_any_outer_optimizer_gets_the_principal_gradient(outer):
    net, twin = model(torch.float64), model(torch.float64)
    opt = pgrad.PGrad(net.parameters(), 1e-2, 3, outer=outer, outer_lr=0.01)
    inner, reference = torch.optim.Adam(twin.parameters(), lr=1e-2), outer(twin.parameters(), lr=0.01)
    for rollout in range(3):
        points = walk(twin, inner, 3 * rollout, 3)
        nn.utils.vector_to_parameters(points[0], twin.parameters())
        for p, g in zip(twin.parameters(), _split(principal_gradient(points, 4)), strict=True):
            p.grad = g
        reference.step()
        train(net, opt, 3 * rollout, 3 * rollout + 3)
        assert torch.allclose(vector(net), vector(twin), rtol=1e-8)


def test_both_ways_in_give_the_same_bits():
    nets = [model() for _ in range(3)]
    optimizers = [pgrad.PGrad(net.parameters(), 1e-2, length) for net, length in zip(nets, (3, 3, None), strict=True)]
    losses = train(nets[0], optimizers[0], 0, 6)
    for net, opt in zip(nets[1:], optimizers[1:], strict=True):
        found = []
        for start in (0, 3):
            closures = [functools.partial(_backward, net, step) for step in range(start, start + 3)]
            found += map(float, opt.rollout(closures, shuffle=False))
        assert found == losses
        assert torch.equal(vector(net), vector(nets[0]))


def _backward(net, step):
    value = loss(net, step)
    value.backward()
    return value


def test_a_roll_out_draws_its_order_from_the_generator():
    net = model()
    opt = pgrad.PGrad(net.parameters(), rollout_length=6)
    runs = []

    def closure(number):
        runs[-1].append(number)
        return _backward(net, number)

    for seed in (1, 1, 2):
        runs.append([])
        losses = opt.rollout(
            [functools.partial(closure, n) for n in range(6)], generator=torch.Generator().manual_seed(seed)
        )
        assert len(losses) == 6
        assert not any(value.requires_grad for value in losses)
    assert runs[0] == runs[1] == torch.randperm(6, generator=torch.Generator().manual_seed(1)).tolist()
    assert runs[0] != runs[2]
    assert sorted(runs[2]) == list(range(6))


def test_losses_come_in_the_order_of_the_closures():
    weight = nn.Parameter(torch.zeros(()))
    opt = pgrad.PGrad([weight], rollout_length=4)
    assert opt.rollout([functools.partial(_constant, weight, n) for n in range(4)]) == [0.0, 1.0, 2.0, 3.0]


def _constant(weight, number):
    (weight * 1.0).backward()
    return float(number)


def test_the_record_of_the_last_update():
    net, twin = model(torch.float64), model(torch.float64)
    opt = pgrad.PGrad(net.parameters(), 1e-2, 5, n_components=2)
    assert opt.last_update is None
    points = walk(twin, torch.optim.Adam(twin.parameters(), lr=1e-2), 0, 5)
    train(net, opt, 0, 5)
    x = points - points[0]
    expected = pgrad.principal_weights(x @ x.T, 2)
    for name in ("weights", "eigenvalues", "signs", "explained_variance_ratio", "gram", "step_cosines"):
        assert torch.allclose(getattr(opt.last_update, name), getattr(expected, name), rtol=1e-7, atol=1e-14), name
    assert opt.last_update.length == pytest.approx(expected.length)
    assert opt.last_update.cosine == pytest.approx(expected.cosine)


def test_finishing_early_uses_the_points_so_far():
    net, twin = model(torch.float64), model(torch.float64)
    opt = pgrad.PGrad(net.parameters(), 1e-2, rollout_length=9)
    short = pgrad.PGrad(twin.parameters(), 1e-2, rollout_length=4)
    train(net, opt, 0, 4)
    opt.finish_rollout()
    train(twin, short, 0, 4)
    assert opt.rollout_position == 0
    assert torch.equal(vector(net), vector(twin))
    opt.finish_rollout()  # at the anchor: nothing
    assert torch.equal(vector(net), vector(twin))


def test_discarding_goes_back_to_the_anchor():
    net = model()
    opt = pgrad.PGrad(net.parameters(), 1e-2, rollout_length=3)
    train(net, opt, 0, 3)
    anchor = vector(net)
    train(net, opt, 3, 5)
    assert not torch.equal(vector(net), anchor)
    opt.discard_rollout()
    assert opt.rollout_position == 0
    assert torch.equal(vector(net), anchor)
    opt.discard_rollout()
    assert torch.equal(vector(net), anchor)


def test_the_anchor_is_visible_in_the_middle():
    net, twin = model(), model()
    opt = pgrad.PGrad(net.parameters(), 1e-2, rollout_length=3)
    train(net, opt, 0, 3)
    anchor = vector(net)
    positions = [opt.rollout_position]
    train(net, opt, 3, 5)
    positions.append(opt.rollout_position)
    walking = vector(net)
    with opt.at_anchor():
        assert torch.equal(vector(net), anchor)
    assert torch.equal(vector(net), walking)
    train(net, opt, 5, 6)
    assert positions == [0, 2]

    # Looking changed nothing.
    other = pgrad.PGrad(twin.parameters(), 1e-2, rollout_length=3)
    train(twin, other, 0, 6)
    assert torch.equal(vector(net), vector(twin))


def test_the_inner_iterate_comes_back_after_an_exception():
    net = model()
    opt = pgrad.PGrad(net.parameters(), 1e-2, rollout_length=3)
    train(net, opt, 0, 2)
    walking = vector(net)
    with pytest.raises(KeyError), opt.at_anchor():
        raise KeyError
    assert torch.equal(vector(net), walking)


def test_gradients_of_the_last_mini_batch_stay_where_they_were():
    net = model()
    opt = pgrad.PGrad(net.parameters(), 1e-2, rollout_length=2)
    train(net, opt, 0, 1)
    loss(net, 1).backward()
    grads = [p.grad for p in net.parameters()]
    values = [g.clone() for g in grads]
    opt.step()
    assert opt.rollout_position == 0
    for p, grad, value in zip(net.parameters(), grads, values, strict=True):
        assert p.grad is grad
        assert torch.equal(grad, value)


def test_moments_of_the_inner_optimizer_carry_over():
    net = model()
    opt = pgrad.PGrad(net.parameters(), rollout_length=3)
    train(net, opt, 0, 7)
    assert {int(entry["step"]) for entry in opt.inner.state.values()} == {7}


@pytest.mark.parametrize("mode", ["restore", "raise"])
@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_a_non_finite_roll_out_never_reaches_the_parameters(mode, poison):
    net = model()
    opt = pgrad.PGrad(net.parameters(), 1e-2, rollout_length=3, nonfinite=mode)
    train(net, opt, 0, 3)
    anchor, last = vector(net), opt.last_update

    def diverge():
        train(net, opt, 3, 4)
        for p in net.parameters():
            p.grad.fill_(poison)
        opt.step()
        train(net, opt, 5, 6)

    for count in (1, 2):
        if mode == "raise":
            with pytest.raises(FloatingPointError, match="left the finite numbers"):
                diverge()
        elif count == 1:
            with pytest.warns(RuntimeWarning, match="left the finite numbers and was dropped"):
                diverge()
        else:
            diverge()  # warned once; a second warning would be an error here
        assert torch.equal(vector(net), anchor)
        assert (opt.nonfinite_rollouts, opt.rollout_position) == (count, 0)
        assert opt.last_update is last
    for entry in opt.state.values():
        assert all(value.isfinite().all() for value in entry.values())
    train(net, opt, 6, 9)  # and the next one works
    assert vector(net).isfinite().all()
    assert not torch.equal(vector(net), anchor)


@pytest.mark.parametrize("rank", [1, 2, 5, 8])
@pytest.mark.parametrize("scale", [1e-10, 1e-3, 1e3, 1e15])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_displacements_of_any_size_and_rank(scale, rank, dtype, tolerance):
    weight = nn.Parameter(torch.zeros(300, dtype=dtype))
    opt = pgrad.PGrad([weight], lr=scale, rollout_length=8, inner=torch.optim.SGD, outer_lr=1.0)
    gradients = torch.randn(8, rank, dtype=dtype) @ torch.randn(rank, 300, dtype=dtype)
    points = [weight.detach().clone()]
    for gradient in gradients:
        points.append(points[-1] - scale * gradient)
        weight.grad = gradient
        opt.step()
    expected = -principal_gradient(torch.stack(points), 4)
    assert relative(weight.detach(), expected) < tolerance


def test_large_parameters_with_tiny_displacements():
    """Parameters of 1e4, steps of 1e-2: something is left only where the anchor is subtracted before the products."""
    weight = nn.Parameter(1e4 + torch.rand(1000))
    opt = pgrad.PGrad([weight], lr=1e-2, rollout_length=5, inner=torch.optim.SGD, outer_lr=1.0)
    points = [weight.detach().clone()]
    for _ in range(5):
        weight.grad = torch.randn(1000)
        points.append(points[-1] - 1e-2 * weight.grad)
        opt.step()
    points = torch.stack(points)
    expected = points[0].double() - principal_gradient(points, 4)
    # The result is a float32 of size 1e4, so it is known to half a spacing of 2^-10.
    assert float((weight.detach().double() - expected).abs().max()) <= 0.51 * 2**-10
