"""Weights that somebody else sets in the middle of a roll-out stay, are the new anchor, and it is said once."""

import copy
import pickle
import warnings
from contextlib import nullcontext

import pytest
import torch
from torch import nn

import pgrad
from tests.pgrad.problems import loss, model, train, vector

AGGREGATIONS = {"principal": pgrad.aggregation.principal, "displacement": pgrad.aggregation.displacement}
SAID = "parameters were set from outside after 2 of 4 steps of a roll-out"


def optimizer(net, aggregation="principal", **options):
    """An outer step that keeps little of the way, so that what it undoes is seen."""
    return pgrad.PGrad(net.parameters(), 1e-2, 4, outer_lr=0.1, aggregation=AGGREGATIONS[aggregation], **options)


def copied(net, other):
    with torch.no_grad():
        for p, q in zip(net.parameters(), other.parameters(), strict=True):
            p.copy_(q)


def copied_unseen(net, other):
    """As Lightning's WeightAveraging writes, and as most averages of weights do: torch counts no write."""
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        p.data.copy_(q.data)


def exchanged(net, other):
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        p.data = q.data.clone()


def as_a_vector(net, other):
    nn.utils.vector_to_parameters(nn.utils.parameters_to_vector(other.parameters()).detach(), net.parameters())


def averaged(net, other):
    average = pgrad.averaging.Mean(other)
    average.update()
    average.copy_to(net)


SETTERS = {
    "load_state_dict": lambda net, other: net.load_state_dict(other.state_dict()),
    "copy_": copied,
    "data.copy_": copied_unseen,
    "data =": exchanged,
    "vector_to_parameters": as_a_vector,
    "an average": averaged,
}
USES = {
    "step": lambda net, opt: train(net, opt, 6, 7),
    "rollout": lambda net, opt: opt.rollout([lambda: backward(net, 6)] * 4),
    "finish": lambda net, opt: opt.finish_rollout(),
    "discard": lambda net, opt: opt.discard_rollout(),
}


def backward(net, step):
    value = loss(net, step)
    value.backward()
    return value


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("setter", SETTERS)
def test_they_are_the_new_anchor(setter, aggregation):
    """What follows equals the run of an optimizer that was told so."""
    net, twin, other = model(), model(), model(seed=5)
    opt, told = optimizer(net, aggregation), optimizer(twin, aggregation)
    train(net, opt, 0, 6)
    train(twin, told, 0, 6)
    SETTERS[setter](net, other)
    twin.load_state_dict(other.state_dict())
    told.forget_rollout()
    with pytest.warns(UserWarning, match=SAID):
        train(net, opt, 6, 7)
    train(net, opt, 7, 17)  # said once: warnings are errors here
    train(twin, told, 6, 17)
    assert torch.equal(vector(net), vector(twin))
    assert opt.rollout_position == told.rollout_position == 3


@pytest.mark.parametrize("setter", SETTERS)
@pytest.mark.parametrize("use", USES)
def test_nothing_undoes_them(use, setter):
    net, other = model(), model(seed=5)
    opt = optimizer(net)
    train(net, opt, 0, 6)
    SETTERS[setter](net, other)
    with pytest.warns(UserWarning, match=SAID):
        USES[use](net, opt)
    if use in ("finish", "discard"):
        assert torch.equal(vector(net), vector(other))
    assert opt.rollout_position == (use == "step")


@pytest.mark.parametrize("setter", SETTERS)
def test_the_anchor_is_what_was_loaded(setter):
    """So that an evaluation inside at_anchor, after the best checkpoint was loaded, is one of that checkpoint."""
    net, other = model(), model(seed=5)
    opt = optimizer(net)
    train(net, opt, 0, 6)
    SETTERS[setter](net, other)
    with opt.at_anchor():
        assert torch.equal(vector(net), vector(other))
    assert torch.equal(vector(net), vector(other))
    with pytest.warns(UserWarning, match=SAID):
        train(net, opt, 6, 7)


@pytest.mark.parametrize("setter", SETTERS)
def test_what_is_saved_with_them_begins_there(setter):
    """A model and a state dict that are saved while other weights are in the model belong together."""
    net, twin, other = model(), model(), model(seed=5)
    opt, told = optimizer(net), optimizer(twin)
    train(net, opt, 0, 6)
    train(twin, told, 0, 6)
    own = vector(net)
    SETTERS[setter](net, other)
    with pytest.warns(UserWarning, match=r"called at step 2 of a roll-out while the parameters held other weights"):
        saved = copy.deepcopy((net.state_dict(), opt.state_dict()))
    opt.state_dict()  # said once
    nn.utils.vector_to_parameters(own, net.parameters())
    train(net, opt, 6, 12)
    train(twin, told, 6, 12)
    assert torch.equal(vector(net), vector(twin))  # to save changes nothing
    resumed_net, plain = model(seed=7), model(seed=7)
    resumed, begun = optimizer(resumed_net), optimizer(plain)
    resumed_net.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    train(plain, begun, 0, 6)
    plain.load_state_dict(other.state_dict())
    begun.forget_rollout()
    begun.inner.load_state_dict(copy.deepcopy(resumed.inner.state_dict()))
    begun.outer.load_state_dict(copy.deepcopy(resumed.outer.state_dict()))
    train(resumed_net, resumed, 6, 11)
    train(plain, begun, 6, 11)
    assert torch.equal(vector(resumed_net), vector(plain))
    assert resumed.rollout_position == 1


@pytest.mark.parametrize("setter", SETTERS)
def test_set_while_at_the_anchor(setter):
    net, twin, other = model(), model(), model(seed=5)
    opt, told = optimizer(net), optimizer(twin)
    train(net, opt, 0, 6)
    train(twin, told, 0, 6)
    with pytest.warns(UserWarning, match=SAID), opt.at_anchor():
        SETTERS[setter](net, other)
    twin.load_state_dict(other.state_dict())
    told.forget_rollout()
    train(net, opt, 6, 12)
    train(twin, told, 6, 12)
    assert torch.equal(vector(net), vector(twin))


@pytest.mark.parametrize("setter", SETTERS)
def test_at_an_anchor_there_is_nothing_to_say(setter):
    net, other = model(), model(seed=5)
    opt = optimizer(net)
    train(net, opt, 0, 8)
    SETTERS[setter](net, other)
    train(net, opt, 8, 12)


def test_one_layer_alone():
    net = model()
    opt = optimizer(net)
    train(net, opt, 0, 6)
    with torch.no_grad():
        net[2].bias[1] = 7.0  # the smallest parameter, and one number of it
    with pytest.warns(UserWarning, match=SAID):
        train(net, opt, 6, 8)
    assert opt.rollout_position == 2
    assert abs(net[2].bias[1].item() - 7.0) < 0.1


def test_a_projection_after_every_step_makes_it_the_inner_optimizer():
    net, twin = model(), model()
    opt, plain = optimizer(net), torch.optim.Adam(twin.parameters(), 1e-2)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for step in range(9):
            train(net, opt, step, step + 1)
            train(twin, plain, step, step + 1)
            for p in (*net.parameters(), *twin.parameters()):
                p.detach().clamp_(-0.1, 0.1)
    assert torch.equal(vector(net), vector(twin))
    assert [str(w.message)[:38] for w in found] == [
        "parameters were set from outside after",
        "the last 3 roll-outs all ended so, wit",
    ]


def test_a_projection_that_changes_nothing_is_none():
    """Whether an element is outside the bounds is looked at after every step, and none ever is."""
    net, twin = model(), model()
    for aggregation in AGGREGATIONS:
        opt, plain = optimizer(net, aggregation), optimizer(twin, aggregation)
        for step in range(9):
            train(net, opt, step, step + 1)
            train(twin, plain, step, step + 1)
            for p in net.parameters():
                p.detach().clamp_(-100, 100)
        assert torch.equal(vector(net), vector(twin))


def test_rows_that_an_embedding_clips_in_its_forward_pass():
    torch.manual_seed(0)
    net = nn.Embedding(20, 4, max_norm=1.0)
    opt = optimizer(net)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for _ in range(9):
            opt.zero_grad()
            net(torch.arange(20)).sum().backward()
            opt.step()
    assert ["nn.Embedding(max_norm=...)" in str(w.message) for w in found] == [False, True]
    net.max_norm = None
    opt.forget_rollout()
    opt.inner.register_step_post_hook(lambda *_: torch.renorm(net.weight.detach(), 2, 0, 1.0, out=net.weight.detach()))
    for _ in range(9):
        opt.zero_grad()
        net(torch.arange(20)).sum().backward()
        opt.step()
    assert opt.rollout_position == 1
    assert opt.last_update is not None


# ------------------------------------------------------------------------- writes that torch does not count, and copies


def unseen(net, layer, write):
    write(dict(net.named_parameters())[layer].data)


@pytest.mark.parametrize("layer", [name for name, _ in model().named_parameters()])
@pytest.mark.parametrize("form", [torch.contiguous_format, "transposed", torch.float64])
def test_one_layer_that_torch_did_not_see_written(layer, form):
    net = model()
    if form == "transposed":
        for module in net.modules():
            if isinstance(module, nn.Linear):
                module.weight = nn.Parameter(module.weight.detach().T.contiguous().T)
    elif form == torch.float64:
        dict(net.named_parameters())[layer].data = dict(net.named_parameters())[layer].data.double()
        net = net if layer is None else net.double()
    opt = optimizer(net)
    for step in range(2):
        train_in(net, opt, step)
    unseen(
        net, layer, lambda values: values.view(-1)[-1:].fill_(3.0) if values.is_contiguous() else values[-1].fill_(3)
    )
    with pytest.warns(UserWarning, match=SAID):
        train_in(net, opt, 2)


def train_in(net, opt, step):
    """A step in the dtype of the model."""
    opt.zero_grad()
    generator = torch.Generator().manual_seed(step)
    inputs = torch.randn(8, 6, generator=generator).to(next(net.parameters()).dtype)
    net(inputs).square().mean().backward()
    opt.step()


def test_pictures_in_channels_last():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3)).to(memory_format=torch.channels_last)
    opt = optimizer(net)
    for _ in range(4):
        opt.zero_grad()
        net(torch.randn(2, 3, 8, 8)).square().mean().backward()
        if opt.rollout_position == 2:
            net[1].weight.data[-1] += 1
            with pytest.warns(UserWarning, match=SAID):
                opt.step()
            return
        opt.step()


@pytest.mark.parametrize("copies", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))])
@pytest.mark.parametrize("setter", SETTERS)
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_a_copy_notices_them_too(aggregation, setter, copies):
    net = model()
    opt = optimizer(net, aggregation)
    train(net, opt, 0, 6)
    twin, again = copies((net, opt))
    train(twin, again, 6, 11)  # nothing to say
    twin, again = copies((net, opt))
    SETTERS[setter](twin, model(seed=5))
    with pytest.warns(UserWarning, match=SAID):
        train(twin, again, 6, 7)


def test_a_copy_says_that_it_lost_the_sampler():
    net = model()
    sampler = pgrad.DomainBatchSampler([0] * 8 + [1] * 8, batch_size=2)
    opt = pgrad.PGrad(net.parameters(), rollout_length=sampler)
    twin, again = copy.deepcopy((net, opt))
    with pytest.warns(UserWarning, match=r"does not know the sampler.*set opt.rollout_length = sampler"):
        train(twin, again, 0, 1)
    again.discard_rollout()
    again.rollout_length = sampler
    twin, again = copy.deepcopy(copy.deepcopy((net, opt)))  # a copy of a copy
    again.rollout_length = 2
    train(twin, again, 0, 1)


def test_a_projection_in_a_hook_of_the_inner_optimizer_is_part_of_its_step():
    net = model()
    opt = optimizer(net)
    opt.inner.register_step_post_hook(lambda *_: [p.detach().clamp_(-0.1, 0.1) for p in net.parameters()])
    train(net, opt, 0, 6)
    assert opt.rollout_position == 2
    assert float(vector(net).abs().max()) <= 0.1 + 1e-7


# --------------------------------------------------------------------------------------------------- there and back


def load_and_back(net, other):
    kept = copy.deepcopy(net.state_dict())
    net.load_state_dict(other.state_dict())
    net.load_state_dict(kept)


def swapped_and_back(net, other):
    kept = [p.data.clone() for p in net.parameters()]
    copied_unseen(net, other)
    for p, value in zip(net.parameters(), kept, strict=True):
        p.data.copy_(value)


def average_and_back(net, other):
    average = pgrad.averaging.Mean(net)
    average.update()
    with average.applied():
        net(torch.zeros(1, 6))


def other_memory(net, other):
    for p in net.parameters():
        p.data = p.data.clone()


def wider_and_back(net, other):
    net.double()
    net.float()


BACK = [load_and_back, swapped_and_back, average_and_back, other_memory, wider_and_back]


@pytest.mark.parametrize("where", ["between two steps", "at the anchor", "resumed", "copied"])
@pytest.mark.parametrize("there", BACK)
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_there_and_back_changes_nothing(aggregation, there, where):
    net, twin = model(), model()
    opt, other = optimizer(net, aggregation), optimizer(twin, aggregation)
    train(net, opt, 0, 6)
    train(twin, other, 0, 12)
    if where == "copied":
        net, opt = copy.deepcopy((net, opt))
    elif where == "resumed":
        weights, state = copy.deepcopy((net.state_dict(), opt.state_dict()))
        net = model(seed=9)
        opt = optimizer(net, aggregation)
        net.load_state_dict(weights)
        opt.load_state_dict(state)
        with opt.at_anchor():
            pass
    with opt.at_anchor() if where == "at the anchor" else nullcontext():
        for _ in range(3):
            there(net, model(seed=5))
    opt.state_dict()
    assert opt.rollout_position == 2
    train(net, opt, 6, 12)
    assert torch.equal(vector(net), vector(twin))


def test_one_number_after_a_write_of_the_same_numbers():
    """With the last point alone nothing is stored to tell by: from the first write on, all bits are summed up."""
    net = nn.Linear(100, 100)
    opt = optimizer(net, "displacement")
    for step in range(2):
        train_wide(net, opt, step)
    net.load_state_dict(copy.deepcopy(net.state_dict()))
    train_wide(net, opt, 2)
    with torch.no_grad():
        net.weight[50, 51] += 1e-6
    with pytest.warns(UserWarning, match="after 3 of 4 steps"):
        train_wide(net, opt, 3)


def train_wide(net, opt, step):
    opt.zero_grad()
    net(torch.randn(8, 100, generator=torch.Generator().manual_seed(step))).square().mean().backward()
    opt.step()


def test_a_followed_average_is_applied_and_taken_back_at_the_anchor():
    net, twin = model(), model()
    opt, other = optimizer(net), optimizer(twin)
    average = pgrad.averaging.EMA(net, decay=0.5).follow(opt)
    train(net, opt, 0, 6)
    train(twin, other, 0, 12)
    with average.applied():
        pass
    with opt.at_anchor(), average.applied():
        pass
    train(net, opt, 6, 12)
    assert torch.equal(vector(net), vector(twin))


# ------------------------------------------------------------------------------------- the model of a loaded optimizer


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("killed", [6, 8])
@pytest.mark.parametrize("first", ["model", "optimizer"])
def test_model_and_optimizer_are_loaded_in_any_order(first, killed, aggregation):
    straight = model()
    opt = optimizer(straight, aggregation)
    train(straight, opt, 0, killed)
    weights, state = copy.deepcopy((straight.state_dict(), opt.state_dict()))
    train(straight, opt, killed, 12)
    net = model(seed=9)
    resumed = optimizer(net, aggregation)
    train(net, resumed, 0, 3)  # a used one: what it knew about its parameters must not matter
    if first == "model":
        net.load_state_dict(weights)
        with pytest.warns(UserWarning, match="set from outside") if killed == 6 else warnings.catch_warnings():
            resumed.finish_rollout() if killed == 6 else resumed.forget_rollout()
        resumed.load_state_dict(state)
    else:
        resumed.load_state_dict(state)
        net.load_state_dict(weights)
    train(net, resumed, killed, 12)
    assert torch.equal(vector(net), vector(straight))


@pytest.mark.parametrize("killed", [6, 8])
def test_a_model_that_was_not_loaded_is_noticed(killed):
    straight = model()
    opt = optimizer(straight)
    train(straight, opt, 0, killed)
    net = model(seed=9)
    resumed = optimizer(net)
    resumed.load_state_dict(opt.state_dict())
    before = vector(net)
    said = "the weights are not those with which the optimizer's state_dict was saved"
    dropped = ", so that the 2 steps of its roll-out were dropped: load"
    with resumed.at_anchor():
        assert torch.equal(vector(net), before)
    with pytest.warns(UserWarning, match=said + (dropped if killed == 6 else ": load")):
        train(net, resumed, killed, killed + 1)
    assert resumed.rollout_position == 1
    train(net, resumed, killed + 1, 12)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_a_state_dict_before_the_model_is_loaded_passes_on_what_is_known(aggregation):
    """As accelerate.prepare does, which takes the state dict and loads it again."""
    straight = model()
    opt = optimizer(straight, aggregation)
    train(straight, opt, 0, 6)
    weights, state = copy.deepcopy((straight.state_dict(), opt.state_dict()))
    train(straight, opt, 6, 12)
    net = model(seed=9)
    resumed = optimizer(net, aggregation)
    resumed.load_state_dict(state)
    resumed.load_state_dict(copy.deepcopy(resumed.state_dict()))
    net.load_state_dict(weights)
    train(net, resumed, 6, 12)
    assert torch.equal(vector(net), vector(straight))


def test_an_anchor_that_was_saved_beside_the_optimizer_of_an_inner_iterate_is_noticed():
    net = model()
    opt = optimizer(net)
    train(net, opt, 0, 6)
    with opt.at_anchor():
        weights = copy.deepcopy(net.state_dict())
    again = model(seed=9)
    resumed = optimizer(again)
    resumed.load_state_dict(opt.state_dict())
    again.load_state_dict(weights)
    with pytest.warns(UserWarning, match=r"the 2 steps of its roll-out were dropped.*outside at_anchor"):
        train(again, resumed, 6, 7)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_model_in_another_dtype_is_the_same_model(dtype):
    net = model()
    opt = optimizer(net)
    train(net, opt, 0, 8)
    other = model(seed=9).to(dtype)
    resumed = optimizer(other)
    resumed.load_state_dict(opt.state_dict())
    other.load_state_dict(net.state_dict())
    train(other, resumed, 8, 10)


def test_a_state_dict_from_before_this_was_known_is_loaded_without_a_word():
    net = model()
    opt = optimizer(net)
    train(net, opt, 0, 8)
    state = copy.deepcopy(opt.state_dict())
    del state["param_groups"][0]["pgrad"]["weights"]
    other = model(seed=9)
    resumed = optimizer(other)
    resumed.load_state_dict(state)
    train(other, resumed, 8, 12)


def test_the_warning_stands_at_the_line_of_the_user():
    net = model()
    opt = optimizer(net)
    train(net, opt, 0, 6)
    net.load_state_dict(model(seed=5).state_dict())
    with pytest.warns(UserWarning, match=SAID) as said:
        opt.step()
    assert said[0].filename == __file__
