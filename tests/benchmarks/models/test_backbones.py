"""Networks of timm as backbones, against timm itself; nothing here asks the network for anything."""

import sys

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_sample_images
from torch.nn.functional import interpolate

from benchmarks.models.backbones import Backbone, create, skeleton
from benchmarks.models.tuning import stages
from benchmarks.models.weights import PACKAGE, digest, from_package, pinned

NETWORKS = ("test_byobnet", "test_resnet", "test_efficientnet_gn", "test_convnext", "test_vit")


def lively(name, **options):
    """A network whose BatchNorm has seen something."""
    torch.manual_seed(3)
    model = timm.create_model(name, **options)
    model.train()(torch.randn(4, 3, *model.pretrained_cfg["input_size"][1:]))
    return model.eval()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """``file(name)``: the state dict of a network, written by torch or safetensors."""
    folder = tmp_path_factory.mktemp("weights")

    def write(name, suffix=".pth", **options):
        model = lively(name, **options)
        path = folder / f"{name}-{len(list(folder.iterdir()))}{suffix}"
        if suffix == ".safetensors":
            save_file(model.state_dict(), path)
        else:
            torch.save(model.state_dict(), path)
        return model, path

    return write


def features_of(model, x):
    mean, std = (torch.tensor(model.pretrained_cfg[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    return model.forward_head(model.forward_features((x - mean) / std), pre_logits=True)


@pytest.mark.parametrize("name", NETWORKS)
def test_features_are_timms_bit_for_bit(name, file):
    model, path = file(name)
    x = torch.rand(3, 3, 160, 160)
    backbone = Backbone(name, (3, 160, 160), str(path)).eval()
    with torch.no_grad():
        assert torch.equal(backbone(x), features_of(model, x))
        assert backbone.n_features == features_of(model, x).shape[1]


@pytest.mark.parametrize(
    ("suffix", "options"), [(".safetensors", {}), (".pt", {"num_classes": 7}), (".bin", {"num_classes": 0})]
)
def test_files_of_weights(suffix, options, file):
    """Any number of classes, or none: the classifier is not what is wanted."""
    model, path = file("test_byobnet", suffix, **options)
    backbone = Backbone("test_byobnet", (3, 64, 64), str(path)).eval()
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(backbone(x), features_of(model, x))


def test_channels(file):
    model, path = file("test_resnet")
    grey = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        found = Backbone("test_resnet", (1, 64, 64), str(path)).eval()(grey)
        assert torch.equal(found, features_of(model, grey.expand(-1, 3, -1, -1)))
        assert Backbone("test_resnet", (2, 64, 64), str(path)).eval()(grey.expand(-1, 2, -1, -1)).shape == (2, 96)


def test_bytes_are_pictures_too():
    x = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8)
    backbone = Backbone("test_byobnet", (3, 32, 32)).eval()
    assert torch.equal(backbone(x), backbone(x / 255))


@pytest.mark.parametrize(("name", "image_size", "size"), [("test_vit", None, 160), ("test_byobnet", 96, 96)])
def test_pictures_are_brought_to_size(name, image_size, size, file):
    model, path = file(name)
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        found = Backbone(name, (3, 32, 32), str(path), image_size).eval()(x)
        larger = interpolate(x, (size, size), mode="bilinear", antialias=True)
        assert torch.equal(found, features_of(model, larger))


def test_a_transformer_of_another_size():
    assert Backbone("test_vit", (3, 32, 32), image_size=64).net.patch_embed.img_size == (64, 64)


def test_the_packages_weights_know_a_flower_and_a_palace():
    model = create("tf_efficientnet_lite0")
    state = from_package(model.state_dict())
    assert len(state) == 296
    model.load_state_dict(state)
    backbone = Backbone("tf_efficientnet_lite0", (3, 224, 224), PACKAGE).eval()
    seen = []
    for picture in load_sample_images().images:  # 427 x 640 pixels, in scikit-learn
        middle = torch.tensor(picture).permute(2, 0, 1)[None, :, :, 106:533].float() / 255
        with torch.no_grad():
            features = backbone(interpolate(middle, (224, 224), mode="bilinear", antialias=True))
            seen.append(int(model.classifier(features).argmax()))
    assert seen == [698, 985]  # ImageNet's "palace" and "daisy"


def test_stages():
    """ResNet: stem and four stages. ViT: embeddings, then its blocks, the last with the final norm."""
    found = stages(skeleton("resnet18"))
    assert [{name.split(".")[0] for name in stage} for stage in found] == [
        {"conv1", "bn1"},
        *({f"layer{number}"} for number in range(1, 5)),
    ]
    net = skeleton("vit_tiny_patch16_224")
    found = stages(net)
    assert len(found) == 13
    assert {name.rpartition("12")[0] or name.split(".")[0] for name in found[0]} == {
        "cls_token",
        "pos_embed",
        "patch_embed",
    }
    assert found[-1][-2:] == ["norm.weight", "norm.bias"]
    assert sorted(name for stage in found for name in stage) == sorted(dict(net.named_parameters()))
    assert [name for name in stages(skeleton("test_convnext"))[-1] if "stages" not in name]  # its last norm alone


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("resnet81", (3, 64, 64), r"'resnet81' is not known to timm .* Near are: .*resnet18"),
        ("resnet18.a1_in2k", (3, 64, 64), r"'resnet18.a1_in2k' is not known .* Near are: .*resnet18.a1_in1k"),
        ("test_resnet", (4,), r"'timm:test_resnet' takes pictures"),
        ("test_resnet", (1, 8, 8), r"8 x 8 pixels are too small for timm:test_resnet.*32 pixels apart.*image_size: 64"),
    ],
)
def test_what_a_backbone_refuses(name, shape, message):
    with pytest.raises(ValueError, match=message):
        Backbone(name, shape)


def test_weights_that_are_no_weights(file, tmp_path):
    _, path = file("test_byobnet")
    short, other = tmp_path / "short.pth", tmp_path / "other.pth"
    short.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    torch.save([1, 2, 3], other)
    named = tmp_path / "named.pth"
    torch.save({"a": 3}, named)
    wrong = tmp_path / "wrong.pth"
    state = torch.load(path, weights_only=True)
    torch.save({**state, "stem.conv.weight": torch.zeros(1, 3, 3, 3)}, wrong)
    less = tmp_path / "less.pth"
    torch.save({name: value for name, value in state.items() if "stages.2" not in name}, less)
    for weights, message in (
        (tmp_path / "none.pth", "there is no file .*none.pth"),
        (short, "short.pth cannot be read, the file may be cut off"),
        (other, "other.pth cannot be read"),
        (named, r"named.pth must hold a state dict, tensors by name; got \['a'\]"),
        (wrong, "wrong.pth.* are not those of timm:test_byobnet.*size mismatch for stem.conv.weight"),
        (less, r"less.pth.* are not those of timm:test_byobnet.*stages\.2"),
        ("nonne", "'nonne' is not known. Did you mean 'none'"),
    ):
        with pytest.raises(ValueError, match=message):
            Backbone("test_byobnet", (3, 64, 64), str(weights))
    with pytest.raises(ValueError, match="not those of timm:test_resnet"):
        Backbone("test_resnet", (3, 64, 64), str(path))


def test_weights_that_change_are_other_weights(file):
    _, path = file("test_byobnet")
    name = pinned(str(path))
    assert name == f"{path}#{digest(path)}"
    assert pinned(name) == name
    Backbone("test_byobnet", (3, 64, 64), name)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="has changed: its SHA-256 begins with"):
        Backbone("test_byobnet", (3, 64, 64), name)


def test_weights_that_cannot_be_downloaded(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(OSError, match=r"weights of timm:test_vit are not on this machine.*path of a file"):
        Backbone("test_vit", (3, 160, 160), "timm")


def test_without_timm(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ImportError, match=r"pip install 'pgrad\[models\]'"):
        Backbone("test_vit", (3, 32, 32))
