"""A network that begins at its first trained stage, beside the whole one."""

import pytest
import timm
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks.models import build
from benchmarks.models.backbones import Backbone
from benchmarks.models.cut import before, find
from benchmarks.runs import features as module
from benchmarks.runs.config import RunConfig
from benchmarks.runs.outputs import Place
from benchmarks.runs.runner import run
from benchmarks.sweeps.files import validated
from tests.benchmarks.models.test_tuning import settings
from tests.benchmarks.toy_sweeps import HERE

SHAPE = (3, 64, 64)
PLUGIN = str(HERE / "pictures.py")


@pytest.fixture
def weights(tmp_path):
    """A function: name to a file of weights, with scales and statistics that are not those of the beginning."""

    def made(name):
        torch.manual_seed(3)
        net = timm.create_model(name)
        for layer in net.modules():
            if isinstance(layer, _BatchNorm):
                torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
        net.train()(torch.rand(8, *SHAPE))
        path = tmp_path / f"{name}.pth"
        torch.save(net.state_dict(), path)
        return str(path)

    return made


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["train", "frozen-statistics", "frozen"])
@pytest.mark.parametrize("tuning", ["last-1", "last-2"])
@pytest.mark.parametrize("name", ["test_byobnet", "test_efficientnet", "test_resnet"])
def test_outputs_and_gradients_are_those_of_the_whole_network(name, tuning, policy, weights):
    words = settings(weights(name), model=f"timm:{name}", tuning=tuning, batch_norm=policy)
    cut = find(name, tuning, SHAPE)
    assert cut is not None
    models = []
    for place in (None, cut):
        torch.manual_seed(0)
        models.append(build(words, SHAPE, 2, place))
    x = torch.rand(6, *SHAPE)
    given = before(Backbone(name, SHAPE, words.weights).eval(), cut, x)
    assert given.numel() <= x.numel()
    for mode in (True, False):
        outputs = [model.train(mode)(inputs) for model, inputs in zip(models, (x, given), strict=True)]
        torch.testing.assert_close(*outputs)
    for output in [model.train()(inputs) for model, inputs in zip(models, (x, given), strict=True)]:
        output[:, 0].sum().backward()
    whole, rest = (dict(model.named_parameters()) for model in models)
    assert list(whole) == list(rest)
    for each, parameter in whole.items():
        torch.testing.assert_close(rest[each].grad, parameter.grad, msg=lambda text, each=each: f"{each}: {text}")
    statistics = [each for each, _ in models[1].named_buffers() if each.endswith("running_mean")]
    for each in statistics:
        torch.testing.assert_close(models[1].get_buffer(each), models[0].get_buffer(each))


def test_networks_of_which_this_is_not_true_are_left_whole():
    assert find("test_vit", "last-1", SHAPE) is None  # adds where a patch is, between its modules
    assert find("test_byobnet", "full", SHAPE) is None
    assert find("test_byobnet", "last-4", SHAPE) is None  # the stem gives more numbers than a picture has
    assert find("test_byobnet", "last-3", SHAPE) is not None


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["erm", "pgrad"])
def test_a_run_on_kept_features_is_the_run_on_pictures(algorithm, weights, tmp_path, monkeypatch):
    validated({"datasets": "tiny-pictures", "plugins": PLUGIN})
    words = {"dataset": "tiny-pictures", "algorithm": algorithm, "held_out": "b", "seed": 0, "point": 0, "rollouts": 4}
    words |= {"batch_size": 4, "model": "timm:test_byobnet", "weights": weights("test_byobnet"), "tuning": "last-1"}
    hparams = {"lr": 0.001, "weight_decay": 0.0, "outer_lr": 0.1, "n_components": 2}
    words["hparams"] = hparams if algorithm == "pgrad" else {"lr": 0.001, "weight_decay": 0.0}
    config = RunConfig(**{**words, "batch_norm": "frozen-statistics", "evaluate_every": 1})
    kept = run(config, Place(tmp_path))
    assert len(list((tmp_path / "data").glob("*.features"))) == 1
    monkeypatch.setattr(module, "find", lambda *_: None)
    whole = run(config, Place(tmp_path))
    assert kept["status"] == whole["status"] == "finished", (kept.get("error"), whole.get("error"))
    for name, values in whole["curves"].items():
        assert kept["curves"][name] == pytest.approx(values, rel=1e-3), name
