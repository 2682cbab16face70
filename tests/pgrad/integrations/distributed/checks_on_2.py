"""Checks on two ranks, run by run_checks.py: DDP, FSDP2 and tensor parallelism."""

import copy

import pytest
import torch
import torch.distributed as dist
from common import (
    BATCH,
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
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.distributed.tensor import DTensor, Partial, Shard
from torch.distributed.tensor.debug import CommDebugMode
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from torch.nn.parallel import DistributedDataParallel

import pgrad


def sharded(dtype=torch.float64):
    model = net(dtype)
    fully_shard(model[0])
    fully_shard(model)
    return model


def ddp_parameters_stay_bit_identical(_):
    """Over ten roll-outs, at every step; and they are those of one process with the whole batch."""
    model = DistributedDataParallel(net())
    opt = optimizer(model, check_ranks=True)
    for step in range(40):
        train(model, opt, step, step + 1, mine())
        same_everywhere(vector(model))
    expected, expected_opt = alone(0, 40)
    close(vector(model), vector(expected))
    close(opt.last_update.eigenvalues, expected_opt.last_update.eigenvalues)


def ddp_float32_stays_bit_identical(_):
    model = DistributedDataParallel(net(torch.float32))
    opt = optimizer(model, inner=torch.optim.AdamW, n_components=None)
    train(model, opt, 0, 38, mine(), torch.float32)
    same_everywhere(vector(model))


def ddp_accumulates_gradients_with_no_sync(_):
    model = DistributedDataParallel(net())
    opt = optimizer(model)
    half = BATCH // 2
    for step in range(12):
        x, y = batch(step)
        x, y = x[mine()], y[mine()]
        opt.zero_grad()
        with model.no_sync():
            (nn.functional.cross_entropy(model(x[: half // 2]), y[: half // 2]) / 2).backward()
        (nn.functional.cross_entropy(model(x[half // 2 :]), y[half // 2 :]) / 2).backward()
        opt.step()
    same_everywhere(vector(model))
    close(vector(model), vector(alone(0, 12)[0]))


def ddp_with_rollout_closures(_):
    """The order of the closures is drawn on every rank from a generator in the same state."""
    model = DistributedDataParallel(net())
    opt = optimizer(model, rollout_length=None, check_ranks=True)

    def closure(step):
        x, y = batch(step)
        loss = nn.functional.cross_entropy(model(x[mine()]), y[mine()])
        loss.backward()
        return loss

    generator = torch.Generator().manual_seed(5)
    for _rollout in range(3):
        opt.rollout([lambda step=step: closure(step) for step in range(5)], generator=generator)
    same_everywhere(vector(model))


def sampler_gives_ranks_one_domain_and_their_own_samples(_):
    domains = [name for name, size in {"a": 37, "b": 24, "c": 50}.items() for _ in range(size)]
    sampler = pgrad.DomainBatchSampler(domains, batch_size=4, splits=2, generator=torch.Generator().manual_seed(3))
    loader = torch.utils.data.DataLoader(torch.arange(len(domains)), batch_sampler=sampler)
    order, samples = [], []
    for indices in loader:
        samples.append(indices.tolist())
        order.append({domains[i] for i in samples[-1]})
    assert all(len(names) == 1 for names in order)
    assert gathered(order)[0] == gathered(order)[1]
    first, second = gathered(samples)
    assert [len(a) for a in first] == [len(b) for b in second] == [2] * len(first)
    for start in range(0, len(first), 6):  # within one roll-out every example is seen at most once, on one rank
        rollout = [i for part in first[start : start + 6] + second[start : start + 6] for i in part]
        assert len(set(rollout)) == len(rollout) == 24
    assert sampler.rollout_length == 6
    assert len(first) == 6 * (50 // 8)


def diverged_rank_is_named_on_all_ranks(_):
    model = DistributedDataParallel(net())
    opt = optimizer(model, check_ranks=True)
    train(model, opt, 0, 6, mine())
    with opt.at_anchor():
        anchor = vector(model)
    with torch.no_grad():
        model.module[0].weight[0, 0] += 1e-12 * dist.get_rank()
    message = raised(RuntimeError, train, model, opt, 6, 8, mine())
    assert "whether parameters were set from outside: ranks [1] differ" in message
    assert opt.rollout_position == 0
    assert torch.equal(vector(model), anchor)
    train(model, opt, 8, 12, mine())  # the anchors are still the same: training can go on


def weights_set_on_all_ranks_end_the_roll_out(_):
    """With ranks compared, at the outer step; else at once."""
    for check_ranks in (True, False):
        model = DistributedDataParallel(net())
        opt = optimizer(model, check_ranks=check_ranks)
        train(model, opt, 0, 6, mine())
        with torch.no_grad():
            model.module[0].weight[0, 0] += 1.0
        with pytest.warns(UserWarning, match="parameters were set from outside"):
            train(model, opt, 6, 8, mine())
        assert opt.rollout_position == (0 if check_ranks else 2)
        same_everywhere(vector(model))
    diverged = DistributedDataParallel(net())
    opt = optimizer(diverged, check_ranks=True)
    train(diverged, opt, 0, 6, mine())
    for p in diverged.parameters():
        p.grad += 1e-3 * dist.get_rank()
    opt.step()
    message = raised(RuntimeError, train, diverged, opt, 7, 8, mine())
    assert "displacements of plain parameters: ranks [1] differ" in message


def weights_set_in_shards_end_the_roll_out(_):
    model, other = sharded(), sharded()
    opt, told = optimizer(model), optimizer(other)
    train(model, opt, 0, 6, mine())
    train(other, told, 0, 6, mine())
    for one in (model, other):
        with torch.no_grad():
            one[0].bias.mul_(2.0)
    told.forget_rollout()
    with pytest.warns(UserWarning, match="parameters were set from outside after 2 of 4 steps"):
        train(model, opt, 6, 12, mine())
    train(other, told, 6, 12, mine())
    assert torch.equal(vector(model), vector(other))


def check_of_ranks_follows_the_debug_level(_):
    """None asks TORCH_DISTRIBUTED_DEBUG; False is False."""
    level = dist.get_debug_level()

    def differs(check_ranks, debug_level):
        model = net()
        opt = optimizer(model, check_ranks=check_ranks)
        dist.set_debug_level(debug_level)
        try:
            train(model, opt, 0, 4, mine())  # no DDP: nothing averages the gradients
        except RuntimeError as error:
            return "ranks [1] differ" in str(error)
        finally:
            dist.set_debug_level(level)
        return False

    assert differs(None, dist.DebugLevel.DETAIL)
    assert not differs(None, dist.DebugLevel.OFF)
    assert not differs(False, dist.DebugLevel.DETAIL)
    assert differs(True, dist.DebugLevel.OFF)


def rank_without_a_gradient_is_named(_):
    model = net()
    if dist.get_rank() == 1:
        for p in model.parameters():
            p.requires_grad_(False)
    opt = optimizer(model, check_ranks=True)
    if dist.get_rank() == 1:
        message = raised(RuntimeError, lambda: [opt.step() for _ in range(4)])
    else:
        message = raised(RuntimeError, train, model, opt, 0, 4)
    assert "which parameters have gradients: ranks [1] differ" in message


def fsdp2_equals_the_unsharded_run(_):
    model = sharded()
    opt = optimizer(model, check_ranks=True)
    train(model, opt, 0, 16, mine())
    expected, expected_opt = alone(0, 16)
    close(vector(model), vector(expected))
    close(opt.last_update.gram, expected_opt.last_update.gram)
    same_everywhere(opt.last_update.weights)


def fsdp2_needs_one_all_reduce_per_outer_step(_):
    model = sharded()
    opt = optimizer(model)
    for step in range(8):
        x, y = batch(step)
        opt.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        with CommDebugMode() as communication:
            opt.step()
        counts = {str(operation): count for operation, count in communication.get_comm_counts().items()}
        assert counts == ({"c10d.allreduce_": 1} if step % 4 == 3 else {}), counts


def fsdp2_principal_gradient_is_a_dtensor(_):
    seen = []

    class Spy(torch.optim.SGD):
        def step(self, closure=None):
            seen.extend((p, p.grad) for group in self.param_groups for p in group["params"])
            return super().step(closure)

    model = sharded()
    opt = optimizer(model, outer=Spy)
    seen.clear()  # what it saw on trial
    own = [p.grad for p in model.parameters()]
    train(model, opt, 0, 4, mine())
    assert len(seen) == 4
    for p, grad in seen:
        assert isinstance(grad, DTensor)
        assert (grad.shape, grad.stride(), grad.dtype) == (p.shape, p.stride(), p.dtype)
        assert (grad.placements, grad.device_mesh) == (p.placements, p.device_mesh)
        assert grad.to_local().shape == p.to_local().shape
    assert all(p.grad is not grad for p, grad in seen)
    assert own == [None] * 4
    norm = torch.cat([whole(grad).reshape(-1) for _, grad in seen]).norm()
    assert abs(float(norm) - opt.last_update.length) < 1e-9 * opt.last_update.length


def fsdp2_with_plain_parameters(_):
    """Only the first layer is sharded; the plain parameters, the same on both ranks, count once."""
    model = net()
    fully_shard(model[0])
    opt = optimizer(model, check_ranks=True)
    for step in range(12):
        x, y = batch(step)
        opt.zero_grad()
        nn.functional.cross_entropy(model(x[mine()]), y[mine()]).backward()
        for p in model[2].parameters():
            dist.all_reduce(p.grad)
            p.grad /= dist.get_world_size()
        opt.step()
    expected, expected_opt = alone(0, 12)
    close(vector(model), vector(expected))
    close(opt.last_update.gram, expected_opt.last_update.gram)


def fsdp2_evaluates_at_the_anchor(_):
    """A forward pass without a backward pass leaves gathered parameters behind: they must not be used again."""
    model = sharded()
    opt = optimizer(model)
    expected, expected_opt = alone(0, 6)
    train(model, opt, 0, 6, mine())
    x, _y = batch(0)
    with torch.no_grad():
        for _ in range(2):
            close(model(x), expected(x))
            with opt.at_anchor(), expected_opt.at_anchor():
                close(model(x), expected(x))
            close(model(x), expected(x))
    train(model, opt, 6, 8, mine())
    train(expected, expected_opt, 6, 8)
    with torch.no_grad():
        close(model(x), expected(x))


def fsdp2_goes_back_to_the_anchor(_):
    model = sharded(torch.bfloat16)
    start = vector(model)
    opt = optimizer(model)
    train(model, opt, 0, 3, mine(), torch.bfloat16)
    walking = vector(model)
    for entry in opt.state_dict()["state"].values():
        assert entry["pgrad"]["displacements"].dtype == torch.float32
        assert entry["pgrad"]["anchor"].dtype == torch.bfloat16
    with opt.at_anchor():
        assert torch.equal(vector(model), start)
    assert torch.equal(vector(model), walking)
    with torch.no_grad():
        model(batch(0, torch.bfloat16)[0])
    opt.discard_rollout()
    assert torch.equal(vector(model), start)
    train(model, opt, 0, 2, mine(), torch.bfloat16)
    opt.finish_rollout()
    assert opt.rollout_position == 0
    assert opt.last_update.length > 0
    same_everywhere(vector(model).view(torch.int16))


def fsdp2_drops_a_rollout_that_one_rank_broke(_):
    model = sharded()
    opt = optimizer(model, nonfinite="raise")
    train(model, opt, 0, 6, mine())
    with opt.at_anchor():
        anchor = vector(model)
    for p in model.parameters():
        if dist.get_rank() == 1:
            p.grad.to_local().fill_(torch.inf)
    opt.step()
    raised(FloatingPointError, opt.step)
    assert gathered(opt.nonfinite_rollouts) == [1, 1]
    assert torch.equal(vector(model), anchor)
    for state in opt.state.values():
        assert all(whole(value).isfinite().all() for value in state.values())
    train(model, opt, 8, 12, mine())
    assert vector(model).isfinite().all()


def tensor_parallel_equals_the_unsharded_run(_):
    """Columns of the first layer, rows of the second; its bias is replicated and counts once."""
    mesh = init_device_mesh("cpu", (2,))

    def even():  # tensor parallelism in torch wants even shards
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double()

    model = parallelize_module(even(), mesh, {"0": ColwiseParallel(), "2": RowwiseParallel()})
    assert model[2].weight.placements == (Shard(1),)
    assert model[2].bias.placements[0].is_replicate()
    opt = optimizer(model, check_ranks=True)
    train(model, opt, 0, 12)
    expected = even()
    expected_opt = optimizer(expected)
    train(expected, expected_opt, 0, 12)
    close(vector(model), vector(expected))
    close(opt.last_update.gram, expected_opt.last_update.gram)


def partial_and_flattened_parameters_are_refused(_):
    mesh = init_device_mesh("cpu", (2,))
    partial = nn.Parameter(DTensor.from_local(torch.ones(3), mesh, [Partial()]))
    assert "Partial" in raised(ValueError, pgrad.PGrad, [partial], rollout_length=4)
    for use_orig_params in (True, False):
        flat = FullyShardedDataParallel(net(), use_orig_params=use_orig_params, device_id=torch.device("cpu"))
        assert "fully_shard" in raised(ValueError, pgrad.PGrad, flat.parameters(), rollout_length=4)


def state_of_the_optimizer_copies(_):
    """deepcopy of the state dict of a sharded roll-out goes into a fresh optimizer."""
    model = sharded()
    opt = optimizer(model)
    train(model, opt, 0, 7, mine())
    state, parameters = copy.deepcopy(opt.state_dict()), [p.detach().clone() for p in model.parameters()]
    train(model, opt, 7, 12, mine())
    again = sharded()
    with torch.no_grad():
        for p, value in zip(again.parameters(), parameters, strict=True):
            p.copy_(value)
    fresh = optimizer(again)
    fresh.load_state_dict(state)
    train(again, fresh, 7, 12, mine())
    assert torch.equal(vector(again), vector(model))


CHECKS = [
    ddp_parameters_stay_bit_identical,
    ddp_float32_stays_bit_identical,
    ddp_accumulates_gradients_with_no_sync,
    ddp_with_rollout_closures,
    sampler_gives_ranks_one_domain_and_their_own_samples,
    diverged_rank_is_named_on_all_ranks,
    weights_set_on_all_ranks_end_the_roll_out,
    weights_set_in_shards_end_the_roll_out,
    check_of_ranks_follows_the_debug_level,
    rank_without_a_gradient_is_named,
    fsdp2_equals_the_unsharded_run,
    fsdp2_needs_one_all_reduce_per_outer_step,
    fsdp2_principal_gradient_is_a_dtensor,
    fsdp2_with_plain_parameters,
    fsdp2_evaluates_at_the_anchor,
    fsdp2_goes_back_to_the_anchor,
    fsdp2_drops_a_rollout_that_one_rank_broke,
    tensor_parallel_equals_the_unsharded_run,
    partial_and_flattened_parameters_are_refused,
    state_of_the_optimizer_copies,
]
