"""EMA and Mean against torch's and against closed forms; models of all kinds; what is refused."""

import copy
import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from pgrad.averaging import EMA, SWAD, Average, Mean
from pgrad.testing import AverageContract
from tests.pgrad.problems import loss, model, train, vector

SETTINGS = settings(max_examples=40, deadline=None)


class TestEMA(AverageContract):
    def make(self, model):
        return EMA(model, decay=0.8)


class TestMean(AverageContract):
    def make(self, model):
        return Mean(model)


class TestSWAD(AverageContract):
    validates = True

    def make(self, model):
        return SWAD(model, converge_patience=1, overfit_patience=3)


def averaged(average):
    return torch.cat([value.reshape(-1) for value in average.average().values()])


def walk(net, average, points):
    for point in points:
        nn.utils.vector_to_parameters(point, net.parameters())
        average.update()


POINTS = st.builds(
    lambda number, seed, scale: scale * torch.randn(number, 6, generator=torch.Generator().manual_seed(seed)).double(),
    st.integers(1, 20),
    st.integers(0, 999),
    st.sampled_from([1e-8, 1.0, 1e8]),
)


def small():
    return nn.Linear(2, 2, dtype=torch.float64)


@SETTINGS
@given(POINTS, st.sampled_from([0.0, 0.5, 0.9, 0.999]))
def test_ema_is_its_closed_form(points, decay):
    """sum_i decay^(n-i) (1 - decay) theta_i, and decay^n of the first."""
    net = small()
    average = EMA(net, decay)
    walk(net, average, points)
    weights = torch.tensor([decay ** (len(points) - 1 - i) for i in range(len(points))], dtype=torch.float64)
    weights[1:] *= 1 - decay
    assert torch.allclose(averaged(average), weights @ points, rtol=1e-12, atol=1e-12 * float(points.abs().max()))
    assert average.count == len(points)


@SETTINGS
@given(POINTS, st.integers(0, 5))
def test_mean_is_the_mean(points, start):
    net = small()
    average = Mean(net, start)
    walk(net, average, points)
    assert average.count == max(len(points) - start, 0)
    assert average.ready == (len(points) > start)
    if average.ready:
        assert torch.allclose(
            averaged(average), points[start:].mean(0), rtol=1e-12, atol=1e-12 * float(points.abs().max())
        )


@pytest.mark.parametrize(
    ("make", "theirs"),
    [
        (functools.partial(EMA, decay=0.9), functools.partial(AveragedModel, multi_avg_fn=get_ema_multi_avg_fn(0.9))),
        (Mean, AveragedModel),
    ],
    ids=["EMA", "Mean"],
)
def test_it_is_that_of_torch(make, theirs):
    net = model()
    opt = torch.optim.Adam(net.parameters(), 1e-2)
    average, reference = make(net).follow(opt), theirs(net)
    for step in range(20):
        train(net, opt, step, step + 1)
        reference.update_parameters(net)
    assert torch.allclose(averaged(average), vector(reference.module), rtol=1e-6, atol=1e-7)


# -------------------------------------------------------------------------------------------------- models of all kinds


def test_buffers_stay_and_batchnorm_is_recomputed_inside():
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    opt = torch.optim.SGD(net.parameters(), 0.5)
    average = Mean(net).follow(opt)
    data = [torch.randn(16, 3) for _ in range(4)]
    for x in data:
        opt.zero_grad()
        net(x).square().mean().backward()
        opt.step()
    assert set(average.average()) == {name for name, _ in net.named_parameters()}
    with average.applied():
        update_bn(data, net)
        hidden = torch.cat([net[0](x) for x in data])
        means = torch.stack([net[0](x).mean(0) for x in data]).mean(0)
        assert torch.allclose(net[1].running_mean, means, atol=1e-6)
    assert hidden.shape == (64, 4)


def test_shared_parameters_count_once_and_frozen_ones_are_there():
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    net[0].bias.requires_grad_(False)
    average = EMA(net)
    average.update()
    assert set(average.average()) == {"0.weight", "0.bias", "1.bias"}


def test_held_on_another_device_it_comes_back():
    net = model()
    average = EMA(net, device="cpu")
    average.update()
    assert all(value.device == p.device for value, p in zip(average.average().values(), net.parameters(), strict=True))


def test_complex_parameters():
    net = nn.ParameterList([nn.Parameter(torch.tensor([1 + 2j, 3 - 1j]))])
    average = Mean(net)
    average.update()
    with torch.no_grad():
        net[0].mul_(3)
    average.update()
    assert torch.allclose(average.average()["0"], torch.tensor([2 + 4j, 6 - 2j]))


def test_late_parameters_join_with_a_count_of_their_own():
    net = nn.Sequential(nn.Linear(1, 1, bias=False))
    opt = torch.optim.SGD(net.parameters(), 0.0)
    average = Mean(net).follow(opt)
    for value in (0.0, 1.0, 2.0):
        if value == 1.0:
            net.append(nn.Linear(1, 1, bias=False))
            opt.add_param_group({"params": net[1].parameters()})
            nn.init.constant_(net[1].weight, 7.0)
            with average.applied():
                assert [p.item() for p in net.parameters()] == [0.0, 7.0]  # no point yet: it stays
        for layer in net:
            nn.init.constant_(layer.weight, value)
        opt.step()
    assert {name: p.item() for name, p in average.average().items()} == {"0.weight": 1.0, "1.weight": 1.5}
    state = copy.deepcopy(average.state_dict())
    again = Mean(net)
    again.load_state_dict(state)
    nn.init.constant_(net[0].weight, 5.0)
    nn.init.constant_(net[1].weight, 6.0)
    again.update()
    assert {name: p.item() for name, p in again.average().items()} == {"0.weight": 2.0, "1.weight": 3.0}
    del net[1]
    with pytest.raises(ValueError, match=r"this Mean needs parameters.*'1\.weight' of shape \(1, 1\) \(got none\)"):
        average.update()


def test_autocast_does_not_keep_the_old_weights():
    """It keeps its casts of the parameters until its block ends."""
    net, x = nn.Linear(4, 2), torch.randn(3, 4)
    average = EMA(net)
    average.update()
    with torch.no_grad():
        net.weight.add_(5.0)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        own = net(x)
        with average.applied():
            inside = net(x)
        assert not torch.equal(inside, own)
        assert torch.equal(net(x), own)


def test_a_compiled_model_holds_the_average_too():
    net, x = nn.Linear(4, 2), torch.randn(3, 4)
    compiled = torch.compile(net, backend="eager")
    average = EMA(net)
    average.update()
    expected = compiled(x).detach()
    with torch.no_grad():
        net.weight.add_(5.0)
    with average.applied():
        assert torch.equal(compiled(x), expected)
    assert not torch.equal(compiled(x), expected)


def test_inference_mode():
    net = model()
    average = EMA(net)
    with torch.inference_mode():
        average.update()
        with average.applied():
            loss(net, 0)
    average.update()
    train(net, torch.optim.SGD(net.parameters(), 0.1), 0, 1)
    assert average.count == 2


@SETTINGS
@given(POINTS, st.sampled_from([EMA, Mean]), st.integers(0, 2**32))
def test_the_order_of_parameters_and_groups_does_not_matter(points, make, seed):
    """As many parameters as numbers, in another order and in two groups: the same bits."""
    order = torch.randperm(6, generator=torch.Generator().manual_seed(seed)).tolist()
    one = nn.ParameterDict({str(i): nn.Parameter(torch.zeros(1, dtype=torch.float64)) for i in range(6)})
    other = nn.ParameterDict({str(i): nn.Parameter(torch.zeros(1, dtype=torch.float64)) for i in order})
    groups = [{"params": [other[str(i)]]} for i in order[:2]] + [{"params": [other[str(i)] for i in order[2:]]}]
    averages = [make(one).follow(torch.optim.SGD(one.parameters(), 0.0)), make(other)]
    opt = torch.optim.SGD(groups, 0.0)
    averages[1].follow(opt)
    for point in points:
        for net in (one, other):
            for name, p in net.items():
                p.data.fill_(point[int(name)])
        averages[0].update()
        opt.step()
    expected, found = averages[0].average(), averages[1].average()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_a_decay_of_zero_is_the_last_point():
    net = model()
    opt = torch.optim.Adam(net.parameters(), 1e-2)
    average = EMA(net, decay=0.0).follow(opt)
    train(net, opt, 0, 5)
    assert torch.equal(averaged(average), vector(net))


# ------------------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: EMA(model(), 1.0), ValueError, "decay must be at least 0 and below 1, got 1.0"),
        (lambda: EMA(model(), float("nan")), ValueError, "decay must be.*got nan"),
        (lambda: EMA(model(), "0.9"), TypeError, "decay must be a number, got '0.9'"),
        (lambda: Mean(model(), -1), ValueError, "start must not be negative, got -1"),
        (lambda: Mean(model(), 1.5), TypeError, "start must be an int, got 1.5"),
        (lambda: EMA([torch.ones(2)]), TypeError, "model must be a torch.nn.Module, got list"),
        (lambda: EMA(model()).follow("adam"), TypeError, "optimizer must be a torch.optim.Optimizer, got str"),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_states_of_another_kind():
    net = model()
    ema, mean = EMA(net), Mean(net)
    ema.update()
    mean.update()
    with pytest.raises(ValueError, match="must be that of Mean, got one of EMA"):
        mean.load_state_dict(ema.state_dict())
    with pytest.raises(ValueError, match=r"must come from Mean.state_dict\(\), but lacks \['points', 'seen'\]"):
        mean.load_state_dict({**ema.state_dict(), "type": "Mean"})
    with pytest.raises(ValueError, match="must be that of EMA, got one of Mean"):
        ema.load_state_dict({**ema.state_dict(), "type": "Mean"})
    with pytest.raises(ValueError, match=r"saved with decay=0\.99, here it is 0\.5"):
        EMA(net, 0.5).load_state_dict(ema.state_dict())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda state: None, TypeError, "state_dict must be a dict, got NoneType"),
        (lambda state: {**state, "seen": -1}, ValueError, "must have a count of points as seen, got -1"),
        (lambda state: {**state, "points": {}}, ValueError, "must have a mean and a count for each parameter"),
        (
            lambda state: {
                **state,
                "points": {**state["points"], "counts": dict.fromkeys(state["points"]["mean"], "3")},
            },
            ValueError,
            "must have a count of points as counts.*got '3'",
        ),
        (
            lambda state: {**state, "points": {**state["points"], "counts": {}}},
            ValueError,
            "must have a mean and a count for each parameter",
        ),
    ],
)
def test_states_that_were_changed(change, error, message):
    net = model()
    average = Mean(net)
    average.update()
    before = averaged(average)
    with pytest.raises(error, match=message):
        average.load_state_dict(change(average.state_dict()))
    assert average.count == 1
    assert torch.equal(averaged(average), before)


def test_the_remedy_is_in_the_message():
    net = model()
    average = Mean(net, start=5)
    average.update()
    with pytest.raises(RuntimeError, match="begins after 5 points, and has seen 1"), average.applied():
        pass
    with pytest.raises(RuntimeError, match="follow an optimizer and make a step"):
        EMA(net).average()


def test_a_state_of_swad_that_version_0_1_saved():
    saved = {
        "open": {"mean": {"weight": torch.tensor([[9.0]])}, "count": 1, "loss": float("nan")},
        "waiting": [],
        "valley": {"mean": {"weight": torch.tensor([[2.0]])}, "count": 3, "loss": float("nan")},
        "threshold": 1.3,
        "finished": False,
        "converge_patience": 3,
        "overfit_patience": 6,
        "tolerance": 0.3,
    }
    net = nn.Linear(1, 1, bias=False)
    average = SWAD(net)
    average.load_state_dict(saved)
    assert (average.count, average.average()["weight"].item(), average.threshold) == (3, 2.0, 1.3)
    average.validate(1.0)
    assert (average.count, average.average()["weight"].item()) == (4, pytest.approx((3 * 2 + 9) / 4))


def test_the_interface_is_open():
    class Last(Average):
        """The last point: the smallest average there is."""

        point = None

        @property
        def count(self):
            return int(self.point is not None)

        def _take(self, point):
            self.point = {name: value.clone() for name, value in point.items()}

        def _values(self):
            return self.point

        def _settings(self):
            return {}

        def _pack(self):
            return {"point": self.point}

        def _unpack(self, state):
            self.point = state["point"]

    net = model()
    opt = torch.optim.SGD(net.parameters(), 0.1)
    average = Last(net).follow(opt)
    train(net, opt, 0, 3)
    assert torch.equal(averaged(average), vector(net))
