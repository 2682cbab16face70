"""Checks of torch.distributed.checkpoint, run by run_checks.py on two and on four ranks, in turns.

Every launch saves into its folder what the next one, on another number of ranks, resumes from.
"""

import copy
import tempfile
from functools import partial

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from common import alone, close, gathered, mine, net, optimizer, raised, same_everywhere, train, vector
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from pgrad.integrations.distributed import optimizer_template

SAVED_AT = 7  # in the second roll-out of four steps
STOP = 14


def sharded(seed=0):
    model = net(seed=seed)
    fully_shard(model[0])
    fully_shard(model)
    return model


def replicated(seed=0):
    return DistributedDataParallel(net(seed=seed))


def hybrid(seed=0):
    mesh = init_device_mesh("cpu", (dist.get_world_size() // 2, 2), mesh_dim_names=("replicate", "shard"))
    model = net(seed=seed)
    fully_shard(model, mesh=mesh)
    return model


def save(folder, model, opt):
    state = {"model": get_model_state_dict(model), "optimizer": get_optimizer_state_dict(model, opt), "more": {"x": 1}}
    dcp.save(state, checkpoint_id=folder)


def load(folder, model, opt):
    state = {"model": get_model_state_dict(model), "optimizer": optimizer_template(model, opt, folder)}
    dcp.load(state, checkpoint_id=folder)
    set_model_state_dict(model, state["model"])
    set_optimizer_state_dict(model, opt, state["optimizer"])


def shared_folder():
    """A folder for one check, the same on all ranks."""
    return gathered(tempfile.mkdtemp())[0]


def resumes_bit_for_bit(_):
    """At every position of a roll-out, the first included, and for several inner and outer optimizers."""
    kinds = [
        {"inner": torch.optim.Adam},
        {"inner": partial(torch.optim.SGD, momentum=0.9), "outer": torch.optim.Adam},
        {"inner": partial(torch.optim.AdamW, amsgrad=True), "outer": torch.optim.SGD, "n_components": None},
    ]
    cases = [(sharded, position) for position in (1, 2, 3, 4, 7)] + [(replicated, 6), (hybrid, 7)]
    for n, (make, position) in enumerate(cases):
        options = kinds[n % len(kinds)]
        folder = shared_folder()
        model = make()
        opt = optimizer(model, **options)
        train(model, opt, 0, position, mine())
        save(folder, model, opt)
        train(model, opt, position, STOP, mine())
        again = make(seed=1)
        fresh = optimizer(again, **options)
        load(folder, again, fresh)
        assert fresh.rollout_position == position % 4
        train(again, fresh, position, STOP, mine())
        if make is replicated:  # DDP fills its buckets in another order in its first step, which changes the sums
            close(vector(again), vector(model), 1e-13)
        else:
            assert torch.equal(vector(again), vector(model)), (make, position)
        same_everywhere(vector(again))


def resumes_in_an_optimizer_that_was_walking(_):
    """At another position, with gradients: what it had is replaced."""
    folder = shared_folder()
    model = sharded()
    opt = optimizer(model)
    train(model, opt, 0, SAVED_AT, mine())
    save(folder, model, opt)
    train(model, opt, SAVED_AT, SAVED_AT + 6, mine())
    after = vector(model)
    train(model, opt, 20, 22, mine())
    load(folder, model, opt)
    train(model, opt, SAVED_AT, SAVED_AT + 6, mine())
    assert torch.equal(vector(model), after)


def resumes_without_inner_state(_):
    """Plain SGD inside has no state of its own: the entries hold nothing but the roll-out."""
    folder = shared_folder()
    options = {"inner": torch.optim.SGD}
    model = sharded()
    opt = optimizer(model, **options)
    train(model, opt, 0, 6, mine())
    opt.zero_grad()
    save(folder, model, opt)
    assert opt.rollout_position == 2, "saving is not a step"
    train(model, opt, 6, STOP, mine())
    again = sharded(seed=1)
    fresh = optimizer(again, **options)
    load(folder, again, fresh)
    train(again, fresh, 6, STOP, mine())
    assert torch.equal(vector(again), vector(model))


def without_a_template_a_rollout_is_refused(_):
    """torch drops what its own template lacks; then nothing may change."""
    folder = shared_folder()
    model = sharded()
    opt = optimizer(model)
    train(model, opt, 0, SAVED_AT, mine())
    save(folder, model, opt)
    again = sharded(seed=1)
    fresh = optimizer(again)
    state = {"optimizer": get_optimizer_state_dict(again, fresh)}
    assert fresh.rollout_position == 0, "making a template is not a step"
    dcp.load(state, checkpoint_id=folder)
    message = raised(ValueError, set_optimizer_state_dict, again, fresh, state["optimizer"])
    assert "optimizer_template" in message
    assert "['anchor', 'displacements']" in message
    assert fresh.rollout_position == 0


def without_a_template_an_anchor_is_enough(_):
    """Between roll-outs the usual calls of torch do, also for the moments of the outer optimizer."""
    folder = shared_folder()
    model = sharded()
    opt = optimizer(model)
    train(model, opt, 0, 8, mine())
    save(folder, model, opt)
    train(model, opt, 8, STOP, mine())
    again = sharded(seed=1)
    fresh = optimizer(again)
    state = {"model": get_model_state_dict(again), "optimizer": get_optimizer_state_dict(again, fresh)}
    dcp.load(state, checkpoint_id=folder)
    set_model_state_dict(again, state["model"])
    set_optimizer_state_dict(again, fresh, state["optimizer"])
    train(again, fresh, 8, STOP, mine())
    assert torch.equal(vector(again), vector(model))


def full_state_dicts_resume_at_an_anchor(_):
    """Gathered on rank 0, as for a file of torch.save, and cut again; refused on all ranks within a roll-out."""
    gather = StateDictOptions(full_state_dict=True, cpu_offload=True)
    spread = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
    for position in (8, SAVED_AT):
        model = sharded()
        opt = optimizer(model)
        train(model, opt, 0, position, mine())
        parameters = get_model_state_dict(model, options=gather)
        state = get_optimizer_state_dict(model, opt, options=gather)
        again = sharded(seed=1)
        fresh = optimizer(again)
        set_model_state_dict(again, parameters, options=spread)
        if position == SAVED_AT:
            raised(ValueError, set_optimizer_state_dict, again, fresh, state, options=spread)
            assert fresh.rollout_position == 0
            continue
        set_optimizer_state_dict(again, fresh, copy.deepcopy(state), options=spread)  # torch shares Adam's "step"
        for one, its in ((again, fresh), (model, opt)):
            train(one, its, position, STOP, mine())
        assert torch.equal(vector(again), vector(model))


def flattened_state_dicts_are_refused(_):
    """torch flattens by the names that the receiving optimizer has, so that ours get lost."""
    flat = StateDictOptions(flatten_optimizer_state_dict=True)
    for position in (SAVED_AT, 8):
        model = sharded()
        opt = optimizer(model)
        train(model, opt, 0, position, mine())
        state = get_optimizer_state_dict(model, opt, options=flat)
        raised(ValueError, set_optimizer_state_dict, model, opt, state, options=flat)
        assert opt.rollout_position == position % 4


def asynchronous_save_resumes(_):
    folder = shared_folder()
    model = sharded()
    opt = optimizer(model)
    train(model, opt, 0, SAVED_AT, mine())
    state = {"model": get_model_state_dict(model), "optimizer": get_optimizer_state_dict(model, opt)}
    future = dcp.async_save(state, checkpoint_id=folder, process_group=dist.new_group())
    train(model, opt, SAVED_AT, STOP, mine())  # while it is written
    future.result()
    dist.barrier()
    again = sharded(seed=1)
    fresh = optimizer(again)
    load(folder, again, fresh)
    train(again, fresh, SAVED_AT, STOP, mine())
    assert torch.equal(vector(again), vector(model))


def template_of_something_else_is_refused(_):
    folder = shared_folder()
    model = sharded()
    opt = optimizer(model)
    train(model, opt, 0, 2, mine())
    save(folder, model, opt)
    assert "got 'optim'; the checkpoint has ['model', 'more', 'optimizer']" in raised(
        KeyError, optimizer_template, model, opt, folder, "optim"
    )
    smaller = net()[:1]
    assert "'2.weight'" in raised(ValueError, optimizer_template, smaller, optimizer(smaller), folder)


def resumes_on_another_number_of_ranks(folder):
    """What the launch before has left, whichever way it was spread; equal to the run without ranks."""
    before = sorted(folder.glob("from-*"))
    if before:
        for saved in before[-1].iterdir():
            for make in (sharded, replicated, hybrid):
                model = make(seed=1)
                opt = optimizer(model)
                load(saved, model, opt)
                assert opt.rollout_position == 3
                train(model, opt, SAVED_AT, STOP, mine())
                same_everywhere(vector(model))
                close(vector(model), vector(alone(0, STOP)[0]))
    dist.barrier()
    here = folder / f"from-{len(before)}-{dist.get_world_size()}"
    for make in (sharded, replicated, hybrid):
        model = make()
        opt = optimizer(model)
        train(model, opt, 0, SAVED_AT, mine())
        save(here / make.__name__, model, opt)


CHECKS = [
    resumes_bit_for_bit,
    resumes_in_an_optimizer_that_was_walking,
    resumes_without_inner_state,
    without_a_template_a_rollout_is_refused,
    without_a_template_an_anchor_is_enough,
    full_state_dicts_resume_at_an_anchor,
    flattened_state_dicts_are_refused,
    asynchronous_save_resumes,
    template_of_something_else_is_refused,
    resumes_on_another_number_of_ranks,
]
