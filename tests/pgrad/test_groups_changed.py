"""Parameter groups, state and settings that the user edits or replaces: as with torch.optim, never in silence."""

import copy
import functools

import pytest
import torch
from torch import nn

import pgrad
from pgrad.reference import principal_gradient
from tests.pgrad.problems import model, train, vector

SGD = functools.partial(torch.optim.SGD, momentum=0.9)


def in_two_groups(net, **options):
    head, body = [net[2].weight, net[2].bias], [net[0].weight, net[0].bias]
    groups = [{"params": body}, {"params": head, "lr": 0.02}]
    return pgrad.PGrad(groups, 1e-2, 3, outer=SGD, **options)


def assign_copies(opt):
    """As Lightning's BaseFinetuning does when it resumes."""
    opt.param_groups = [dict(group) for group in opt.param_groups]


def new_lists(opt):
    for group in opt.param_groups:
        group["params"] = list(group["params"])


def through_inner(opt):
    opt.inner.param_groups = [dict(group) for group in opt.param_groups]


def reassign_state(opt):
    opt.state = opt.state
    opt.defaults = dict(opt.defaults)


@pytest.mark.parametrize("position", [0, 2])
@pytest.mark.parametrize("change", [assign_copies, new_lists, through_inner, reassign_state])
def test_the_same_groups_anew_change_nothing(change, position):
    net, twin = model(), model()
    opt, other = in_two_groups(net), in_two_groups(twin)
    train(net, opt, 0, 3 + position)
    change(opt)
    assert opt.param_groups is opt.inner.param_groups
    train(net, opt, 3 + position, 9)
    train(twin, other, 0, 9)
    assert torch.equal(vector(net), vector(twin))
    again = in_two_groups(copy.deepcopy(net))
    again.load_state_dict(opt.state_dict())
    assert len(opt.outer.param_groups) == 2


def test_a_scheduler_lives_on_after_groups_were_replaced():
    net = model()
    opt = in_two_groups(net)
    schedule = torch.optim.lr_scheduler.StepLR(opt, 1, 0.5)
    outside = torch.optim.lr_scheduler.StepLR(opt.outer, 1, 0.1)
    train(net, opt, 0, 3)
    assign_copies(opt)
    train(net, opt, 3, 6)
    schedule.step()
    outside.step()
    assert [group["lr"] for group in opt.param_groups] == [0.005, 0.01]
    assert [group["lr"] for group in opt.outer.param_groups] == [0.1, 0.1]


def test_options_of_the_outer_groups_stay_with_their_parameters():
    net = model()
    opt = in_two_groups(net)
    opt.outer.param_groups[1]["lr"] = 0.3
    head = opt.param_groups[1]
    opt.param_groups.pop(0)
    train(net, opt, 0, 3)
    assert opt.param_groups == [head]
    assert [group["lr"] for group in opt.outer.param_groups] == [0.3]
    assert [p.shape for p in opt.outer.param_groups[0]["params"]] == [net[2].weight.shape, net[2].bias.shape]


@pytest.mark.parametrize("how", ["pop group", "pop parameter", "assign"])
def test_what_is_taken_out_stays_where_it_is_and_the_rest_goes_on(how):
    """In the middle of a roll-out too: as if the rest had been alone."""
    net, twin = model(), model()
    opt = in_two_groups(net, outer_lr=0.1, inner=torch.optim.SGD)
    rest = [twin[0].weight, twin[0].bias, twin[2].weight][: 3 if how == "pop parameter" else 2]
    rates = [0.01, 0.01, 0.02]
    other = pgrad.PGrad(
        [{"params": [p], "lr": rate} for p, rate in zip(rest, rates, strict=False)],
        rollout_length=3,
        outer=SGD,
        outer_lr=0.1,
        inner=torch.optim.SGD,
    )
    taken = [net[2].bias] if how == "pop parameter" else [net[2].weight, net[2].bias]
    same = dict(zip((p for p in net.parameters()), twin.parameters(), strict=True))

    def gradients(step):
        generator = torch.Generator().manual_seed(step)
        for p, q in same.items():
            p.grad = torch.randn(p.shape, generator=generator)
            q.grad = p.grad.clone()

    for step in range(2):
        gradients(step)
        opt.step()
        other.step()
    if how == "pop group":
        opt.param_groups.pop()
    elif how == "pop parameter":
        opt.param_groups[1]["params"].pop()
    else:
        opt.param_groups = opt.param_groups[:1]
    there = [p.detach().clone() for p in taken]
    for step in range(2, 8):
        gradients(step)
        opt.step()
        other.step()
    assert all(torch.equal(p, q) for p, q in zip(taken, there, strict=True))
    assert all(torch.equal(p, same[p]) for p in net.parameters() if same[p] in {*rest})


@pytest.mark.parametrize("position", [0, 1])
def test_a_parameter_exchanged_inside_its_group_trains(position):
    one = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    old, new = (nn.Parameter(torch.tensor([2.0], dtype=torch.float64)) for _ in range(2))
    opt = pgrad.PGrad([one, old], lr=0.1, rollout_length=3, inner=torch.optim.SGD)
    for _ in range(3 + position):
        one.grad, old.grad = torch.ones_like(one), torch.ones_like(old)
        opt.step()
    there = old.item()
    opt.param_groups[0]["params"][1] = new
    points = [[one.item() + 0.1 * position, new.item()]] + [[one.item(), new.item()]] * position
    for _ in range(3 - position):
        one.grad, new.grad = torch.ones_like(one), torch.ones_like(new)
        opt.step()
        points.append([points[-1][0] - 0.1, points[-1][1] - 0.1])
    points = torch.tensor(points, dtype=torch.float64)
    assert torch.allclose(torch.cat([one, new]), points[0] - principal_gradient(points, 4))
    assert old.item() == there


def test_a_parameter_appended_by_hand_trains():
    net = model()
    opt = pgrad.PGrad(net[0].parameters(), 1e-2, 3)
    opt.param_groups[0]["params"] += list(net[2].parameters())
    before = net[2].weight.clone()
    train(net, opt, 0, 3)
    assert not torch.equal(net[2].weight, before)
    assert net[2].weight in opt.state


def test_state_may_be_cleared():
    """As to restart the moments of torch.optim.Adam."""
    net, twin = model(), model()
    opt = pgrad.PGrad(net.parameters(), 1e-2, 3)
    train(net, opt, 0, 3)
    twin.load_state_dict(net.state_dict())
    opt.state = type(opt.state)(dict)
    train(net, opt, 3, 6)
    train(twin, pgrad.PGrad(twin.parameters(), 1e-2, 3), 3, 6)
    assert torch.equal(vector(net), vector(twin))


def test_the_outer_learning_rate_may_be_set_at_any_time():
    net, twin = model(), model()
    groups = [{"params": net[0].parameters()}, {"params": net[2].parameters()}]
    opt, other = pgrad.PGrad(groups, 1e-2, 3), pgrad.PGrad(twin.parameters(), 1e-2, 3, outer_lr=0.5)
    assert opt.outer_lr == 1.0
    train(net, opt, 0, 2)
    opt.outer_lr = 0.5
    assert [group["lr"] for group in opt.outer.param_groups] == [0.5, 0.5]
    train(net, opt, 2, 7)
    train(twin, other, 0, 7)
    assert torch.equal(vector(net), vector(twin))
    with pytest.raises(ValueError, match=r"outer_lr must be finite and not negative, got -1\.0"):
        opt.outer_lr = -1.0
    assert opt.outer_lr == 0.5


def test_where_displacements_are_stored_may_change_at_an_anchor():
    net, twin = model(), model()
    opt, other = pgrad.PGrad(net.parameters(), 1e-2, 3), pgrad.PGrad(twin.parameters(), 1e-2, 3)
    other.trajectory_dtype, other.trajectory_device = torch.bfloat16, "cpu"
    train(net, opt, 0, 3)
    train(twin, other, 0, 3)
    assert not torch.equal(vector(net), vector(twin))
    other.trajectory_dtype = None
    twin.load_state_dict(net.state_dict())
    other.load_state_dict(copy.deepcopy(opt.state_dict()))
    train(net, opt, 3, 8)
    train(twin, other, 3, 8)
    assert torch.equal(vector(net), vector(twin))
    assert (other.trajectory_dtype, other.trajectory_device) == (None, torch.device("cpu"))
    for name, value in (("trajectory_dtype", torch.float64), ("trajectory_device", None)):
        with pytest.raises(RuntimeError, match=f"{name} may change at an anchor only, but 2 steps"):
            setattr(other, name, value)
    opt.finish_rollout()
    with pytest.raises(TypeError, match=r"trajectory_dtype must be a torch\.dtype"):
        opt.trajectory_dtype = "bf16"
    with pytest.raises(ValueError, match="check_ranks must be True, False or None"):
        opt.check_ranks = "yes"


def test_a_state_dict_of_an_anchor_goes_on_with_other_settings():
    """The moments are kept, the settings are those of the optimizer that loads; it is said for each."""
    net = model()
    opt = pgrad.PGrad(net.parameters(), 1e-2, 3)
    train(net, opt, 0, 6)
    twin = copy.deepcopy(net)
    other = pgrad.PGrad(
        twin.parameters(), 1e-2, 5, n_components=2, aggregation=functools.partial(pgrad.aggregation.displacement)
    )
    with pytest.warns(UserWarning, match="goes on with") as said:
        other.load_state_dict(copy.deepcopy(opt.state_dict()))
    assert sorted(str(w.message).split(" and this")[0] for w in said) == [
        "state_dict was saved with aggregation='principal'",
        "state_dict was saved with n_components=4",
        "state_dict was saved with rollout_length=3",
    ]
    opt.rollout_length, opt.n_components, opt.aggregation = 5, 2, pgrad.aggregation.displacement
    train(net, opt, 6, 17)
    train(twin, other, 6, 17)
    assert torch.equal(vector(net), vector(twin))
    again = pgrad.PGrad(model().parameters(), 1e-2, 3)
    with pytest.raises(ValueError, match=r"in the middle of a roll-out \(position 1\) with rollout_length=5"):
        again.load_state_dict(other.state_dict())


# ------------------------------------------------------------------------------------------------------- by their names


@pytest.mark.parametrize("killed", [3, 5])
def test_named_parameters_are_matched_by_name(killed):
    net = model()
    opt = pgrad.PGrad(net.named_parameters(), 1e-2, 3, outer=SGD)
    train(net, opt, 0, killed)
    weights, state = copy.deepcopy((net.state_dict(), opt.state_dict()))
    train(net, opt, killed, 9)
    other = model(seed=3)
    resumed = pgrad.PGrad(list(other.named_parameters())[::-1], 1e-2, 3, outer=SGD)
    other.load_state_dict(weights)
    resumed.load_state_dict(state)
    assert resumed.param_groups[0]["param_names"] == ["2.bias", "2.weight", "0.bias", "0.weight"]
    train(other, resumed, killed, 9)
    assert torch.allclose(vector(other), vector(net), atol=1e-7)  # sums in another order
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.allclose(opt.state[p]["exp_avg"], resumed.state[q]["exp_avg"], atol=1e-7)


def test_other_names_are_refused():
    class Other(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = nn.Linear(6, 8), nn.Linear(8, 2)

        def forward(self, x):
            return self.head(torch.tanh(self.body(x)))

    net, other = model(), Other()
    opt = pgrad.PGrad(net.named_parameters(), 1e-2, 3)
    train(net, opt, 0, 5)
    resumed = pgrad.PGrad(other.named_parameters(), 1e-2, 3)
    with pytest.raises(ValueError, match=r"names other parameters in group 0: this optimizer lacks \['0.bias'.*'body"):
        resumed.load_state_dict(opt.state_dict())
    unnamed = pgrad.PGrad(other.parameters(), 1e-2, 3)
    other.load_state_dict(dict(zip(other.state_dict(), net.state_dict().values(), strict=True)))
    unnamed.load_state_dict(copy.deepcopy(opt.state_dict()))
    train(net, opt, 5, 9)
    train(other, unnamed, 5, 9)
    assert torch.equal(vector(net), vector(other))


@pytest.mark.parametrize(
    "rename",
    [
        "_orig_mod.{}".format,
        "module.{}".format,
        "module._orig_mod.{}".format,
        "_orig_mod.module.{}".format,
        lambda name: name.replace("0.", "0._orig_mod.").replace("2.", "2._checkpoint_wrapped_module."),
    ],
)
@pytest.mark.parametrize("saves", [True, False])
def test_names_match_inside_the_wrappers_of_torch(rename, saves):
    """In another order too; whichever side is wrapped."""
    net, twin = model(), model(seed=3)
    plain, wrapped = list(net.named_parameters()), [(rename(n), p) for n, p in list(twin.named_parameters())[::-1]]
    named = (wrapped, plain) if saves else (plain, wrapped)
    nets = (twin, net) if saves else (net, twin)
    opt, resumed = (pgrad.PGrad(names, 1e-2, 3) for names in named)
    train(nets[0], opt, 0, 5)
    nets[1].load_state_dict(nets[0].state_dict())
    resumed.load_state_dict(copy.deepcopy(opt.state_dict()))
    for one, other in ((nets[0], opt), (nets[1], resumed)):
        train(one, other, 5, 9)
    assert torch.allclose(vector(nets[0]), vector(nets[1]), atol=1e-7)  # sums in another order


def test_names_that_are_the_same_inside_wrappers_are_refused():
    def named(*names):
        return [(name, nn.Parameter(torch.ones(3))) for name in names]

    opt = pgrad.PGrad(named("module.a", "b"), 1e-2, 3)
    both = pgrad.PGrad(named("module.a", "a"), 1e-2, 3)
    for one, other in ((opt, both), (both, opt), (both, pgrad.PGrad(named("a", "_orig_mod.a"), 1e-2, 3))):
        with pytest.raises(ValueError, match=r"names other parameters.*of the module inside DDP or torch\.compile"):
            one.load_state_dict(copy.deepcopy(other.state_dict()))


def test_a_compiled_model_goes_on_from_one_that_was_not():
    net = model()
    opt = pgrad.PGrad(net.named_parameters(), 1e-2, 3)
    train(net, opt, 0, 5)
    compiled = torch.compile(model(seed=3), backend="eager")
    resumed = pgrad.PGrad(compiled.named_parameters(), 1e-2, 3)
    compiled._orig_mod.load_state_dict(net.state_dict())
    resumed.load_state_dict(copy.deepcopy(opt.state_dict()))
    assert resumed.param_groups[0]["param_names"][0] == "_orig_mod.0.weight"
    for one, other in ((net, opt), (compiled._orig_mod, resumed)):
        train(one, other, 5, 9)
    assert torch.equal(vector(net), vector(compiled))


# ---------------------------------------------------------------------------------------------- through a wrapper


def test_what_is_done_to_a_wrapper_of_lightning_is_done_to_the_optimizer():
    """It imitates the class, so that properties and methods of the class run on it."""
    core = pytest.importorskip("lightning.pytorch.core.optimizer", reason="lightning is in the extra test")
    net = model()
    opt = pgrad.PGrad(net[0].parameters(), 1e-2, 3)
    wrapper = core.LightningOptimizer(opt)
    wrapper.add_param_group({"params": list(net[2].parameters()), "lr": 0.5})
    assert [group["lr"] for group in opt.param_groups] == [0.01, 0.5]
    wrapper.param_groups = opt.param_groups[1:]
    assert [group["lr"] for group in opt.inner.param_groups] == [0.5]
    wrapper.rollout_length, wrapper.trajectory_dtype = 2, torch.bfloat16
    assert (opt.rollout_length, opt.trajectory_dtype) == (2, torch.bfloat16)
    train(net, opt, 0, 2)
    assert len(opt.outer.param_groups) == 1
    assert opt.last_update is not None
