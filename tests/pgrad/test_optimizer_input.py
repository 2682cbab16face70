"""Bad input: an error that says what was expected and what was found, and nothing has changed."""

import copy
import functools
import math
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

import pgrad
from pgrad._trial import keeps_weights
from tests.pgrad.problems import loss, model, train, vector

CONSTRUCTOR = [
    ({"lr": -1.0}, ValueError, "lr must be finite and not negative, got -1.0"),
    ({"lr": math.nan}, ValueError, "lr must be finite and not negative, got nan"),
    ({"lr": "0.1"}, TypeError, "lr must be a number, got '0.1'"),
    ({"lr": None}, TypeError, "lr must be a number, got None"),
    ({"lr": True}, TypeError, "lr must be a number, got True"),
    ({"lr": torch.ones(2)}, TypeError, "lr must be a number"),
    ({"outer_lr": -0.1}, ValueError, "outer_lr must be finite and not negative, got -0.1"),
    ({"outer_lr": math.inf}, ValueError, "outer_lr must be finite"),
    ({"outer_lr": [0.1]}, TypeError, "outer_lr must be a number"),
    ({"rollout_length": 0}, ValueError, "rollout_length must be at least 1.*got 0"),
    ({"rollout_length": -9}, ValueError, "rollout_length must be at least 1.*got -9"),
    ({"rollout_length": 3.0}, TypeError, "rollout_length must be a positive int.*got 3.0"),
    ({"rollout_length": True}, TypeError, "rollout_length must be a positive int.*got True"),
    ({"n_components": 0}, ValueError, "n_components must be at least 1.*got 0"),
    ({"n_components": 1.5}, TypeError, "n_components must be a positive int.*got 1.5"),
    ({"inner": "adam"}, TypeError, "inner must be a callable.*got 'adam'"),
    ({"inner": lambda *_, **__: None}, TypeError, "inner must make a torch.optim.Optimizer, got NoneType"),
    ({"outer": 3}, TypeError, "outer must be a callable"),
    ({"outer": lambda params, **_: params}, TypeError, "outer must make a torch.optim.Optimizer, got list"),
    ({"outer": torch.optim.LBFGS}, ValueError, "outer must step without a closure, but LBFGS.step needs one"),
    ({"trajectory_dtype": torch.float16}, ValueError, "trajectory_dtype must be.*got torch.float16"),
    ({"trajectory_dtype": torch.int32}, ValueError, "trajectory_dtype must be.*got torch.int32"),
    ({"trajectory_dtype": "bf16"}, TypeError, "trajectory_dtype must be a torch.dtype"),
    ({"trajectory_device": "nowhere"}, RuntimeError, "trajectory_device must be a device of torch.*got 'nowhere'"),
    ({"trajectory_device": 3.5}, TypeError, "trajectory_device must be a device of torch.*got 3.5"),
    ({"trajectory_device": "meta"}, ValueError, "trajectory_device must hold values, got the meta device"),
    ({"nonfinite": "ignore"}, ValueError, 'nonfinite must be "restore" or "raise", got \'ignore\''),
    ({"rollout_length": object()}, TypeError, "rollout_length must be a positive int, a sampler.*got <object"),
    (
        {"rollout_length": DataLoader([0] * 4, batch_sampler=pgrad.DomainBatchSampler([0, 0, 1, 1], 2))},
        TypeError,
        r"rollout_length must be a positive int.*write rollout_length=loader\.batch_sampler",
    ),
    ({"aggregation": "mean"}, TypeError, "aggregation must be a callable.*got 'mean'"),
    ({"check_ranks": 1}, ValueError, "check_ranks must be True, False or None, got 1"),
    ({"check_ranks": 2}, ValueError, "check_ranks must be True, False or None, got 2"),
    ({"momentum": 0.9}, TypeError, r"momentum=0\.9.*inner=functools\.partial\(torch\.optim\.Adam, momentum=0\.9\)"),
    ({"inner": "adamw"}, TypeError, r"got 'adamw'; write inner=torch\.optim\.AdamW; names of timm.*make_pgrad"),
    ({"inner": "lion"}, TypeError, r"got 'lion'; names of timm are known to pgrad\.integrations\.timm\.make_pgrad"),
    ({"outer": "sgd"}, TypeError, r"got 'sgd'; write outer=torch\.optim\.SGD"),
    ({"inner": torch.optim.SGD([torch.ones(1)])}, TypeError, "pass the class, inner=SGD, or a functools.partial of it"),
    (
        {"inner": functools.partial(torch.optim.SGD, lr=0.1)},
        TypeError,
        r"inner must not have.*lr=0\.1, which lr=0\.001 would replace: write PGrad\(\.\.\., lr=0\.1\)",
    ),
    (
        {"outer": functools.partial(torch.optim.SGD, lr=0.5, momentum=0.9)},
        TypeError,
        r"outer must not have.*lr=0\.5, which outer_lr=1\.0 would replace: write PGrad\(\.\.\., outer_lr=0\.5\)",
    ),
    ({"n_component": 3}, TypeError, "n_component=3. Did you mean n_components?"),
    (
        {"inner": torch.optim.SGD, "momentum": 0.9, "weight_decay": 0.1},
        TypeError,
        r"inner=functools\.partial\(torch\.optim\.SGD, momentum=0\.9, weight_decay=0\.1\)",
    ),
    (
        {"inner": functools.partial(torch.optim.SGD, momentum=0.9), "dampening": 0.1},
        TypeError,
        r"inner=functools\.partial\(torch\.optim\.SGD, \.\.\., dampening=0\.1\)",
    ),
]


class WeightsBeside(torch.optim.SGD):
    """Steps from weights that it keeps beside the parameters; every ``period`` steps alone if it is more than one."""

    def __init__(self, params, lr, period=1, remains=0.0):
        super().__init__(params, lr)
        self.period, self.remains, self.steps = period, remains, 0

    @torch.no_grad()
    def step(self, closure=None):
        super().step(closure)
        self.steps += 1
        if self.steps % self.period:
            return
        for p in (p for group in self.param_groups for p in group["params"] if p.grad is not None):
            own = self.state[p].setdefault("own", p.detach().clone())
            own.add_(p.grad, alpha=-self.param_groups[0]["lr"]).lerp_(p, self.remains)
            p.copy_(own)


OWN = [WeightsBeside, functools.partial(WeightsBeside, period=6), functools.partial(WeightsBeside, remains=0.8)]


@pytest.mark.parametrize("which", ["inner", "outer"])
@pytest.mark.parametrize("factory", OWN)
def test_optimizers_that_go_back_to_weights_of_their_own_are_refused(which, factory):
    net = model()
    before, state = vector(net), torch.get_rng_state()
    for params in (net.parameters(), net.named_parameters(), [{"params": [p], "lr": 0.5} for p in net.parameters()]):
        with pytest.raises(ValueError, match=f"{which}=WeightsBeside keeps weights of its own beside the parameters"):
            pgrad.PGrad(params, rollout_length=3, **{which: factory})
    assert torch.equal(vector(net), before)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize("which", ["inner", "outer"])
@pytest.mark.parametrize(
    "name",
    ["A2Grad", "AccSGD", "FTRL", "Lookahead", "MADGRAD", "Ranger", "SRMM", "ScheduleFreeAdamW", "ScheduleFreeSGD"],
)
def test_optimizers_of_a_library_with_weights_of_their_own_are_refused(which, name):
    others = pytest.importorskip("pytorch_optimizer", reason="pytorch_optimizer is in the extra test")

    def factory(params, lr):
        if name == "Lookahead":
            return others.Lookahead(torch.optim.SGD(params, lr=lr), k=60)
        return getattr(others, name)(params, lr=lr)

    with pytest.raises(ValueError, match=f"{which}={name} keeps weights of its own beside the parameters"):
        pgrad.PGrad(model().parameters(), rollout_length=3, **{which: factory})


ORDINARY = sorted(
    name
    for name, made in vars(torch.optim).items()
    if isinstance(made, type) and issubclass(made, torch.optim.Optimizer) and name not in ("Optimizer", "SparseAdam")
)


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_optimizers_are_none_of_them(name):
    """What is taken for granted of those of torch, by the same trial."""
    factory = getattr(torch.optim, name)
    params = [nn.Parameter(torch.ones(3, 4)), *([] if name == "Muon" else [nn.Parameter(torch.ones(2))])]
    assert not keeps_weights(lambda params, lr: factory(params, lr=lr), params, 0.1)
    assert not keeps_weights(lambda params, lr: factory(params, lr=lr), [{"params": params[:1]}], torch.tensor(0.1))


@pytest.mark.parametrize("name", ["Lion", "DAdaptAdam", "Prodigy", "Lamb", "Muon"])
def test_optimizers_of_a_library_that_step_from_the_parameters_are_accepted(name):
    others = pytest.importorskip("pytorch_optimizer", reason="pytorch_optimizer is in the extra test")
    net = nn.Linear(3, 3, bias=False)
    groups = [{"params": list(net.parameters()), **({"use_muon": True} if name == "Muon" else {})}]
    pgrad.PGrad(groups, 1e-2, 3, inner=getattr(others, name))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_most_optimizers_of_a_library_are_taken_as_they_are():
    """What is not taken keeps weights of its own, or fails in the library's own words without pgrad too."""
    others = pytest.importorskip("pytorch_optimizer", reason="pytorch_optimizer is in the extra test")
    factories = others.optimizer.OPTIMIZERS

    def two_steps(make):
        net = model()
        opt = make(net.parameters())
        for _ in range(2):
            net(torch.ones(2, net[0].in_features)).square().sum().backward()
            opt.step()

    taken, refused = set(), set()
    for name, factory in factories.items():
        try:
            two_steps(functools.partial(pgrad.PGrad, lr=1e-3, rollout_length=2, inner=factory))
            taken.add(name)
        except Exception as error:  # noqa: BLE001  whatever it is, it must be the library's own
            if "keeps weights of its own" in str(error):
                refused.add(name)
            else:
                with pytest.raises(type(error)):
                    two_steps(functools.partial(factory, lr=1e-3))
    assert len(taken) > 0.7 * len(factories)
    assert 0 < len(refused) < 0.15 * len(factories)


@pytest.mark.parametrize("options", [{"outer_lr": 0.5}, {"rollout_length": 3, "lr": 0.1}])
def test_options_of_the_whole_are_refused_in_a_group(options):
    net = model()
    with pytest.raises(TypeError, match=r"a parameter group must not have options of PGrad itself.*got (outer|roll)"):
        pgrad.PGrad([{"params": net.parameters(), **options}], 1e-2, 3)
    opt = pgrad.PGrad(net[0].parameters(), 1e-2, 3)
    with pytest.raises(TypeError, match=r"a parameter group must not have options of PGrad itself.*got (outer|roll)"):
        opt.add_param_group({"params": net[2].parameters(), **options})
    assert len(opt.param_groups) == len(opt.outer.param_groups) == 1
    assert len(opt.param_groups[0]["params"]) == 2


@pytest.mark.parametrize("which", ["inner", "outer"])
def test_another_optimizer_inside_is_followed_and_what_is_none_is_refused(which):
    net, twin = model(), model()
    opt = pgrad.PGrad(net.parameters(), 1e-2, 3, inner=torch.optim.SGD)
    other = pgrad.PGrad(twin.parameters(), 1e-2, 3, **{"inner": torch.optim.SGD, which: torch.optim.Adagrad})
    before = getattr(opt, which)
    with pytest.raises(TypeError, match=rf"got <class.*opt\.{which} = Adagrad\(model\.parameters\(\), lr=\.\.\.\)"):
        setattr(opt, which, torch.optim.Adagrad)
    with pytest.raises(ValueError, match=f"{which} must be an ordinary optimizer, got a PGrad"):
        setattr(opt, which, other)
    if which == "outer":
        with pytest.raises(ValueError, match="outer must step without a closure"):
            opt.outer = torch.optim.LBFGS(net.parameters())
    assert getattr(opt, which) is before
    setattr(opt, which, torch.optim.Adagrad(net.parameters(), getattr(other, which).param_groups[0]["lr"]))
    train(net, opt, 0, 7)
    train(twin, other, 0, 7)
    assert torch.equal(vector(net), vector(twin))


class Constrained(torch.optim.SGD):
    """Remembers nothing, and brings any two weights nearer: it decays, clips or shrinks them after each step."""

    def __init__(self, params, lr, kind):
        super().__init__(params, lr)
        self.kind = kind

    @torch.no_grad()
    def step(self, closure=None):
        super().step(closure)
        for p in (p for group in self.param_groups for p in group["params"]):
            kinds = {
                "clips": lambda p: p.clamp(-0.01, 0.01),
                "positive": lambda p: p.clamp(min=0),
                "decays": lambda p: 0.99 * p,
                "shrinks": lambda p: nn.functional.softshrink(p, 0.01),
                "unit": lambda p: nn.functional.normalize(p, dim=0),
            }
            p.copy_(kinds[self.kind](p))


@pytest.mark.parametrize("which", ["inner", "outer"])
@pytest.mark.parametrize("kind", ["clips", "positive", "decays", "shrinks", "unit"])
def test_optimizers_that_constrain_the_weights_are_accepted(which, kind):
    factory = functools.partial(Constrained, kind=kind)
    opt = pgrad.PGrad(model().parameters(), 1e-2, 3, **{which: factory})
    assert isinstance(getattr(opt, which), Constrained)


class Langevin(torch.optim.SGD):
    """Adds noise that it draws from a generator of its user."""

    def __init__(self, params, lr, generator):
        super().__init__(params, lr)
        self.generator = generator

    @torch.no_grad()
    def step(self, closure=None):
        super().step(closure)
        for group in self.param_groups:
            for p in group["params"]:
                p.add_(torch.randn(p.shape, generator=self.generator), alpha=(2 * group["lr"]) ** 0.5)


@pytest.mark.parametrize("seed", range(4))
def test_optimizers_that_draw_random_numbers_of_their_own_are_accepted(seed):
    factory = functools.partial(Langevin, generator=torch.Generator().manual_seed(seed))
    assert isinstance(pgrad.PGrad(model().parameters(), 1e-3, 3, inner=factory).inner, Langevin)


class Drawing(torch.optim.SGD):
    """It draws from every global stream."""

    def step(self, closure=None):
        _ = random.random(), np.random.rand(), torch.rand(1)  # noqa: NPY002 - the global stream is what it is about
        return super().step(closure)


def test_the_trial_of_an_optimizer_moves_no_random_stream():
    params = list(model().parameters())
    drawn = []
    for tried in (False, True):
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002
        torch.manual_seed(0)
        if tried:
            pgrad.PGrad(params, 1e-3, 3, inner=Drawing)
        drawn.append((random.random(), np.random.rand(), torch.rand(1).item()))  # noqa: NPY002
    assert drawn[0] == drawn[1]


class NoRate(torch.optim.Optimizer):
    """Its groups have no learning rate, or one that is not set, as those of Adafactor with relative steps."""

    def __init__(self, params, **options):
        super().__init__(params, options)

    @torch.no_grad()
    def step(self, closure=None):
        with torch.enable_grad():
            value = closure and closure()
        for p in (p for group in self.param_groups for p in group["params"] if p.grad is not None):
            p.sub_(p.grad, alpha=0.1)
        return value


@pytest.mark.parametrize("options", [{}, {"lr": None}])
def test_optimizers_without_a_learning_rate_are_stepped(options):
    net, plain = model(), model()
    opt = pgrad.PGrad(net.parameters(), rollout_length=3, n_components=None, inner=lambda p, lr: NoRate(p, **options))
    average = pgrad.averaging.Mean(plain).follow(NoRate(plain.parameters(), **options))
    train(net, opt, 0, 2)
    train(plain, average._following._optimizer, 0, 2)
    assert torch.equal(vector(net), vector(plain))
    assert average.count == 2


def test_what_cannot_be_tried_is_taken_as_it_is():
    class WantsAGraph(torch.optim.SGD):
        def step(self, closure=None):
            torch.autograd.grad([p.grad.sum() for p in self.param_groups[0]["params"]], self.param_groups[0]["params"])

    net = model()
    made = torch.optim.SGD(net.parameters(), 0.1)
    assert isinstance(pgrad.PGrad(net.parameters(), 1e-2, 3, inner=WantsAGraph).inner, WantsAGraph)
    assert pgrad.PGrad(net.parameters(), 1e-2, 3, inner=lambda params, lr: made).inner is made
    assert made.state == {}


@pytest.mark.parametrize("which", ["inner", "outer"])
@pytest.mark.parametrize("factory", [pgrad.PGrad, lambda params, lr, **_: pgrad.presets.paper(params, lr, 3)])
def test_no_roll_outs_inside_roll_outs(which, factory):
    made = functools.partial(factory, rollout_length=3)
    with pytest.raises(ValueError, match=f"{which} must be an ordinary optimizer, got a PGrad: .* give {which}= what"):
        pgrad.PGrad(model().parameters(), rollout_length=3, **{which: made})


@pytest.mark.parametrize(("arguments", "error", "pattern"), CONSTRUCTOR)
def test_bad_arguments(arguments, error, pattern):
    with pytest.raises(error, match=pattern):
        pgrad.PGrad(model().parameters(), **{"rollout_length": 3, **arguments})


def test_bad_parameters():
    weight = nn.Parameter(torch.ones(3))
    with pytest.raises(ValueError, match="empty parameter list"):
        pgrad.PGrad([], rollout_length=3)
    with pytest.raises(TypeError, match="got a single tensor"):
        pgrad.PGrad(weight, rollout_length=3)
    with pytest.raises(TypeError, match="Tensor"):
        pgrad.PGrad([1, 2], rollout_length=3)
    with pytest.raises(ValueError, match=r"shape \(3,\) is on the meta device"):
        pgrad.PGrad([nn.Parameter(torch.empty(3, device="meta"))], rollout_length=3)
    with pytest.raises(ValueError, match="non-leaf"):
        pgrad.PGrad([weight * 2], rollout_length=3)
    with pytest.warns(UserWarning, match="duplicate"), pytest.raises(ValueError, match="listed twice"):
        pgrad.PGrad([weight, weight], rollout_length=3)


def backward(net, step=0):
    value = loss(net, step)
    value.backward()
    return value


def returns(value):
    return lambda: value


ROLLOUT = [
    (lambda good: [good] * 2, ValueError, "closures must hold rollout_length=3 of them.*got 2"),
    (lambda good: [good] * 4, ValueError, "rollout_length=3 of them.*got 4"),
    (lambda _: [], ValueError, "got 0"),
    (lambda good: good, TypeError, "closures must be a list.*got function"),
    (lambda _: "abc", TypeError, "closures must be a list.*got str"),
    (lambda good: [good, good, None], TypeError, r"closures\[2\] must be callable, got None"),
    (lambda good: [returns(None), good, good], TypeError, r"closures\[0\] must return the loss as a scalar.*got None"),
    (lambda good: [returns("0.1"), good, good], TypeError, r"closures\[0\].*got '0.1'"),
    (lambda good: [returns(torch.ones(2)), good, good], TypeError, r"closures\[0\].*a tensor of shape \(2,\)"),
    (lambda good: [good, good, returns(math.nan)], ValueError, r"closures\[2\] must return a finite loss, got nan"),
    (lambda good: [good, returns(torch.tensor(math.inf)), good], ValueError, r"closures\[1\].*finite loss, got inf"),
]


@pytest.mark.parametrize("length", [3, None])
@pytest.mark.parametrize(("make", "error", "pattern"), ROLLOUT)
def test_bad_closures(make, error, pattern, length):
    net = model()
    opt = pgrad.PGrad(net.parameters(), 1e-2, rollout_length=length)

    def good():
        return backward(net)

    opt.rollout([good] * 3)
    before, closures = vector(net), make(good)
    if length is None and isinstance(closures, list) and "of them" in pattern:
        opt.rollout(closures)  # any number is allowed
        return
    with pytest.raises(error, match=pattern):
        opt.rollout(closures, shuffle=False)
    assert torch.equal(vector(net), before)
    assert opt.rollout_position == 0
    assert opt.nonfinite_rollouts == 0
    opt.rollout([good] * 3)


def test_a_loss_that_is_not_finite_reaches_no_moment():
    net = model()
    opt = pgrad.PGrad(net.parameters(), rollout_length=2)
    opt.rollout([functools.partial(backward, net)] * 2)
    before = copy.deepcopy(opt.state_dict())

    def diverged():
        value = loss(net, 0) * math.nan
        value.backward()
        return value

    with pytest.raises(ValueError, match="finite loss, got nan"):
        opt.rollout([diverged] * 2)
    assert_same(opt.state_dict(), before)


def test_a_roll_out_needs_a_free_optimizer():
    net = model()
    opt = pgrad.PGrad(net.parameters(), rollout_length=3)
    train(net, opt, 0, 1)
    walking = vector(net)
    with pytest.raises(RuntimeError, match="1 steps of a roll-out are done: call finish_rollout"):
        opt.rollout([lambda: backward(net)] * 3)
    assert torch.equal(vector(net), walking)


def test_steps_need_a_length():
    net = model()
    opt = pgrad.PGrad(net.parameters(), rollout_length=None)
    with pytest.raises(RuntimeError, match="step\\(\\) needs a rollout_length"):
        train(net, opt, 0, 1)


@pytest.mark.parametrize(
    "use",
    [
        lambda opt: opt.step(),
        lambda opt: opt.rollout([]),
        lambda opt: opt.finish_rollout(),
        lambda opt: opt.discard_rollout(),
        lambda opt: opt.state_dict(),
        lambda opt: opt.load_state_dict({}),
        lambda opt: opt.at_anchor().__enter__(),
    ],
)
@pytest.mark.parametrize("position", [0, 1])
def test_inside_at_anchor_the_books_are_closed(use, position):
    net = model()
    opt = pgrad.PGrad(net.parameters(), rollout_length=3)
    train(net, opt, 0, position)
    walking = vector(net)
    with opt.at_anchor(), pytest.raises(RuntimeError, match=r"not possible inside at_anchor\(\)"):
        use(opt)
    assert torch.equal(vector(net), walking)
    train(net, opt, position, 6)


def assert_same(found, expected):
    assert type(found) is type(expected)
    if isinstance(found, dict):
        assert found.keys() == expected.keys()
        for key in found:
            assert_same(found[key], expected[key])
    elif isinstance(found, list):
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            assert_same(a, b)
    elif isinstance(found, torch.Tensor):
        assert torch.equal(found, expected)
    else:
        assert found == expected


def changed(edit):
    def make():
        net = model()
        opt = pgrad.PGrad(net.parameters(), rollout_length=3)
        train(net, opt, 0, 2)
        state = copy.deepcopy(opt.state_dict())
        return edit(state) or state

    return make


def of(**options):
    def make():
        arguments = {"rollout_length": 3, "net": model(), **options}
        net = arguments.pop("net")
        opt = pgrad.PGrad(net.parameters(), **arguments)
        train(net, opt, 0, 2)
        return opt.state_dict()

    return make


def plain_adam():
    net = model()
    opt = torch.optim.Adam(net.parameters())
    train(net, opt, 0, 2)
    return opt.state_dict()


def wider():
    net = nn.Sequential(nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 2))
    return of(net=net)()


STATES = [
    (list, TypeError, "state_dict must be a dict, got list"),
    (lambda: {"state": {}}, ValueError, r"state_dict lacks \['param_groups'\]"),
    (plain_adam, ValueError, "not that of a pgrad.PGrad"),
    (
        of(rollout_length=4),
        ValueError,
        r"roll-out \(position 2\) with rollout_length=4, .* rollout_length=3",
    ),
    (of(n_components=2), ValueError, r"middle of a roll-out \(position 2\) with n_components=2, .* n_components=4"),
    (of(inner=torch.optim.SGD), ValueError, "saved with inner_type='SGD', this optimizer has inner_type='Adam'"),
    (of(outer=torch.optim.Adam), ValueError, "saved with outer_type='Adam'"),
    (wider, ValueError, r"shapes of other parameters: \[9, 6\] at 0 of group 0, this optimizer \[8, 6\]"),
    (of(net=nn.Linear(6, 2)), ValueError, "2 parameters in group 0, this optimizer 4"),
    (changed(lambda s: s["param_groups"].append(s["param_groups"][0])), ValueError, "2 parameter groups"),
    (changed(lambda s: s["param_groups"][0]["pgrad"].update(position=3)), ValueError, "roll-out position 3, allowed"),
    (
        changed(lambda s: s["state"][1]["pgrad"].update(displacements=torch.ones(2, 8))),
        ValueError,
        r"displacements of shape \(2, 8\) for parameter 1, expected \(1, 8\)",
    ),
    (
        changed(lambda s: s["state"][0]["pgrad"].update(anchor=torch.ones(3))),
        ValueError,
        r"anchor of shape \(3,\) for parameter 0, expected \(8, 6\)",
    ),
]


@pytest.mark.parametrize(("make", "error", "pattern"), STATES)
@pytest.mark.parametrize("position", [0, 2])
def test_bad_state_dicts_change_nothing(make, error, pattern, position):
    state = make()
    net = model()
    opt = pgrad.PGrad(net.parameters(), rollout_length=3)
    train(net, opt, 0, 3 + position)
    weights, before = vector(net), copy.deepcopy(opt.state_dict())
    with pytest.raises(error, match=pattern):
        opt.load_state_dict(state)
    assert torch.equal(vector(net), weights)
    assert_same(opt.state_dict(), before)
    train(net, opt, 3 + position, 9)


def test_settings_may_change_at_an_anchor():
    """As if the optimizer had been made with them, its moments apart; in the middle they are refused."""
    net, twin = model(), model()
    opt = pgrad.PGrad(net.parameters(), 1e-2, 3, inner=torch.optim.SGD, aggregation=pgrad.aggregation.displacement)
    train(net, opt, 0, 3)
    train(twin, pgrad.PGrad(twin.parameters(), 1e-2, 3, inner=torch.optim.SGD, aggregation=opt.aggregation), 0, 3)
    opt.rollout_length, opt.n_components, opt.aggregation = 5, 2, pgrad.aggregation.principal
    other = pgrad.PGrad(twin.parameters(), 1e-2, 5, n_components=2, inner=torch.optim.SGD)
    train(net, opt, 3, 13)
    train(twin, other, 3, 13)
    assert torch.equal(vector(net), vector(twin))
    assert opt.last_update.n_components == 2
    train(net, opt, 13, 15)
    for name, value in (("rollout_length", 4), ("n_components", 1), ("aggregation", pgrad.aggregation.displacement)):
        before = getattr(opt, name)
        with pytest.raises(RuntimeError, match=f"{name} may change at an anchor only, but 2 steps.*finish_rollout"):
            setattr(opt, name, value)
        assert getattr(opt, name) == before
    opt.discard_rollout()
    with pytest.raises(ValueError, match='nonfinite must be "restore" or "raise", got \'ignore\''):
        opt.nonfinite = "ignore"
    with pytest.raises(ValueError, match="rollout_length must be at least 1"):
        opt.rollout_length = 0
    with pytest.raises(TypeError, match="aggregation must be a callable"):
        opt.aggregation = "mean"
