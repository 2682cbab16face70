"""DomainBed's backbones without network: weights from a folder, at random, or a refusal that says what to do."""

import pytest
import torch
import torchvision

from domainbed_ext.errors import Refusal

pytestmark = pytest.mark.filterwarnings("ignore")  # of DomainBed's own code
SHAPE = (3, 224, 224)


@pytest.fixture
def featurizer(domainbed):
    from domainbed import hparams_registry, networks

    def make(**hparams):
        return networks.Featurizer(SHAPE, {**hparams_registry.default_hparams("PGrad", "PACS"), **hparams})

    return make


@pytest.fixture
def no_network(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path_factory.mktemp("torch")))

    def refuse(*args, **kwargs):
        raise ConnectionRefusedError("no network")

    monkeypatch.setattr("torch.hub.urlopen", refuse)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_from_a_folder(featurizer, no_network, tmp_path, suffix):
    torch.manual_seed(10)
    state = torchvision.models.resnet18().state_dict()
    path = tmp_path / f"resnet18{suffix}"
    if suffix == ".pth":
        torch.save(state, path)
    else:
        from safetensors.torch import save_file

        save_file(state, path)
    loaded = featurizer(resnet18=True, resnet50_augmix=False, ext_pretrained=str(tmp_path)).network.state_dict()
    assert {name for name in state if not name.startswith("fc.")} == set(loaded)
    for name, value in loaded.items():
        torch.testing.assert_close(value, state[name], rtol=0, atol=0)


def test_timms_resnet_needs_only_its_own_file(featurizer, no_network, tmp_path):
    with pytest.raises(Refusal, match=r"holds one of resnet50.ram_in1k.safetensors, resnet50.ram_in1k.pth"):
        featurizer(ext_pretrained=str(tmp_path))
    import timm

    torch.manual_seed(11)
    state = timm.create_model("resnet50.ram_in1k", pretrained=False).state_dict()
    torch.save(state, tmp_path / "resnet50.ram_in1k.pth")
    network = featurizer(ext_pretrained=str(tmp_path))
    torch.testing.assert_close(network.network.conv1.weight, state["conv1.weight"], rtol=0, atol=0)
    assert network.n_outputs == 2048


def test_random_weights_need_no_network_and_a_failed_download_says_what_to_do(featurizer, no_network):
    x = torch.randn(1, *SHAPE)
    network = featurizer(resnet18=True, resnet50_augmix=False, ext_pretrained="none", freeze_bn=True)
    assert network(x).shape == (1, 512)
    with pytest.raises(Refusal, match=r"cannot be downloaded \(.*no network.*\); without network put weight files"):
        featurizer(resnet18=True, resnet50_augmix=False)
