"""Checks on two ranks, run by run_checks.py: averages of weights, and the displacement, over shards and replicas."""

import copy
import functools
import io
import tempfile

import torch
import torch.distributed.checkpoint as dcp
from common import (
    alone,
    batch,
    close,
    gathered,
    mine,
    net,
    optimizer,
    raised,
    same_everywhere,
    train,
    vector,
    whole,
)
from torch import nn
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

import pgrad
from pgrad.averaging import EMA, SWAD, Mean

AVERAGES = {
    "EMA": functools.partial(EMA, decay=0.7),
    "Mean": Mean,
    "SWAD": functools.partial(SWAD, converge_patience=1),
}


def sharded():
    model = net()
    fully_shard(model[0])
    fully_shard(model)
    return model


def run(model, average, opt, start, stop, part=slice(None)):
    for step in range(start, stop):
        train(model, opt, step, step + 1, part)
        if isinstance(average, SWAD) and step % 8 == 7:
            average.validate(1.0)


def expected(name, stop):
    model = net()
    opt = optimizer(model)
    average = AVERAGES[name](model).follow(opt)
    run(model, average, opt, 0, stop)
    return torch.cat([value.reshape(-1) for value in average.average().values()])


def averages_of_shards_are_those_of_one_process(_):
    for name, make in AVERAGES.items():
        model = sharded()
        opt = optimizer(model)
        average = make(model).follow(opt)
        run(model, average, opt, 0, 16, mine())
        assert all(isinstance(value, DTensor) for value in average.average().values())
        before = vector(model)
        with torch.no_grad():
            own = model(batch(0)[0])  # FSDP2 keeps what it has gathered for the root module
        with average.applied():
            close(vector(model), expected(name, 16))
            with torch.no_grad():
                assert not torch.equal(model(batch(0)[0]), own)
        assert torch.equal(vector(model), before)
        with torch.no_grad():
            assert torch.equal(model(batch(0)[0]), own)


def goes_on(name, load):
    """Stopped in the middle of a roll-out, and of a segment of SWAD; ``load(before, after)`` moves the state."""
    model = sharded()
    opt = optimizer(model)
    average = AVERAGES[name](model).follow(opt)
    run(model, average, opt, 0, 14, mine())
    weights = [whole(p) for p in model.parameters()]
    state, its_state = copy.deepcopy((opt.state_dict(), average.state_dict()))
    run(model, average, opt, 14, 24, mine())
    again = sharded()
    with torch.no_grad():
        for p, value in zip(again.parameters(), weights, strict=True):
            p.copy_(distribute_tensor(value, p.device_mesh, p.placements))
    fresh = optimizer(again)
    fresh.load_state_dict(state)
    after = AVERAGES[name](again).follow(fresh)
    load(its_state, after)
    run(again, after, fresh, 14, 24, mine())
    assert after.count == average.count > 0
    for n, value in after.average().items():
        assert torch.equal(value.to_local(), average.average()[n].to_local()), name


def averages_of_shards_resume(_):
    """From torch.save on every rank."""

    def load(state, after):
        file = io.BytesIO()
        torch.save(state, file)
        after.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))

    for name in AVERAGES:
        goes_on(name, load)


def averages_of_shards_resume_from_a_distributed_checkpoint(_):
    """It loads into the state of a fresh average; one of SWAD has no fixed number of segments, and is refused."""

    def load(state, after):
        folder = gathered(tempfile.mkdtemp())[0]
        dcp.save({"average": state}, checkpoint_id=folder)
        template = {"average": after.state_dict()}
        dcp.load(template, checkpoint_id=folder)
        after.load_state_dict(template["average"])

    goes_on("EMA", load)
    goes_on("Mean", load)
    assert "torch.save, on every rank" in raised(ValueError, goes_on, "SWAD", load)
    model = sharded()
    average = SWAD(model, converge_patience=2)
    average.update()
    average.validate(1.0)
    after = SWAD(model, converge_patience=2)
    assert "average.waiting" in raised(dcp.api.CheckpointException, load, average.state_dict(), after)
    assert not after.ready


def averages_of_one_process_are_cut_and_those_of_shards_put_together(_):
    for name, make in AVERAGES.items():
        alone_model, model = net(), sharded()
        one, shards = make(alone_model), make(model)
        for average in (one, shards):
            average.update()
            if isinstance(average, SWAD):
                average.validate(1.0)
        into_shards, into_one = make(model), make(net())
        into_shards.load_state_dict(one.state_dict())
        into_one.load_state_dict(shards.state_dict())
        for n, value in one.average().items():
            assert torch.equal(whole(into_shards.average()[n]), value), name
            assert torch.equal(into_one.average()[n], value), name


def averages_of_half_precision_shards_are_wide(_):
    model = net(torch.bfloat16)
    fully_shard(model)
    average = Mean(model)
    exact = net(torch.bfloat16).double()
    expected_average = Mean(exact)
    for step in range(9):
        with torch.no_grad():
            for p, q in zip(model.parameters(), exact.parameters(), strict=True):
                p.add_(2.0**-8 * (step % 3))
                q.copy_(whole(p))
        average.update()
        expected_average.update()
    for n, value in average.average().items():
        assert value.dtype == torch.bfloat16
        assert average.state_dict()["points"]["mean"][n].dtype == torch.float32
        assert torch.equal(whole(value), expected_average.average()[n].bfloat16())


def averages_applied_in_a_roll_out_right_after_an_evaluation(_):
    """What FSDP2 has gathered then must be neither averaged, nor overwritten, nor put back."""
    model = sharded()
    opt = optimizer(model)
    average = EMA(model, decay=0.5).follow(opt)
    twin = sharded()
    plain = optimizer(twin)
    train(model, opt, 0, 10, mine())
    train(twin, plain, 0, 10, mine())
    x, _y = batch(0)
    with torch.no_grad():
        own = model(x)
        with average.applied():
            inside = model(x)
            for refused in (opt.step, opt.finish_rollout, average.update, average.applied().__enter__):
                raised(RuntimeError, refused)
        assert torch.equal(model(x), own)
        other = sharded()
        other(x)
        average.copy_to(other)
        assert torch.equal(other(x), inside)
        assert not torch.equal(inside, own)
    train(model, opt, 10, 16, mine())
    train(twin, plain, 10, 16, mine())
    assert torch.equal(vector(model), vector(twin))
    same_everywhere(vector(model))


def a_template_of_a_plain_optimizer_gives_no_point(_):
    for make in (torch.optim.Adam, torch.optim.SGD):
        model = sharded()
        opt = make(model.parameters(), lr=0.01)
        average = Mean(model).follow(opt)
        get_optimizer_state_dict(model, opt)
        assert average.count == 0
        train(model, opt, 0, 3, mine())
        assert average.count == 3


def averages_with_ddp_are_the_same_on_all_ranks(_):
    for name, make in AVERAGES.items():
        model = DistributedDataParallel(net())
        opt = optimizer(model)
        average = make(model).follow(opt)
        run(model, average, opt, 0, 16, mine())
        found = torch.cat([value.reshape(-1) for value in average.average().values()])
        same_everywhere(found)
        close(found, expected(name, 16))


def displacement_of_shards_is_that_of_one_process(_):
    model = sharded()
    opt = optimizer(model, aggregation=pgrad.aggregation.displacement, check_ranks=True)
    train(model, opt, 0, 14, mine())
    close(vector(model), vector(alone(0, 14, aggregation=pgrad.aggregation.displacement)[0]))
    assert all(len(buffer.rows) == 0 for buffer in opt._trajectory._in_use)


def a_diverged_displacement_is_dropped_on_every_rank(_):
    """Rank 1 alone has a shard that is not finite; both must go back."""
    import warnings

    model = sharded()
    opt = optimizer(model, aggregation=pgrad.aggregation.displacement)
    start = vector(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for step in range(4):
            x, y = batch(step)
            opt.zero_grad()
            nn.functional.cross_entropy(model(x[mine()]), y[mine()]).backward()
            if torch.distributed.get_rank() == 1 and step == 2:
                model[0].weight.grad.to_local().fill_(torch.inf)
            opt.step()
    assert opt.nonfinite_rollouts == 1
    assert torch.equal(vector(model), start)


CHECKS = [
    averages_of_shards_are_those_of_one_process,
    averages_of_shards_resume,
    averages_of_shards_resume_from_a_distributed_checkpoint,
    averages_of_one_process_are_cut_and_those_of_shards_put_together,
    averages_of_half_precision_shards_are_wide,
    averages_applied_in_a_roll_out_right_after_an_evaluation,
    a_template_of_a_plain_optimizer_gives_no_point,
    averages_with_ddp_are_the_same_on_all_ranks,
    displacement_of_shards_is_that_of_one_process,
    a_diverged_displacement_is_dropped_on_every_rank,
]
