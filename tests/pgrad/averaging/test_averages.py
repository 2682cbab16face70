"""EMA and Mean against torch's and against closed forms; what all averages follow and refuse."""

import copy
import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

import pgrad
from pgrad.averaging import EMA, SWAD, Average, Mean
from pgrad.testing import AverageContract
from tests.pgrad.problems import DOMAINS, loss, model, train, vector

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


# ---------------------------------------------------------------------------------------------------- whom they follow


@pytest.mark.parametrize("aggregation", [pgrad.aggregation.principal, pgrad.aggregation.displacement])
def test_of_roll_outs_the_points_are_the_anchors(aggregation):
    net = model(torch.float64)
    opt = pgrad.PGrad(net.parameters(), 1e-2, 3, outer_lr=0.5, aggregation=aggregation)
    average = Mean(net).follow(opt)
    anchors = []
    for step in range(13):
        train(net, opt, step, step + 1)
        if opt.rollout_position == 0:
            anchors.append(vector(net))
    opt.finish_rollout()
    anchors.append(vector(net))
    assert average.count == len(anchors) == 5
    assert torch.allclose(averaged(average), torch.stack(anchors).mean(0), rtol=1e-12)


def test_whole_roll_outs_give_a_point_each():
    net = model()
    opt = pgrad.PGrad(net.parameters(), 1e-2, None)
    average = EMA(net).follow(opt)

    def closure(step):
        value = loss(net, step)
        value.backward()
        return value

    for _ in range(4):
        opt.rollout([functools.partial(closure, step) for step in range(DOMAINS)])
    assert average.count == 4


def test_roll_outs_that_are_dropped_give_none():
    net = model()
    opt = pgrad.PGrad(net.parameters(), 1e-2, 3)
    average = EMA(net).follow(opt)
    train(net, opt, 0, 2)
    opt.discard_rollout()
    train(net, opt, 0, 2)
    opt.forget_rollout()
    train(net, opt, 0, 2)
    with torch.no_grad():
        net[0].weight[0, 0] = torch.inf
    with pytest.warns(RuntimeWarning, match="left the finite numbers"):
        opt.step()
    assert average.count == 0


def test_applied_in_the_middle_of_a_roll_out_and_at_its_anchor():
    net = model()
    opt = pgrad.PGrad(net.parameters(), 1e-2, 3, outer_lr=0.5)
    average = Mean(net).follow(opt)
    twin = model()
    plain = pgrad.PGrad(twin.parameters(), 1e-2, 3, outer_lr=0.5)
    train(net, opt, 0, 8)
    train(twin, plain, 0, 8)
    middle = vector(net)
    with average.applied():
        assert torch.equal(vector(net), averaged(average))
        with pytest.raises(RuntimeError, match=r"a step is not possible inside applied\(\)"):
            opt.step()
    assert torch.equal(vector(net), middle)
    train(net, opt, 8, 15)
    train(twin, plain, 8, 15)
    assert torch.equal(vector(net), vector(twin))


def test_a_skipped_step_of_a_gradient_scaler_gives_no_point():
    net = model()
    opt = torch.optim.SGD(net.parameters(), 0.1)
    average = Mean(net).follow(opt)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    for step in range(4):
        opt.zero_grad()
        scaler.scale(loss(net, step)).backward()
        if step == 2:
            net[0].weight.grad.fill_(torch.inf)
        scaler.step(opt)
        scaler.update()
    assert average.count == 3


def test_lbfgs_gives_a_point_a_step():
    net = model()
    opt = torch.optim.LBFGS(net.parameters(), max_iter=3)
    average = Mean(net).follow(opt)
    train(net, opt, 0, 2)
    assert average.count == 2


def test_the_optimizer_inside_a_wrapper_is_followed():
    accelerate = pytest.importorskip("accelerate")
    net = model()
    wrapped = accelerate.Accelerator(cpu=True).prepare(torch.optim.SGD(net.parameters(), 0.1))
    average = Mean(net).follow(wrapped)
    loss(net, 0).backward()
    wrapped.step()
    assert average.count == 1


def test_a_copy_is_followed_anew():
    net = model()
    opt = pgrad.PGrad(net.parameters(), 1e-2, 3)
    average = EMA(net).follow(opt)
    train(net, opt, 0, 4)
    twin, its_opt, its_average = copy.deepcopy((net, opt, average))
    its_average.follow(its_opt)
    train(net, opt, 4, 12)
    train(twin, its_opt, 4, 12)
    assert its_average.count == average.count == 4
    assert torch.equal(averaged(its_average), averaged(average))


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
