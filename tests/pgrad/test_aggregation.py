"""Aggregations: the two of the library, those of a user, and what both promise."""

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
from pgrad.aggregation import Rollout
from tests.pgrad.problems import DOMAINS, model, relative, train, vector
from tests.pgrad.reptile import Reptile
from tests.pgrad.test_principal import problems

SETTINGS = settings(max_examples=40, deadline=None)
AGGREGATIONS = {"principal": aggregation.principal, "displacement": aggregation.displacement}
REFERENCES = {
    "principal": reference.principal_gradient,
    "displacement": lambda x, k: reference.displacement_gradient(x),
}
CALIBRATED = ("principal", "displacement")
"""Those whose outer gradient is as long as theta_0 - theta_T: then one step and a straight line are Lookahead."""
every_aggregation = pytest.mark.parametrize("name", AGGREGATIONS)
every_calibrated = pytest.mark.parametrize("name", CALIBRATED)


def rollout(x, k=None, domains=None):
    return Rollout(x @ x.T, rtol=len(x) * torch.finfo(x.dtype).eps, domains=domains, n_components=k)


def gradient(name, x, k=None):
    found = AGGREGATIONS[name](rollout(x, k))
    return x.T @ (found if isinstance(found, torch.Tensor) else found.weights)


def agree(found, expected, tolerance):
    assert torch.allclose(found, expected, rtol=0, atol=tolerance * float(expected.norm()))


@every_aggregation
@SETTINGS
@given(x=problems, k=st.sampled_from([1, 2, 4, None]))
def test_it_is_the_dense_reference(name, x, k):
    agree(gradient(name, x, k), REFERENCES[name](x, k), 1e-8)


@every_calibrated
@SETTINGS
@given(x=problems, k=st.sampled_from([1, 4, None]), exponent=st.integers(-8, 8))
def test_length_rotation_and_scale(name, x, k, exponent):
    g = gradient(name, x, k)
    assert float(g.norm()) == pytest.approx(float(x[-1].norm()), rel=1e-7)
    assert float(g @ x[-1]) <= 0  # towards theta_0 - theta_T
    rotation, _ = torch.linalg.qr(torch.randn(x.shape[1], x.shape[1], dtype=x.dtype))
    agree(gradient(name, x @ rotation, k), g @ rotation, 1e-6)
    factor = 2.0**exponent  # a power of two: nothing is rounded
    assert torch.allclose(gradient(name, x * factor, k), factor * g, rtol=1e-9, atol=0)


@every_calibrated
@pytest.mark.parametrize("k", [1, 4, None])
def test_one_step_and_a_straight_line_are_lookahead(name, k):
    for line in ([0.0, 1.0], [0.0, 1.0, 1.5, 4.0, 4.5]):
        x = torch.tensor(line, dtype=torch.float64)[:, None] * torch.tensor([3.0, -4.0, 1.0], dtype=torch.float64)
        assert torch.allclose(gradient(name, x, k), -x[-1], rtol=1e-7)


@every_calibrated
def test_no_movement_and_a_closed_loop_give_zero(name):
    assert gradient(name, torch.zeros(5, 3, dtype=torch.float64)).tolist() == [0.0] * 3
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
    assert gradient(name, x).abs().tolist() == [0.0] * 2


# ------------------------------------------------------------------------------------ the displacement in the optimizer


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("inner", [torch.optim.Adam, torch.optim.SGD, torch.optim.RMSprop], ids=lambda o: o.__name__)
def test_displacement_is_reptile_to_the_last_bit(dtype, inner):
    nets = [model(dtype), model(dtype)]
    outer = functools.partial(torch.optim.SGD, momentum=0.9, nesterov=True, weight_decay=0.01)
    options = {"lr": 0.02, "rollout_length": 6, "outer_lr": 0.3, "inner": inner, "outer": outer}
    ours = pgrad.PGrad(nets[0].parameters(), aggregation=aggregation.displacement, **options)
    theirs = Reptile(nets[1].parameters(), **options)
    assert train(nets[0], ours, 0, 20) == train(nets[1], theirs, 0, 20)
    assert torch.equal(vector(nets[0]), vector(nets[1]))


def stored(opt):
    buffers = {id(buffer): buffer for buffer, _ in opt._trajectory._places.values()}.values()
    memory = [memory.untyped_storage() for buffer in buffers for memory in buffer._memory]
    return sum({storage.data_ptr(): storage.nbytes() for storage in memory if storage.nbytes()}.values())


def test_displacement_keeps_one_vector():
    size = 1 << 14
    for chosen, vectors in ((aggregation.displacement, 1), (aggregation.principal, 9)):
        weight = torch.nn.Parameter(torch.zeros(size))
        opt = pgrad.PGrad([weight], 1e-2, 9, aggregation=chosen)
        for _ in range(9):
            weight.grad = torch.randn(size)
            opt.step()
        assert stored(opt) == 4 * size * vectors


def test_the_record_of_the_displacement():
    net = model(torch.float64)
    start = vector(net)
    opt = pgrad.PGrad(net.parameters(), 1e-2, 5, aggregation=aggregation.displacement, outer_lr=1.0)
    train(net, opt, 0, 5)
    update = opt.last_update
    assert update.weights.tolist() == [1.0, -1.0]
    assert update.length == pytest.approx(float((vector(net) - start).norm()), rel=1e-12)
    assert update.cosine == pytest.approx(1.0)
    assert update.explained_variance_ratio.tolist() == [1.0]
    assert repr(update).startswith("Update(points=2, length=")


def test_with_the_defaults_an_outer_step_keeps_the_whole_way_of_the_inner_steps():
    """A swap: Adam alone and roll-outs of Adam end in the same place, up to rounding."""
    nets = [model(torch.float64), model(torch.float64)]
    train(nets[0], pgrad.PGrad(nets[0].parameters(), 1e-2, 3, aggregation=aggregation.displacement), 0, 12)
    train(nets[1], torch.optim.Adam(nets[1].parameters(), 1e-2), 0, 12)
    assert relative(vector(nets[0]), vector(nets[1])) < 1e-12


@pytest.mark.parametrize("stop", range(1, 6))
def test_displacement_resumes_bit_for_bit(stop):
    def made(net):
        return pgrad.PGrad(net.parameters(), 1e-2, 4, aggregation=aggregation.displacement, outer_lr=0.5)

    expected = model()
    train(expected, made(expected), 0, 12)
    net, again = model(), model(seed=1)
    opt, fresh = made(net), made(again)
    train(net, opt, 0, stop)
    file = io.BytesIO()
    torch.save([net.state_dict(), opt.state_dict()], file)
    weights, state = torch.load(io.BytesIO(file.getvalue()), weights_only=True)
    again.load_state_dict(weights)
    fresh.load_state_dict(state)
    train(again, fresh, stop, 12)
    assert torch.equal(vector(again), vector(expected))


# ----------------------------------------------------------------------------------------------------- those of a user


def mean(rollout):
    steps = len(rollout.gram) - 1
    return torch.cat([torch.zeros(1), torch.full((steps,), -1 / steps)])


@aggregation.needs_last_point
def half_way(rollout, share=0.5):
    assert rollout.gram.shape == (2, 2)
    return share * torch.tensor([1.0, -1.0])


def test_a_function_that_returns_weights():
    net = model(torch.float64)
    start, twin = vector(net), model(torch.float64)
    inner = torch.optim.Adam(twin.parameters(), 1e-2)
    path = []
    for step in range(4):
        train(twin, inner, step, step + 1)
        path.append(vector(twin) - start)
    opt = pgrad.PGrad(net.parameters(), 1e-2, 4, aggregation=mean)
    train(net, opt, 0, 4)
    assert relative(vector(net) - start, torch.stack(path).mean(0)) < 1e-12
    assert opt.last_update.weights.tolist() == [0.0, *[-0.25] * 4]
    assert opt.last_update.step_cosines.shape == (4,)


def test_a_partial_of_one_that_needs_the_last_point():
    net, twin = model(), model()
    opt = pgrad.PGrad(net.parameters(), 1e-2, 4, aggregation=functools.partial(half_way, share=0.25))
    control = pgrad.PGrad(twin.parameters(), 1e-2, 4, aggregation=aggregation.displacement, outer_lr=0.25)
    train(net, opt, 0, 8)
    train(twin, control, 0, 8)
    assert relative(vector(net), vector(twin)) < 1e-6
    again, its_opt = pickle.loads(pickle.dumps((net, opt)))
    train(net, opt, 8, 14)
    train(again, its_opt, 8, 14)
    assert torch.equal(vector(net), vector(again))


def test_it_is_told_the_domains_the_components_and_the_round_off():
    seen = []

    def watch(rollout):
        seen.append(rollout)
        return aggregation.displacement(rollout)

    net = model()
    opt = pgrad.PGrad(net.parameters(), 1e-2, 3, n_components=2, aggregation=watch)
    for step in range(3):
        opt.zero_grad()
        vector_loss(net, step)
        opt.step(domain=("art", "photo", "sketch")[step])
    opt.rollout([functools.partial(vector_loss, net, n) for n in range(3)], domains=[4, 5, 6], shuffle=False)
    train(net, opt, 0, 3)
    assert [record.domains for record in seen] == [("art", "photo", "sketch"), (4, 5, 6), None]
    assert seen[0].n_components == 2
    assert seen[0].gram.shape == (4, 4)
    assert 0 < seen[0].rtol < 1e-5


def vector_loss(net, step):
    value = net(torch.randn(5, 6, generator=torch.Generator().manual_seed(step))).square().mean()
    value.backward()
    return value


def test_domains_follow_the_order_that_is_drawn():
    net = model()
    opt = pgrad.PGrad(net.parameters(), 1e-2, None)
    order = []

    def closure(name):
        order.append(name)
        return vector_loss(net, 0)

    names = ["a", "b", "c", "d"]
    opt.rollout(
        [functools.partial(closure, name) for name in names],
        domains=names,
        generator=torch.Generator().manual_seed(3),
    )
    assert opt.last_update.domains == tuple(order) != tuple(names)


def test_cosines_of_domains_by_hand():
    """Two steps of one domain along x, one of another along -y: their sums are (2, 0) and (0, -1)."""
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, -1.0], [2.0, -1.0]], dtype=torch.float64)
    update = pgrad.Update.of(torch.tensor([1.0, 0.0, 0.0, -1.0]), x @ x.T, ("a", "b", "a"))
    root = 5**0.5
    assert update.domain_cosines == pytest.approx({"a": 2 / root, "b": 1 / root})
    assert pgrad.Update.of(torch.tensor([1.0, 0.0, 0.0, -1.0]), x @ x.T).domain_cosines == {}


def test_domains_are_in_the_state_dict():
    net, again = model(), model()
    opt, fresh = (pgrad.PGrad(n.parameters(), 1e-2, 3) for n in (net, again))
    for step in range(2):
        opt.zero_grad()
        vector_loss(net, step)
        opt.step(domain=f"d{step}")
    again.load_state_dict(net.state_dict())
    fresh.load_state_dict(copy.deepcopy(opt.state_dict()))
    fresh.zero_grad()
    vector_loss(again, 2)
    fresh.step(domain="d2")
    assert fresh.last_update.domains == ("d0", "d1", "d2")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"domains": "abc"}, TypeError, "domains must be a list.*got str"),
        ({"domains": [1, 2]}, ValueError, "one for each of the 3 closures, got 2"),
        ({"domains": [1, 2, 0.5]}, TypeError, r"domains\[2\] must be an int or a string, got 0.5"),
        ({"domains": [1, None, 2]}, TypeError, r"domains\[1\] must be an int or a string, got None"),
    ],
)
def test_bad_domains(arguments, error, message):
    net = model()
    opt = pgrad.PGrad(net.parameters(), 1e-2, 3)
    before = vector(net)
    with pytest.raises(error, match=message):
        opt.rollout([functools.partial(vector_loss, net, n) for n in range(DOMAINS)], **arguments)
    with pytest.raises(TypeError, match="domain must be an int or a string, got True"):
        opt.step(domain=True)
    assert torch.equal(vector(net), before)
    assert opt.rollout_position == 0


@pytest.mark.parametrize(
    ("found", "error", "message"),
    [
        (lambda rollout: None, TypeError, "must return a tensor of 4 row weights.*got NoneType"),
        (lambda rollout: torch.zeros(3), ValueError, "4 finite weights"),
        (lambda rollout: torch.full((4,), torch.nan), ValueError, "4 finite weights"),
        (lambda rollout: torch.zeros(4) * 1j, TypeError, "real numbers as weights, got torch.complex64"),
    ],
)
def test_an_aggregation_that_returns_something_else(found, error, message):
    net = model()
    before = vector(net)
    opt = pgrad.PGrad(net.parameters(), 1e-2, 3, aggregation=found)
    with pytest.raises(error, match=message):
        train(net, opt, 0, 3)
    assert torch.equal(vector(net), before)  # at the anchor


def test_a_mark_on_a_partial_or_an_object_counts():
    class Half:
        points_needed = "last"

        def __call__(self, rollout):
            return half_way(rollout)

        def method(self, rollout):
            return half_way(rollout)

    def third(rollout, share):
        return share * torch.tensor([1.0, -1.0])

    marked = aggregation.needs_last_point(functools.partial(third, share=1 / 3))
    for found in (marked, functools.partial(marked), Half()):
        assert aggregation.points_needed(found) == "last"
        net = model()
        train(net, pgrad.PGrad(net.parameters(), 1e-2, 3, aggregation=found), 0, 3)
    with pytest.raises(TypeError, match=r"needs_last_point must get a function.*class of a method"):
        aggregation.needs_last_point(Half().method)


def test_what_cannot_be_called_with_a_roll_out_is_refused_at_once():
    def of_0_1(gram, n_components, *, rtol):
        raise AssertionError

    for found, message in (
        (of_0_1, "must be called with one pgrad.Rollout.*needs other arguments.*n_components"),
        (pgrad.principal_weights, "write pgrad.aggregation.principal"),
        (dict, "must be a callable that makes row weights.*got <class 'dict'>"),
    ):
        with pytest.raises(TypeError, match=message):
            pgrad.PGrad(model().parameters(), 1e-2, 3, aggregation=found)


def test_what_an_aggregation_does_to_its_record_stays_there():
    def careless(rollout):
        weights = aggregation.displacement(rollout)
        rollout.gram.zero_()
        return weights

    net = model()
    opt = pgrad.PGrad(net.parameters(), 1e-2, 3, aggregation=careless)
    train(net, opt, 0, 3)
    assert opt.last_update.length > 0


def test_domains_of_numpy_and_torch_are_ints():
    numpy = pytest.importorskip("numpy")
    net = model()
    opt = pgrad.PGrad(net.parameters(), 1e-2, numpy.int64(3))
    closures = [functools.partial(vector_loss, net, n) for n in range(3)]
    for domains in (numpy.array([0, 1, 2]), torch.tensor([0, 1, 2]), [numpy.int64(0), torch.tensor(1), 2]):
        opt.rollout(closures, domains=domains, shuffle=False)
        assert opt.last_update.domains == (0, 1, 2)
        assert all(type(domain) is int for domain in opt.last_update.domains)


def test_a_mark_that_is_none():
    def strange(rollout):
        return aggregation.displacement(rollout)

    strange.points_needed = "some"
    with pytest.raises(ValueError, match=r"points_needed.*must be \"all\" or \"last\", got 'some'"):
        pgrad.PGrad(model().parameters(), 1e-2, 3, aggregation=strange)
