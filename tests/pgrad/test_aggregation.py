"""The other aggregations: against dense oracles, and what all of them promise."""

import copy
import functools
import io
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import pgrad
from pgrad import aggregation, reference
from tests.pgrad.problems import model, relative, train, vector
from tests.pgrad.test_principal import points, problems

SETTINGS = settings(max_examples=40, deadline=None)


def domains_of(x, seed=0, number=3):
    """A domain for each step: every domain once in each pass, in an order of its own, as samplers give it."""
    generator = torch.Generator().manual_seed(seed)
    return torch.cat([torch.randperm(number, generator=generator) for _ in range(len(x))])[: len(x) - 1].tolist()


def cross_domain(gram, n_components=1, **options):
    return aggregation.cross_domain(gram, n_components, domains=domains_of(gram), **options)


AGGREGATIONS = {
    "principal": pgrad.principal_weights,
    "above-null": aggregation.above_null,
    "increments": aggregation.increments,
    "cross-domain": cross_domain,
}
every_aggregation = pytest.mark.parametrize("aggregate", AGGREGATIONS.values(), ids=AGGREGATIONS)


def gradient(aggregate, x, n_components=None):
    return x.T @ aggregate(x @ x.T, n_components).weights


def agree(found, expected, tolerance):
    assert torch.allclose(found, expected, rtol=0, atol=tolerance * float(expected.norm()))


@SETTINGS
@given(problems)
def test_above_null_is_the_dense_one(x):
    agree(gradient(aggregation.above_null, x), reference.above_null_gradient(x), 1e-8)


@SETTINGS
@given(problems, st.sampled_from([1, 2, 4, None]))
def test_increments_are_the_dense_ones(x, k):
    agree(gradient(aggregation.increments, x, k), reference.increment_gradient(x, k), 1e-8)


@SETTINGS
@given(problems, st.sampled_from([1, 2]), st.integers(0, 99))
def test_cross_domain_is_the_dense_one(x, k, seed):
    domains = domains_of(x, seed)
    found = x.T @ aggregation.cross_domain(x @ x.T, k, domains=domains).weights
    agree(found, reference.cross_domain_gradient(x, domains, k), 1e-7)


@SETTINGS
@given(problems, st.integers(0, 99))
def test_no_direction_agrees_more_between_domains(x, seed):
    """The definition itself: the sum over pairs of steps from different domains, at random directions and at g."""
    domains = torch.tensor(domains_of(x, seed))
    if len(x) < 3:
        return
    u = (x[1:] - x[:-1]) / (x[1:] - x[:-1]).norm()
    pairs = (domains[:, None] != domains).double()
    record = aggregation.cross_domain(x @ x.T, 1, domains=domains.tolist())
    g = x.T @ record.weights
    others = torch.cat([u, u + 0.3 * torch.randn(u.shape, generator=torch.Generator().manual_seed(seed)).double()])

    def agreement(v):
        along = u @ (v / v.norm())
        return float(along @ pairs @ along)

    best = agreement(g) if record.n_components else 0.0
    assert all(agreement(v) <= best + 1e-9 for v in others)


@every_aggregation
@SETTINGS
@given(x=problems, k=st.sampled_from([1, 4, None]))
def test_length_side_and_rotation(aggregate, x, k):
    record = aggregate(x @ x.T, k)
    g = x.T @ record.weights
    assert float(g.norm()) == pytest.approx(float(x[-1].norm()), rel=1e-7)
    assert record.length == pytest.approx(float(x[-1].norm()), rel=1e-9)
    assert record.cosine >= 0
    assert record.n_components == len(record.signs) <= len(x) - 1
    assert float(record.weights.sum()) == pytest.approx(0, abs=1e-9 * float(record.weights.abs().max()))
    rotation, _ = torch.linalg.qr(torch.randn(x.shape[1], x.shape[1], dtype=x.dtype))
    agree(gradient(aggregate, x @ rotation, k), g @ rotation, 1e-6)


@every_aggregation
@SETTINGS
@given(x=problems, exponent=st.integers(-8, 8))
def test_scale(aggregate, x, exponent):
    factor = 2.0**exponent  # a power of two: nothing is rounded
    assert torch.allclose(gradient(aggregate, x * factor, 2), factor * gradient(aggregate, x, 2), rtol=1e-9, atol=0)


@every_aggregation
@pytest.mark.parametrize("k", [1, 4, None])
def test_one_step_and_a_straight_line_are_lookahead(aggregate, k):
    for walk in ([0.0, 1.0], [0.0, 1.0, 1.5, 4.0, 4.5]):
        x = torch.tensor(walk, dtype=torch.float64)[:, None] * torch.tensor([3.0, -4.0, 1.0], dtype=torch.float64)
        assert torch.allclose(gradient(aggregate, x, k), -x[-1], rtol=1e-7)


@every_aggregation
@pytest.mark.parametrize("k", [1, None])
def test_no_movement_and_a_closed_loop_give_zero(aggregate, k):
    record = aggregate(torch.zeros(5, 5), k)
    assert record.weights.tolist() == [0.0] * 5
    assert (record.length, record.cosine, record.n_components) == (0.0, 0.0, 0)
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
    assert aggregate(x @ x.T, k).weights.abs().tolist() == [0.0] * 4


@every_aggregation
def test_float32_and_its_rank(aggregate):
    """Steps in two directions, in the precision in which a roll-out is summed up: no third direction from round-off."""
    x = points(9, 400, 2, 1e-3, 5)
    exact, record = aggregate(x @ x.T, 4), aggregate((x @ x.T).float(), 4)
    assert record.n_components == exact.n_components <= 2
    agree(x.T @ record.weights, x.T @ exact.weights, 1e-4)


@every_aggregation
def test_the_spectrum_is_that_of_the_points(aggregate):
    x = points(6, 40, 6, 1.0, 3)
    assert torch.equal(aggregate(x @ x.T, 2).eigenvalues, pgrad.principal_weights(x @ x.T).eigenvalues)


@every_aggregation
@pytest.mark.parametrize(
    ("gram", "k", "error"),
    [(torch.eye(3).long(), 1, TypeError), (torch.eye(3)[:2], 1, ValueError), (torch.eye(3), 0, ValueError)],
)
def test_bad_input(aggregate, gram, k, error):
    with pytest.raises(error, match=r"gram must be|n_components must be"):
        aggregate(gram, k)


# ------------------------------------------------------------------------------------------------------ by hand


def test_components_are_counted_against_the_random_walk():
    """A random walk with one long step: its first component stands out. A zigzag: the later ones do."""
    steps = torch.diag(torch.tensor([1.0, 1.0, 6.0, 1.0, 1.0], dtype=torch.float64))
    x = torch.cat([torch.zeros(1, 5, dtype=torch.float64), steps.cumsum(0)])
    assert aggregation.above_null(x @ x.T).n_components == 1
    agree(gradient(aggregation.above_null, x), gradient(pgrad.principal_weights, x, 1), 1e-12)

    zigzag = torch.randn(9, 4000, generator=torch.Generator().manual_seed(0)).double()
    x = torch.cat([torch.zeros(1, 4000, dtype=torch.float64), zigzag])  # points, not steps, are independent
    record = aggregation.above_null(x @ x.T)
    null = pgrad.random_walk_spectrum(9)
    above = (record.explained_variance_ratio >= null).tolist()
    assert above[0] is False
    assert record.n_components == sum(above) > 1
    assert aggregation.above_null(x @ x.T, 1).n_components == 1  # none of the first one: the nearest


def test_increments_do_not_know_their_order():
    u = torch.randn(6, 30, dtype=torch.float64)
    walks = [torch.cat([torch.zeros(1, 30, dtype=u.dtype), steps.cumsum(0)]) for steps in (u, u[[2, 0, 4, 1, 5, 3]])]
    one, other = (gradient(aggregation.increments, x, 2) for x in walks)
    agree(one, other, 1e-10)
    one, other = (gradient(pgrad.principal_weights, x, 2) for x in walks)
    assert relative(one, other) > 1e-3


def test_cross_domain_leaves_out_what_one_domain_does_alone():
    """Domain 0 and 1 share x; domain 1 goes far along y and back. The principal direction is y, the shared one is x."""
    u = torch.tensor([[1.0, 0.0], [1.0, 9.0], [1.0, 0.0], [1.0, -8.5]], dtype=torch.float64)
    x = torch.cat([torch.zeros(1, 2, dtype=u.dtype), u.cumsum(0)])
    g = x.T @ aggregation.cross_domain(x @ x.T, 1, domains=[0, 1, 0, 1]).weights
    assert abs(float(g[0])) > 0.97 * float(g.norm())
    g = gradient(pgrad.principal_weights, x, 1)
    assert abs(float(g[1])) > 0.9 * float(g.norm())


@pytest.mark.parametrize(("domains", "steps"), [([0, 0, 0], [[1.0], [1.0], [2.0]]), ([0, 1], [[2.0], [-1.0]])])
def test_without_agreement_the_way_itself(domains, steps):
    """One domain; or two that want opposite things."""
    x = torch.cat([torch.zeros(1, 1), torch.tensor(steps).cumsum(0)]).double()
    record = aggregation.cross_domain(x @ x.T, None, domains=domains)
    assert torch.equal(x.T @ record.weights, -x[-1])
    assert (record.n_components, record.cosine) == (0, 1.0)


def test_domains_must_fit():
    with pytest.raises(ValueError, match="one entry for each of the 2 steps, got 3"):
        aggregation.cross_domain(torch.eye(3), domains=[0, 1, 2])


# --------------------------------------------------------------------------------------------------- in the optimizer


def walked(aggregate, rollout_length=6):
    """A model after one roll-out with SGD inside; its points, and what PGrad made of them."""
    net, twin = model(torch.float64), model(torch.float64)
    opt = optimizer(net, aggregate, rollout_length)
    plain = torch.optim.SGD(twin.parameters(), lr=0.1)
    x = [vector(twin)]
    for step in range(rollout_length):
        train(twin, plain, step, step + 1)
        x.append(vector(twin))
    train(net, opt, 0, rollout_length)
    return net, torch.stack(x)


def optimizer(net, aggregate, rollout_length=6):
    sgd = torch.optim.SGD
    return pgrad.PGrad(net.parameters(), 0.1, rollout_length, 2, 1.0, inner=sgd, outer=sgd, aggregation=aggregate)


DOMAINS = [0, 1, 2, 0, 1, 2]
CHOICES = {
    "above-null": (aggregation.above_null, reference.above_null_gradient),
    "increments": (aggregation.increments, functools.partial(reference.increment_gradient, n_components=2)),
    "cross-domain": (
        functools.partial(aggregation.cross_domain, domains=DOMAINS),
        functools.partial(reference.cross_domain_gradient, domains=DOMAINS, n_components=2),
    ),
}


@pytest.mark.parametrize("choice", ["increments", "cross-domain"])
def test_the_outer_step_is_along_it(choice):
    aggregate, dense = CHOICES[choice]
    net, x = walked(aggregate)
    assert relative(vector(net), x[0] - dense(x)) < 1e-9


@pytest.mark.parametrize("choice", CHOICES)
def test_copies_and_checkpoints_go_on_with_it(choice):
    aggregate, _ = CHOICES[choice]
    net = model()
    opt = optimizer(net, aggregate)
    train(net, opt, 0, 4)
    copies = [copy.deepcopy((net, opt)), pickle.loads(pickle.dumps((net, opt)))]
    buffer = io.BytesIO()
    torch.save(opt.state_dict(), buffer)
    buffer.seek(0)
    fresh = model()
    fresh.load_state_dict(net.state_dict())
    loaded = optimizer(fresh, aggregate)
    loaded.load_state_dict(torch.load(buffer, weights_only=True))
    train(net, opt, 4, 9)
    for other, its in [*copies, (fresh, loaded)]:
        train(other, its, 4, 9)
        assert torch.equal(vector(other), vector(net))
        assert torch.equal(its.last_update.weights, opt.last_update.weights)


def test_a_checkpoint_of_another_aggregation_is_refused():
    saved = optimizer(model(), CHOICES["cross-domain"][0]).state_dict()
    with pytest.raises(ValueError, match=r"aggregation='cross_domain'.*aggregation='principal_weights'"):
        optimizer(model(), pgrad.principal_weights).load_state_dict(saved)


def test_an_aggregation_must_be_callable_and_return_a_record():
    with pytest.raises(TypeError, match=r"aggregation must be a callable.*got 'increments'"):
        optimizer(model(), "increments")
    net = model()
    start = vector(net)
    with pytest.raises(TypeError, match=r"must return a pgrad\.PrincipalWeights, got Tensor"):
        train(net, optimizer(net, lambda gram, k, rtol: gram[0]), 0, 6)
    with pytest.raises(ValueError, match="must give 7 finite weights"):
        train(net, optimizer(net, lambda gram, k, rtol: pgrad.principal_weights(gram[:4, :4], k)), 0, 6)
    assert torch.equal(vector(net), start)  # back at the anchor
