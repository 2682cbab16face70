"""The small networks, against counts by hand and plain functions."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from benchmarks.models import MODELS, cnn, linear, mlp


def n_parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_mlp_of_one_hidden_layer_is_the_plain_one():
    """Initialised alike as well: results on record were made with it."""
    plain = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 3))
    torch.manual_seed(1)
    for layer in (plain[1], plain[3]):
        layer.reset_parameters()
    torch.manual_seed(1)
    found = mlp((3, 2, 2), 3, 5)
    assert found.state_dict().keys() == plain.state_dict().keys()
    assert all(torch.equal(value, plain.state_dict()[name]) for name, value in found.state_dict().items())


@pytest.mark.parametrize(("depth", "count"), [(0, 12 * 3 + 3), (1, 65 + 18), (3, 65 + 2 * 30 + 18)])
def test_depth(depth, count):
    assert n_parameters(mlp((3, 2, 2), 3, 5, depth=depth)) == count
    assert n_parameters(linear((3, 2, 2), 3, 5)) == 39


@pytest.mark.parametrize(
    ("channels", "outputs", "count"),
    [
        # convolutions 640 + 73,856 + 2 x 147,584, norms 128 + 3 x 256, classifier 1,290
        (1, 10, 371_850),
        (3, 10, 371_850 + 2 * 64 * 9),
        (2, 2, 371_850 + 64 * 9 - 8 * 129),
    ],
)
def test_the_cnn_has_the_size_of_domainbeds(channels, outputs, count):
    assert n_parameters(MODELS["cnn"].factory((channels, 28, 28), outputs, 64)) == count


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 64), (5, 31)])
def test_the_cnn_is_these_functions(channels, size):
    model = cnn((channels, size, size), 7, 16)
    x = torch.rand(2, channels, size, size)
    value = x
    layers = list(model.features)
    for number in range(4):
        convolution, _, norm = layers[3 * number : 3 * number + 3]
        stride = 2 if number == 1 else 1
        value = functional.conv2d(value, convolution.weight, convolution.bias, stride=stride, padding=1)
        value = functional.group_norm(value.relu(), 8, norm.weight, norm.bias)
    assert value.shape[-1] == (size + 1) // 2
    expected = functional.linear(value.mean(dim=(2, 3)), model.classifier.weight, model.classifier.bias)
    torch.testing.assert_close(model(x), expected)


def test_evaluation_in_parts_changes_nothing():
    model = cnn((1, 8, 8), 3, 8).eval()
    x = torch.rand(150, 1, 8, 8)
    together = model(x).detach()
    sizes = []
    model.features.register_forward_pre_hook(lambda _, arguments: sizes.append(len(arguments[0])))
    with torch.inference_mode():
        torch.testing.assert_close(model(x), together)
    assert sizes == [64, 64, 22]


@pytest.mark.parametrize(
    ("shape", "width", "message"),
    [
        ((64,), 64, r"'cnn' takes pictures, \[channels, height, width\]; .* the shape \[64\]"),
        ((1, 8, 8), 60, "width of model 'cnn' must be a multiple of 8.*got 60"),
    ],
)
def test_what_the_cnn_refuses(shape, width, message):
    with pytest.raises(ValueError, match=message):
        cnn(shape, 10, width)
