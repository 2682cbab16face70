"""Checks on two ranks, run by run_checks.py: averages of weights, and the displacement, over shards and replicas."""

import copy
import functools
import io

import torch
from common import alone, batch, close, mine, net, optimizer, same_everywhere, train, vector
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
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


def averages_of_shards_resume(_):
    for name, make in AVERAGES.items():
        model = sharded()
        opt = optimizer(model)
        average = make(model).follow(opt)
        run(model, average, opt, 0, 8, mine())
        file = io.BytesIO()
        torch.save({n: value.to_local() for n, value in average.average().items()}, file)
        state = copy.deepcopy(average.state_dict())
        other = sharded()
        again = make(other)
        again.load_state_dict(state)
        assert again.count == average.count
        for n, value in again.average().items():
            assert torch.equal(value.to_local(), average.average()[n].to_local()), name


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
    assert all(len(buffer.rows) == 0 for buffer in opt._trajectory._buffers())


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
    averages_with_ddp_are_the_same_on_all_ranks,
    displacement_of_shards_is_that_of_one_process,
    a_diverged_displacement_is_dropped_on_every_rank,
]
