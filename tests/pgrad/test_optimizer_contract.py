"""What a user of torch.optim expects, and every kind of parameter that torch has."""

import functools
import gc
import threading
import warnings
import weakref

import pytest
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

import pgrad
from pgrad.reference import principal_gradient
from tests.pgrad.problems import loss, model, relative, train, vector


def test_it_is_a_torch_optimizer_that_shares_the_state_of_the_inner_one():
    net = model()
    opt = pgrad.PGrad(net.parameters(), lr=0.02, rollout_length=3)
    assert isinstance(opt, torch.optim.Optimizer)
    assert opt.state is opt.inner.state
    assert opt.param_groups is opt.inner.param_groups
    assert opt.defaults["lr"] == 0.02
    assert opt.defaults["betas"] == (0.9, 0.999)
    assert isinstance(opt.inner, torch.optim.Adam)
    assert isinstance(opt.outer, torch.optim.SGD)
    assert opt.outer.param_groups[0]["lr"] == 1.0


def test_repr_shows_all_three():
    text = repr(pgrad.PGrad(model().parameters(), rollout_length=5))
    assert "PGrad(rollout_length=5, n_components=4, aggregation=principal" in text
    assert "inner: Adam" in text
    assert "outer: SGD" in text


def test_a_closure_runs_at_once_and_its_loss_comes_back():
    net = model()
    opt = pgrad.PGrad(net.parameters(), rollout_length=3)
    calls = []

    def closure():
        calls.append(torch.is_grad_enabled())
        opt.zero_grad()
        value = loss(net, 0)
        value.backward()
        return value

    with torch.no_grad():
        value = opt.step(closure)
    assert calls == [True]
    assert torch.equal(value, loss(model(), 0))
    assert opt.rollout_position == 1


def test_an_inner_optimizer_that_needs_a_closure():
    """LBFGS evaluates its closure again and again; the evaluation that has been made counts as its first."""
    net, twin = model(), model()
    lbfgs = functools.partial(torch.optim.LBFGS, max_iter=4)
    opt = pgrad.PGrad(net.parameters(), lr=0.1, rollout_length=5, inner=lbfgs)
    alone = lbfgs(twin.parameters(), lr=0.1)
    assert train(net, opt, 0, 4) == train(twin, alone, 0, 4)
    assert torch.equal(vector(net), vector(twin))


def test_a_scheduler_scales_the_inner_steps():
    net, twin = model(), model()
    opt = pgrad.PGrad(net.parameters(), lr=0.1, rollout_length=10, inner=torch.optim.SGD)
    alone = torch.optim.SGD(twin.parameters(), lr=0.1)
    schedulers = [torch.optim.lr_scheduler.StepLR(o, 1, gamma=0.5) for o in (opt, alone)]
    for step in range(5):
        train(net, opt, step, step + 1)
        train(twin, alone, step, step + 1)
        for scheduler in schedulers:
            scheduler.step()
    assert torch.equal(vector(net), vector(twin))
    assert opt.inner.param_groups[0]["lr"] == 0.1 / 32


def test_the_outer_optimizer_can_have_a_scheduler_of_its_own():
    net = model()
    opt = pgrad.PGrad(net.parameters(), rollout_length=2)
    scheduler = torch.optim.lr_scheduler.LinearLR(opt.outer, start_factor=0.5, total_iters=1)
    train(net, opt, 0, 2)
    before = opt.outer.param_groups[0]["lr"]
    scheduler.step()
    assert (before, opt.outer.param_groups[0]["lr"], opt.param_groups[0]["lr"]) == (0.5, 1.0, 1e-3)


def test_roll_outs_count_as_steps_for_schedulers():
    net = model()
    opt = pgrad.PGrad(net.parameters(), rollout_length=None)
    scheduler = torch.optim.lr_scheduler.StepLR(opt, 1)
    opt.rollout([functools.partial(_backward, net, n) for n in range(3)])
    scheduler.step()  # torch warns here if it saw no step, and warnings are errors


def _backward(net, step):
    value = loss(net, step)
    value.backward()
    return value


def test_step_hooks_run_once_for_each_inner_step():
    net = model()
    opt = pgrad.PGrad(net.parameters(), rollout_length=3)
    seen = []
    opt.register_step_pre_hook(lambda o, _, __: seen.append(("pre", o.rollout_position)))
    opt.register_step_post_hook(lambda o, _, __: seen.append(("post", o.rollout_position)))
    train(net, opt, 0, 3)
    assert seen == [("pre", 0), ("post", 1), ("pre", 1), ("post", 2), ("pre", 2), ("post", 0)]


def test_hooks_on_every_optimizer_see_one_step_for_each_of_the_user():
    """Whatever is at work inside; torch's profiler counts its steps so. Hooks on the inner and outer one still run."""
    net = model()
    opt = pgrad.PGrad(net.parameters(), rollout_length=3)
    seen, own = [], []
    opt.inner.register_step_post_hook(lambda optimizer, *_: own.append(type(optimizer).__name__))
    opt.outer.register_step_post_hook(lambda optimizer, *_: own.append(type(optimizer).__name__))
    hooks = [
        register_optimizer_step_pre_hook(lambda optimizer, *_: seen.append(type(optimizer).__name__)),
        register_optimizer_step_post_hook(lambda optimizer, *_: seen.append(type(optimizer).__name__)),
    ]
    try:
        train(net, opt, 0, 6)
    finally:
        for hook in hooks:
            hook.remove()
    assert seen == ["PGrad"] * 12
    assert own == ["Adam", "Adam", "Adam", "SGD"] * 2


def test_hooks_on_every_optimizer_see_the_steps_of_other_threads():
    """While one thread is inside a step, another makes one: it is seen, and so is a hook that was registered then."""
    net, other = model(), model()
    opt, adam = pgrad.PGrad(net.parameters(), rollout_length=2), torch.optim.Adam(other.parameters())
    seen, late = [], []
    hook = register_optimizer_step_post_hook(lambda optimizer, *_: seen.append(type(optimizer).__name__))

    def step_elsewhere(*_):
        def work():
            train(other, adam, 0, 1)
            late.append(register_optimizer_step_pre_hook(lambda optimizer, *_: seen.append(optimizer)))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    elsewhere = opt.inner.register_step_pre_hook(step_elsewhere)
    try:
        train(net, opt, 0, 1)
        elsewhere.remove()
        assert seen == ["Adam", "PGrad"]
        train(net, opt, 1, 2)
        assert seen[2:] == [opt, "PGrad"]
    finally:
        for one in (hook, *late):
            one.remove()
    train(net, opt, 2, 4)
    train(other, adam, 1, 2)
    assert len(seen) == 4


def test_hooks_see_the_whole_state_dict():
    net = model()
    opt = pgrad.PGrad(net.parameters(), rollout_length=3)
    train(net, opt, 0, 2)
    seen = []
    opt.register_state_dict_pre_hook(lambda _: seen.append("pre"))
    opt.register_state_dict_post_hook(lambda _, state: {**state, "extra": sorted(state["state"][0])})
    state = opt.state_dict()
    assert seen == ["pre"]
    assert "pgrad" in state["extra"]
    opt.register_load_state_dict_pre_hook(lambda _, state: seen.append(state["extra"]))
    opt.register_load_state_dict_post_hook(lambda o: seen.append(o.rollout_position))
    opt.load_state_dict(state)
    assert seen[1:] == [state["extra"], 2]


def test_options_of_a_group_go_to_the_inner_optimizer():
    net, twin = model(), model()

    def groups(module):
        first, *rest = module.parameters()
        return [{"params": [first], "lr": 0.05, "weight_decay": 0.1}, {"params": rest}]

    opt = pgrad.PGrad(groups(net), lr=0.01, rollout_length=9, inner=torch.optim.AdamW)
    alone = torch.optim.AdamW(groups(twin), lr=0.01)
    train(net, opt, 0, 5)
    train(twin, alone, 0, 5)
    assert torch.equal(vector(net), vector(twin))
    assert len(opt.outer.param_groups) == 2


def test_named_parameters():
    net = model()
    opt = pgrad.PGrad(net.named_parameters(), rollout_length=3)
    train(net, opt, 0, 4)
    assert opt.state_dict()["param_groups"][0]["param_names"] == [name for name, _ in net.named_parameters()]


def test_a_group_added_in_the_middle_joins_the_roll_out_there():
    late = nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
    early = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    opt = pgrad.PGrad([early], lr=0.1, rollout_length=3, inner=torch.optim.SGD, outer_lr=1.0)
    early.grad = torch.ones(1, dtype=torch.float64)
    opt.step()
    opt.add_param_group({"params": [late], "lr": 0.2})
    assert len(opt.outer.param_groups) == len(opt.inner.param_groups) == 2
    late.grad = torch.ones(1, dtype=torch.float64)
    opt.step()
    opt.step()
    points = torch.tensor([[1.0, 2.0], [0.9, 2.0], [0.8, 1.8], [0.7, 1.6]], dtype=torch.float64)
    expected = points[0] - principal_gradient(points, 4)
    assert torch.allclose(torch.cat([early, late]), expected)


def test_a_bad_group_changes_nothing():
    net = model()
    opt = pgrad.PGrad(net.parameters(), rollout_length=3)
    with pytest.raises(ValueError, match="some parameters appear in more than one parameter group"):
        opt.add_param_group({"params": list(net.parameters())})
    with pytest.raises(ValueError, match="meta device"):
        opt.add_param_group({"params": [nn.Parameter(torch.empty(2, device="meta"))]})
    assert len(opt.param_groups) == len(opt.outer.param_groups) == 1
    train(net, opt, 0, 4)


def test_frozen_and_unused_parameters_are_left_alone():
    """Weight decay outside must not shrink what took no part."""
    net = model()
    net[0].weight.requires_grad_(False)
    unused = nn.Parameter(torch.ones(3))
    outer = functools.partial(torch.optim.SGD, weight_decay=0.5)
    opt = pgrad.PGrad([*net.parameters(), unused], rollout_length=2, outer=outer)
    frozen = net[0].weight.clone()
    train(net, opt, 0, 4)
    assert torch.equal(net[0].weight, frozen)
    assert unused.tolist() == [1.0, 1.0, 1.0]
    assert not torch.equal(net[2].weight, model()[2].weight)


def test_a_parameter_without_a_gradient_in_some_steps():
    one, two = (nn.Parameter(torch.zeros(1, dtype=torch.float64)) for _ in range(2))
    opt = pgrad.PGrad([one, two], lr=1.0, rollout_length=3, inner=torch.optim.SGD, outer_lr=1.0)
    points = [[0.0, 0.0]]
    for grads in ((1.0, None), (None, 1.0), (1.0, None)):
        for p, g in zip((one, two), grads, strict=True):
            p.grad = None if g is None else torch.tensor([g], dtype=torch.float64)
        points.append([a - (g or 0.0) for a, g in zip(points[-1], grads, strict=True)])
        opt.step()
    expected = -principal_gradient(torch.tensor(points), 4)
    assert torch.allclose(torch.cat([one, two]), expected)


def test_without_any_gradient_nothing_happens():
    net = model()
    before = vector(net)
    opt = pgrad.PGrad(net.parameters(), rollout_length=2)
    for _ in range(5):
        opt.step()
    assert torch.equal(vector(net), before)
    assert opt.rollout_position == 1


def steps_of(params, opt, gradients):
    """Put each row of gradients (one for each parameter) and step; returns the points as flat float64 rows."""
    points = [_flat(params)]
    for row in gradients:
        for p, g in zip(params, row, strict=True):
            p.grad = g
        if len(points) == len(gradients):
            twin = [p.detach().clone().requires_grad_() for p in params]
            for q, g in zip(twin, row, strict=True):
                q.grad = g
            torch.optim.SGD(twin, lr=0.1).step()
            points.append(_flat(twin))
            opt.step()
        else:
            opt.step()
            points.append(_flat(params))
    return torch.stack(points)


def _flat(params):
    parts = (torch.view_as_real(p.detach()) if p.is_complex() else p.detach() for p in params)
    return torch.cat([part.reshape(-1).double() for part in parts])


def _kinds():
    base = torch.randn(6, 8)
    return {
        "0-dim": [torch.randn(())],
        "empty": [torch.randn(0, 3), torch.randn(2)],
        "transposed": [torch.randn(3, 5).t()],
        "channels last": [torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)],
        "with gaps": [base[:, ::2], base[:, 1::2]],
        "expanded and cloned": [torch.randn(1, 4).expand(3, 4).clone()],
        "float64": [torch.randn(7, dtype=torch.float64)],
        "complex64": [torch.randn(4, 3, dtype=torch.complex64)],
        "complex128": [torch.randn(5, dtype=torch.complex128)],
        "mixed": [torch.randn(3), torch.randn(2, 2, dtype=torch.float64), torch.randn(2, dtype=torch.complex64)],
        "larger than a chunk": [torch.randn(600_000)],
    }


@pytest.mark.parametrize("kind", _kinds())
def test_every_kind_of_parameter(kind):
    params = [nn.Parameter(t) for t in _kinds()[kind]]
    for p, t in zip(params, _kinds()[kind], strict=True):
        assert p.stride() == t.stride()
    opt = pgrad.PGrad(params, lr=0.1, rollout_length=4, inner=torch.optim.SGD, outer_lr=1.0)
    gradients = [[torch.randn_like(p) for p in params] for _ in range(4)]
    points = steps_of(params, opt, gradients)
    expected = points[0] - principal_gradient(points, 4)
    assert relative(_flat(params), expected) < 1e-5


def test_half_precision_parameters_have_float32_displacements():
    weight = nn.Parameter(torch.randn(500).bfloat16())
    opt = pgrad.PGrad([weight], lr=0.1, rollout_length=4, inner=torch.optim.SGD, outer_lr=1.0)
    seen = []
    opt.outer.register_step_pre_hook(lambda *_: seen.append(weight.grad.double()))
    points = steps_of([weight], opt, [[torch.randn(500).bfloat16()] for _ in range(4)])
    # The gradient itself is handed over in bfloat16: 8 significant bits, half a spacing at most.
    assert torch.allclose(seen[0], principal_gradient(points, 4), rtol=2**-8, atol=1e-6)
    assert weight.dtype == torch.bfloat16


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.01), (torch.float32, 0.0), (torch.float64, 1e-5)])
def test_dtype_of_the_displacements(dtype, tolerance):
    net, twin = model(), model()
    opts = [
        pgrad.PGrad(net.parameters(), 1e-2, 5, trajectory_dtype=dtype),
        pgrad.PGrad(twin.parameters(), 1e-2, 5),
    ]
    train(net, opts[0], 0, 5)
    train(twin, opts[1], 0, 5)
    start = vector(model())
    assert relative(vector(net) - start, vector(twin) - start) <= tolerance


def test_sparse_gradients():
    def embedding():
        torch.manual_seed(1)
        return nn.Embedding(10, 3, sparse=True)

    net, twin = embedding(), embedding()
    opt = pgrad.PGrad(net.parameters(), lr=0.1, rollout_length=3, inner=torch.optim.SparseAdam, outer_lr=0.5)
    alone = torch.optim.SparseAdam(list(twin.parameters()), lr=0.1)
    points = [twin.weight.detach().reshape(-1).clone()]
    for step in range(3):
        for module, optimizer in ((net, opt), (twin, alone)):
            optimizer.zero_grad()
            module(torch.tensor([step, 7])).square().sum().backward()
            optimizer.step()
        points.append(twin.weight.detach().reshape(-1).clone())
    points = torch.stack(points).double()
    expected = points[0] - 0.5 * principal_gradient(points, 4)
    assert relative(net.weight.detach().reshape(-1), expected) < 1e-6
    assert net.weight.grad.is_sparse


def test_a_shared_module_counts_once():
    layer = nn.Linear(6, 6)
    net = nn.Sequential(layer, nn.Tanh(), layer, nn.Linear(6, 2))
    opt = pgrad.PGrad(net.parameters(), rollout_length=3)
    train(net, opt, 0, 6)
    assert len(opt.param_groups[0]["params"]) == 4


def test_two_parameters_over_the_same_memory_are_refused():
    data = torch.randn(4)
    one, two = nn.Parameter(data), nn.Parameter(data)
    opt = pgrad.PGrad([one, two], rollout_length=2)
    one.grad = two.grad = torch.ones(4)
    before = data.clone()
    with pytest.raises(ValueError, match="share memory"):
        opt.step()
    assert torch.equal(data, before)
    assert opt.rollout_position == 0


def test_converting_the_model_in_the_middle_is_refused():
    net = model()
    opt = pgrad.PGrad(net.parameters(), rollout_length=3)
    train(net, opt, 0, 1)
    net.double()
    with pytest.raises(ValueError, match=r"changed in the middle of a roll-out.*torch\.float64"):
        train(net, opt, 1, 2)


def test_converting_the_model_between_roll_outs_works():
    net = model()
    opt = pgrad.PGrad(net.parameters(), 1e-2, rollout_length=2, inner=torch.optim.SGD)
    train(net, opt, 0, 2)
    net.double()
    before = vector(net)
    train(net, opt, 2, 4)
    assert not torch.equal(vector(net), before)


@pytest.mark.parametrize("way", ["step", "rollout"])
def test_an_exception_in_a_closure_leaves_the_model_as_it_was(way):
    net = model()
    opt = pgrad.PGrad(net.parameters(), 1e-2, rollout_length=3)
    train(net, opt, 0, 3)
    anchor = vector(net)

    def broken():
        raise KeyError("the loader failed")

    if way == "step":
        train(net, opt, 3, 4)
        walking, position = vector(net), opt.rollout_position
        with pytest.raises(KeyError, match="the loader failed"):
            opt.step(broken)
        assert torch.equal(vector(net), walking)
        assert opt.rollout_position == position
        train(net, opt, 4, 6)
    else:
        good = functools.partial(_backward, net, 0)
        with pytest.raises(KeyError, match="the loader failed"):
            opt.rollout([good, good, broken], shuffle=False)
        assert torch.equal(vector(net), anchor)
        opt.rollout([good, good, good])
    assert opt.rollout_position == 0


def test_autocast_and_reduced_matmul_precision_do_not_reach_the_gram_matrix():
    def run(net, opt):
        for step in range(4):
            opt.zero_grad()
            loss(net, step).backward()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                opt.step()

    net, twin = model(), model()
    torch.set_float32_matmul_precision("medium")
    try:
        run(net, pgrad.PGrad(net.parameters(), 1e-2, 4))
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    train(twin, pgrad.PGrad(twin.parameters(), 1e-2, 4), 0, 4)
    assert torch.allclose(vector(net), vector(twin), rtol=0, atol=1e-7)


@pytest.mark.slow
def test_nothing_keeps_the_parameters_alive():
    net = model()
    opt = pgrad.PGrad(net.parameters(), rollout_length=3)
    train(net, opt, 0, 4)
    watched = [weakref.ref(p) for p in net.parameters()]
    del net, opt
    gc.collect()
    assert all(reference() is None for reference in watched)


def test_storage_is_kept_from_one_roll_out_to_the_next():
    net = model()
    opt = pgrad.PGrad(net.parameters(), rollout_length=3)
    train(net, opt, 0, 2)
    first = opt.state_dict()["state"][0]["pgrad"]["anchor"].data_ptr()
    train(net, opt, 2, 5)
    assert opt.state_dict()["state"][0]["pgrad"]["anchor"].data_ptr() == first


def test_no_warnings_in_an_ordinary_loop():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net = model()
        opt = pgrad.PGrad(net.parameters(), rollout_length=3)
        for step in range(7):
            opt.zero_grad()
            loss(net, step).backward()
            opt.step()
