"""timm: by name in its factory, and its own scaler, scheduler, averaging and checkpoints around a small model."""

import functools
import pickle
from argparse import Namespace

import pytest
import timm
import timm.optim
import torch
from timm.optim import create_optimizer_v2, optimizer_kwargs
from timm.scheduler import create_scheduler_v2
from timm.utils import CheckpointSaver, NativeScaler
from torch import nn

from pgrad import PGrad
from pgrad.integrations import timm as shim
from tests.pgrad.integrations.problem import LENGTH, loader, vector


@pytest.fixture(autouse=True)
def _registered():
    shim.register()


def small(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 2))


def train(model, opt, batches, scheduler=None, scaler=None, start=0):
    scaler = scaler or NativeScaler("cpu")
    for step, (x, y) in enumerate(batches, start + 1):
        opt.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        scaler(loss, opt, clip_grad=1.0, parameters=model.parameters())
        if scheduler is not None:
            scheduler.step_update(step)
    return vector(model)


def test_by_name_is_the_one_liner():
    """timm's factory and PGrad itself on timm's groups give the same run."""
    model, other = small(), small()
    named = create_optimizer_v2(
        model, "pgrad", lr=0.01, weight_decay=0.05, rollout_length=LENGTH, inner="adamw", outer_weight_decay=0.01
    )
    inner = functools.partial(torch.optim.AdamW, weight_decay=0.0)
    outer = functools.partial(torch.optim.SGD, weight_decay=0.01)
    groups = timm.optim.param_groups_weight_decay(other, 0.05)
    plain = PGrad(groups, lr=0.01, rollout_length=LENGTH, inner=inner, outer=outer)
    assert type(named) is PGrad
    assert [group["weight_decay"] for group in named.param_groups] == [0.0, 0.05]
    assert torch.equal(train(model, named, loader()), train(other, plain, loader()))


def test_the_arguments_of_a_command_line():
    """What timm's own parser gives: strings and numbers, momentum and foreach whether wanted or not."""
    args = Namespace(
        opt="PGrad",
        lr=0.02,
        weight_decay=0.1,
        momentum=0.9,
        opt_eps=1e-6,
        opt_betas=[0.8, 0.99],
        opt_foreach=False,
        opt_args={"rollout_length": 6, "inner": "adamw", "outer_lr": 0.5, "n_components": 2},
    )
    opt = create_optimizer_v2(small(), **optimizer_kwargs(args))
    group = opt.param_groups[0]
    assert (type(opt.inner), opt.rollout_length, opt.n_components) == (torch.optim.AdamW, 6, 2)
    assert (group["lr"], group["eps"], tuple(group["betas"]), group["foreach"]) == (0.02, 1e-6, (0.8, 0.99), False)
    assert opt.outer.param_groups[0]["lr"] == 0.5


@pytest.mark.parametrize(("inner", "momentum"), [("sgd", 0.7), ("momentum", 0.7), ("adam", None), ("lion", None)])
def test_inner_optimizers_by_name(inner, momentum):
    model = small()
    start = vector(model)
    opt = create_optimizer_v2(model, "pgrad", lr=0.01, momentum=0.7, inner=inner, rollout_length=LENGTH)
    assert opt.param_groups[0].get("momentum") == momentum
    assert type(opt.inner) is type(create_optimizer_v2(small(), inner, lr=0.01))
    assert not torch.equal(train(model, opt, loader()), start)


def test_layer_decay_scales_the_inner_steps():
    """timm's schedulers multiply the lr of a group by its lr_scale."""
    model = timm.create_model("vit_tiny_patch16_224", img_size=16, depth=2, embed_dim=12, num_heads=2, num_classes=2)
    opt = create_optimizer_v2(model, "pgrad", lr=0.01, layer_decay=0.5, rollout_length=LENGTH)
    scales = [group["lr_scale"] for group in opt.param_groups]
    assert len(set(scales)) > 1
    scheduler, _ = create_scheduler_v2(opt, sched="cosine", num_epochs=4, warmup_epochs=0)
    scheduler.step(1)
    rates = [group["lr"] / group["lr_scale"] for group in opt.param_groups]
    assert rates == pytest.approx([rates[0]] * len(rates))


def test_checkpoint_and_resume_in_the_middle_of_a_roll_out(tmp_path):
    """timm's CheckpointSaver writes what its resume reads back: model, optimizer, scaler."""

    def make(seed=0):
        model = small(seed)
        opt = create_optimizer_v2(model, "pgrad", lr=0.01, rollout_length=LENGTH, inner="adamw", weight_decay=0.1)
        scheduler, _ = create_scheduler_v2(opt, sched="cosine", num_epochs=9, step_on_epochs=False, updates_per_epoch=1)
        return model, opt, scheduler

    batches = list(loader())
    model, opt, scheduler = make()
    whole = train(model, opt, batches, scheduler)

    model, opt, scheduler = make()
    scaler = NativeScaler("cpu")
    train(model, opt, batches[:5], scheduler, scaler)
    saver = CheckpointSaver(model, opt, amp_scaler=scaler, checkpoint_dir=str(tmp_path))
    saver.save_checkpoint(epoch=0, metric=0.0)

    model, opt, scheduler = make(seed=1)
    timm.models.resume_checkpoint(model, str(tmp_path / "last.pth.tar"), opt, scaler, log_info=False)
    assert opt.rollout_position == 5 % LENGTH
    assert torch.equal(train(model, opt, batches[5:], scheduler, scaler, start=5), whole)


def test_a_name_with_an_underscore_is_read_by_its_last_part():
    """timm's own rule, which no registration can change: documented, not hidden."""
    assert type(create_optimizer_v2(small(), "pgrad_adam", lr=0.01)) is torch.optim.Adam
    assert type(create_optimizer_v2(small(), "lookahead_pgrad", lr=0.01, rollout_length=3)).__name__ == "Lookahead"


def test_it_pickles():
    model = small()
    opt = create_optimizer_v2(model, "pgrad", lr=0.01, rollout_length=LENGTH)
    copy, its_opt = pickle.loads(pickle.dumps((model, opt)))
    assert torch.equal(train(copy, its_opt, loader()), train(model, opt, loader()))


def test_registering_again_changes_nothing(caplog):
    before = timm.optim.list_optimizers()
    shim.register()
    assert timm.optim.list_optimizers() == before
    assert caplog.records == []


@pytest.mark.parametrize(
    ("kwargs", "error", "match"),
    [
        ({"inner": "no_such"}, ValueError, "inner must be the name of an ordinary optimizer of timm.*got 'no_such'"),
        ({"inner": "pgrad"}, ValueError, "inner must be the name of an ordinary optimizer of timm.*got 'pgrad'"),
        ({"bogus": 1}, TypeError, "bogus"),
        ({"rollout_length": 0}, ValueError, "rollout_length must be at least 1"),
        ({"inner": torch.optim.SGD, "betas": (0.9, 0.9)}, TypeError, "betas"),
    ],
)
def test_bad_input(kwargs, error, match):
    with pytest.raises(error, match=match):
        create_optimizer_v2(small(), "pgrad", lr=0.01, **{"rollout_length": 3, **kwargs})


def test_a_registry_that_has_moved_is_a_clear_error(monkeypatch):
    """The registry is private to timm. With it gone, the error names the version and the way without it."""
    monkeypatch.setattr(timm.optim._optim_factory, "default_registry", object())
    monkeypatch.setattr(timm.optim, "list_optimizers", lambda *_: [])
    with pytest.raises(
        ImportError, match=rf"timm {timm.__version__} keeps its optimizer registry elsewhere.*make_pgrad"
    ):
        shim.register()
