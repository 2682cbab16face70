"""Bridges between DomainBed at the tested commit and today's libraries and machines. All of them, and nothing else.

Each is set from outside on the modules of the imported checkout:

1. wilds asks the package index for a newer version of itself when it is imported: switched off (`before_import`).
2. Pretrained weights come from the network only: the hyper-parameter ``ext_pretrained`` says "download" (as DomainBed),
   "none" (initialised at random), or a folder with weight files (`_pretrained`).
3. The backbone is fixed by the image size: the hyper-parameter ``ext_featurizer`` names another ("module:function").
4. Fishr needs an old backpack, whose current version gives it no per-sample gradients: autograd computes them.
5. Every loader starts 8 worker processes, 64 and more in all: `set_workers` changes the number.
6. The classes of wilds behind WILDSCamelyon and WILDSFMoW cannot read their own files with today's pandas: those of
   `pgrad.integrations.wilds` are built in their place (`wilds_dataset`).
7. numpy scalars among random hyper-parameters crash the JSON of the results (MLDG, ADRMX): see `hparams`.

Not bridged: RDM and TRM call ``.cuda()`` themselves, so that they need a GPU (`preflight` says so).
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from domainbed_ext.errors import Refusal

__all__ = [
    "WILDS",
    "apply",
    "before_import",
    "bridge_wilds",
    "load_featurizer",
    "set_workers",
    "weight_file",
    "wilds_dataset",
]

WILDS = {"WILDSCamelyon": "camelyon17", "WILDSFMoW": "fmow"}

_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")


def before_import() -> None:
    """What must be so before domainbed is imported."""
    if "outdated" not in sys.modules:
        sys.modules["outdated"] = None  # type: ignore[assignment]  # import outdated: ImportError, which wilds handles


def apply(algorithms: Any, networks: Any) -> None:
    """Set the bridges 2 to 4 on DomainBed's modules; a second call changes nothing."""
    if hasattr(networks.Featurizer, "of_domainbed"):
        return
    networks.Featurizer = _featurizer(networks)
    algorithms.Fishr._get_grads = _per_sample_gradients
    if algorithms.backpack is None:
        algorithms.backpack = ModuleType("backpack")  # Fishr asks only whether it is None
    algorithms.extend = lambda module: module


def set_workers(datasets: Any, workers: int) -> None:
    """Worker processes of each loader, instead of 8."""
    datasets.MultipleDomainDataset.N_WORKERS = workers


def bridge_wilds(datasets: Any) -> None:
    """Let DomainBed's two data sets of WILDS be read as the others of this project read them."""
    datasets.Camelyon17Dataset = lambda root_dir: wilds_dataset("WILDSCamelyon", root_dir)
    datasets.FMoWDataset = lambda root_dir: wilds_dataset("WILDSFMoW", root_dir)


@functools.cache
def wilds_dataset(dataset: str, data_dir: str) -> Any:
    """The data set of WILDS that DomainBed calls `dataset`.

    Raises:
        Refusal: if it is not there, or damaged; with the command that downloads it.
    """
    from pgrad.integrations import wilds

    try:
        return wilds.get_dataset(WILDS[dataset], data_dir)
    except (OSError, ValueError, ImportError) as error:
        raise Refusal(f"--data_dir {data_dir}: {error}") from error


# ---------------------------------------------------------------------------------------------- backbone and weights


def _featurizer(networks: Any) -> Callable[[Any, dict[str, Any]], nn.Module]:
    original = networks.Featurizer

    def featurizer(input_shape: Any, hparams: dict[str, Any]) -> nn.Module:
        spec = hparams.get("ext_featurizer", "")
        if spec:
            network: nn.Module = load_featurizer(spec)(input_shape, hparams)
            if not isinstance(getattr(network, "n_outputs", None), int):
                raise Refusal(f"ext_featurizer {spec!r} must return a module with an int n_outputs")
            return network
        source = hparams.get("ext_pretrained", "download")
        with _pretrained(networks, source, bool(hparams.get("resnet50_augmix"))):
            built: nn.Module = original(input_shape, hparams)
        return built

    featurizer.of_domainbed = original  # type: ignore[attr-defined]
    return featurizer


def load_featurizer(spec: str) -> Callable[[Any, dict[str, Any]], Any]:
    """The function that "module:function" names; it takes (input_shape, hparams) and returns a module with n_outputs.

    Raises:
        Refusal: if it cannot be imported.
    """
    module, _, name = spec.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise Refusal(
            f"ext_featurizer must be 'module:function' that can be imported, got {spec!r}: {error}"
        ) from error
    if not callable(found):
        raise Refusal(f"ext_featurizer {spec!r} is not callable")
    return found  # type: ignore[no-any-return]


@contextmanager
def _pretrained(networks: Any, source: str, augmix: bool) -> Iterator[None]:
    """Inside, the names `torchvision`, `timm` and `torch` in DomainBed's networks take weights from `source`.

    With `augmix`, DomainBed makes a torchvision ResNet-50 only to replace it by timm's: its weights are not fetched.
    """
    kept = {name: getattr(networks, name) for name in ("torchvision", "timm")}
    hub: Any = torch.hub
    hub_load = hub.load

    def resnet(name: str) -> Callable[..., nn.Module]:
        def build(pretrained: bool = False) -> nn.Module:
            download = pretrained and not augmix and source == "download"
            network = getattr(kept["torchvision"].models, name)(weights="IMAGENET1K_V1" if download else None)
            return network if augmix else _load(network, source, name)

        return build

    def create_model(name: str, pretrained: bool = False) -> nn.Module:
        network = kept["timm"].create_model(name, pretrained=pretrained and source == "download")
        return _load(network, source, name)

    def load(repository: str, name: str) -> nn.Module:
        if source == "download":
            return hub_load(repository, name)  # type: ignore[no-any-return]
        raise Refusal(f"{name} comes from torch.hub only: use ext_pretrained=download, or name an ext_featurizer")

    networks.torchvision = SimpleNamespace(
        models=SimpleNamespace(resnet18=resnet("resnet18"), resnet50=resnet("resnet50"))
    )
    networks.timm = SimpleNamespace(create_model=create_model)
    hub.load = load
    try:
        yield
    except OSError as error:  # of urllib (torchvision) and of the Hugging Face hub (timm)
        if source != "download":
            raise
        raise Refusal(
            f"pretrained weights cannot be downloaded ({error}); without network put weight files into a folder and "
            """pass --hparams '{"ext_pretrained": "FOLDER"}', or '{"ext_pretrained": "none"}' for random weights"""
        ) from error
    finally:
        hub.load = hub_load
        networks.torchvision, networks.timm = kept["torchvision"], kept["timm"]


def weight_file(folder: str, name: str) -> Path:
    """The file with the weights of a backbone: resnet18, resnet50 (torchvision's) or resnet50.ram_in1k (timm's).

    Raises:
        Refusal: if the folder has none.
    """
    for suffix in _SUFFIXES:
        path = Path(folder) / f"{name}{suffix}"
        if path.is_file():
            return path
    wanted = ", ".join(f"{name}{suffix}" for suffix in _SUFFIXES)
    raise Refusal(
        f"ext_pretrained={folder} must be 'download', 'none' or a folder that holds one of {wanted}; on a machine with "
        f"network, torch.save(network.state_dict(), '{name}.pth') makes one"
    )


def _load(network: nn.Module, source: str, name: str) -> nn.Module:
    if source in ("download", "none"):
        return network
    path = weight_file(source, name)
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        state = load_file(path)
    else:
        state = torch.load(path, map_location="cpu", weights_only=True)
    network.load_state_dict(state)
    return network


# ------------------------------------------------------------------------------------------------------------- Fishr


def _per_sample_gradients(self: Any, logits: Tensor, y: Tensor) -> OrderedDict[str, Tensor]:
    """Gradients of each sample's cross-entropy for the classifier: name -> [n, numel], differentiable."""
    names, parameters = zip(*self.classifier.named_parameters(), strict=True)
    losses = functional.cross_entropy(logits, y, reduction="none")
    rows = torch.autograd.grad(
        losses, parameters, torch.eye(len(y), device=y.device), create_graph=True, is_grads_batched=True
    )
    return OrderedDict((name, row.reshape(len(y), -1)) for name, row in zip(names, rows, strict=True))
