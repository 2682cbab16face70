"""Whom averages follow, which of its steps are points, and what the model may do while it holds an average."""

import copy
import functools

import pytest
import torch
from lightning.fabric import Fabric
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict

import pgrad
from pgrad.averaging import EMA, Mean
from tests.pgrad.problems import DOMAINS, loss, model, train, vector


def averaged(average):
    return torch.cat([value.reshape(-1) for value in average.average().values()])


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
    net[0].weight.grad[0, 0] = torch.inf
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


@pytest.mark.parametrize("kind", ["lightning", "fabric"])
def test_the_optimizer_inside_a_wrapper_of_lightning_is_followed(kind):
    net = model()
    opt = pgrad.PGrad(net.parameters(), 1e-2, 3)
    wrapped = (
        LightningOptimizer(opt) if kind == "lightning" else Fabric(accelerator="cpu", devices=1).setup(net, opt)[1]
    )
    average = EMA(net).follow(wrapped)
    train(net, opt, 0, 7)
    assert average.count == 2
    before = vector(net)
    with average.applied(), pytest.raises(RuntimeError, match="not possible inside applied"):
        opt.finish_rollout()
    assert torch.equal(vector(net), before)


def test_a_wrapper_that_moves_parameters_itself_is_not_looked_into():
    """A hook on the optimizer inside would run before Lookahead goes back."""

    class Lookahead(torch.optim.Optimizer):
        def __init__(self, optimizer):
            self.optimizer = optimizer  # and no call of the base class

    net = model()
    with pytest.raises(TypeError, match=r"must have the step hooks of torch\.optim, got a Lookahead.*call update"):
        EMA(net).follow(Lookahead(torch.optim.SGD(net.parameters(), 0.1)))


@pytest.mark.parametrize("make", [torch.optim.Adam, torch.optim.SGD, functools.partial(pgrad.PGrad, rollout_length=2)])
def test_a_template_of_a_checkpoint_gives_no_point(make):
    """torch.distributed.checkpoint makes a step of zeros in an optimizer without state."""
    net = model()
    opt = make(net.parameters(), lr=1e-2)
    average = Mean(net).follow(opt)
    get_optimizer_state_dict(net, opt)
    assert average.count == 0
    train(net, opt, 0, 4)
    assert average.count == (2 if isinstance(opt, pgrad.PGrad) else 4)


def test_a_rate_of_zero_gives_a_point():
    """The first step of many a warm-up."""
    net = model()
    opt = torch.optim.SGD(net.parameters(), 1e-2)
    average = Mean(net).follow(opt)
    scheduler = torch.optim.lr_scheduler.LambdaLR(opt, lambda step: step / 3)
    for step in range(3):
        train(net, opt, step, step + 1)
        scheduler.step()
    assert average.count == 3


def test_applied_at_the_anchor():
    """Frameworks evaluate there: the average goes in, the anchor comes back, then the inner iterate."""
    net = model()
    opt = pgrad.PGrad(net.parameters(), 1e-2, 3)
    average = EMA(net).follow(opt)
    train(net, opt, 0, 8)
    middle = vector(net)
    with opt.at_anchor():
        anchor = vector(net)
        with average.applied():
            assert torch.equal(vector(net), averaged(average))
        assert torch.equal(vector(net), anchor)
    assert torch.equal(vector(net), middle)


def test_two_averages_of_one_model_do_not_meet():
    net = model()
    opt = torch.optim.SGD(net.parameters(), 0.1)
    one, other = EMA(net).follow(opt), Mean(net).follow(opt)
    train(net, opt, 0, 3)
    before, (mean, ema) = vector(net), (averaged(other), averaged(one))
    with one.applied():
        for refused in (other.update, opt.step, lambda: other.copy_to(net), lambda: one.load_state_dict({})):
            with pytest.raises(RuntimeError, match=r"not possible inside applied\(\)"):
                refused()
        with pytest.raises(RuntimeError, match=r"applied\(\) is not possible inside"), other.applied():
            pass
        twin = copy.deepcopy(net)
        EMA(twin).update()  # a copy holds the average as its own weights
        assert torch.equal(vector(twin), ema)
    assert torch.equal(vector(net), before)
    assert torch.equal(averaged(other), mean)
    assert (one.count, other.count) == (3, 3)


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


@pytest.mark.parametrize("follows", [True, False])
@pytest.mark.parametrize("act", ["at_anchor", "step", "state_dict", "finish_rollout", "discard_rollout"])
def test_what_is_refused_inside_applied_says_that_an_average_is_there(act, follows):
    """Not that the model is at the anchor, of which the user has said nothing; and the roll-out goes on."""
    net, twin = model(), model()
    opt, plain = (pgrad.PGrad(one.parameters(), 1e-2, 3) for one in (net, twin))
    average = EMA(net)
    train(net, opt, 0, 3)
    average.update()
    if follows:
        average.follow(opt)
    train(net, opt, 3, 5)
    what = {"at_anchor": lambda: opt.at_anchor().__enter__()}.get(act, getattr(opt, act))
    with average.applied(), pytest.raises(RuntimeError, match=r"is not possible inside applied\(\), where the model"):
        what()
    train(net, opt, 5, 7)
    train(twin, plain, 0, 7)
    assert torch.equal(vector(net), vector(twin))
