"""Data sets, algorithms and models from a module of the user's.

Naming the module in a sweep (``plugins: [my_module]``, or ``--plugin my_module.py``) imports it in the coordinator and
in every worker; importing it registers what it holds::

    from benchmarks.runs.plugins import register_algorithm, register_dataset


    @register_dataset("mine", domains=("a", "b", "c"))
    def mine() -> MultiDomainData: ...


    @register_algorithm("my-method", space={"lr": LogUniform(1e-3, 1e-4, 1e-2)})
    class MyMethod(Algorithm): ...
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from torch.nn.functional import cross_entropy

from benchmarks.algorithms import ALGORITHMS, AlgorithmEntry, Batches
from benchmarks.base.losses import Loss
from benchmarks.base.metrics import accuracy
from benchmarks.base.records import SEPARATOR
from benchmarks.base.search import Space
from benchmarks.datasets import DATASETS, DatasetEntry, Fit, Metric, MultiDomainData
from benchmarks.models import MODELS, ModelEntry, ModelFactory

Factory = TypeVar("Factory", bound=Callable[..., Any])

_files: dict[tuple[str, str], str] = {}
"""(kind, name) of what plugins registered -> the file it comes from."""


def register_dataset(
    name: str,
    *,
    domains: tuple[str, ...],
    description: str = "",
    metric: Metric = accuracy,
    loss: Loss = cross_entropy,
    model: str = "mlp",
    fit: Fit | None = None,
    measures: Mapping[str, Metric] | None = None,
) -> Callable[[Callable[[], MultiDomainData]], Callable[[], MultiDomainData]]:
    """A decorator for a function that builds a data set, the same one each time.

    Raises:
        ValueError: if the name is taken, or a domain's name holds "+", which joins names in records.
    """
    wrong = [domain for domain in domains if SEPARATOR in domain]
    if wrong or len(domains) < 2 or len(set(domains)) < len(domains):
        raise ValueError(
            f"domains of {name!r} must be at least two different names without {SEPARATOR!r}, got {domains}"
        )

    def register(factory: Callable[[], MultiDomainData]) -> Callable[[], MultiDomainData]:
        entry = DatasetEntry(
            factory=factory,
            description=description or _summary(factory),
            metric=metric,
            domains=domains,
            loss=loss,
            model=model,
            fit=fit,
            measures=dict(measures or {}),
        )
        _add("data set", DATASETS, name, entry, factory)
        return factory

    return register


def register_algorithm(
    name: str, *, space: Space, batches: Batches = "pooled", passes: int = 1, description: str = ""
) -> Callable[[Factory], Factory]:
    """A decorator for a class (or function) ``factory(model, hparams, setup)`` that makes an algorithm.

    Raises:
        ValueError: if the name is taken.
    """

    def register(factory: Factory) -> Factory:
        entry = AlgorithmEntry(
            factory=factory,
            description=description or _summary(factory),
            batches=batches,
            space=space,
            source=factory.__module__,
            passes=passes,
        )
        _add("algorithm", ALGORITHMS, name, entry, factory)
        return factory

    return register


def register_model(name: str) -> Callable[[ModelFactory], ModelFactory]:
    """A decorator for a function ``factory(input_shape, n_outputs, width)`` that makes a network.

    Raises:
        ValueError: if the name is taken.
    """

    def register(factory: ModelFactory) -> ModelFactory:
        _add("model", MODELS, name, ModelEntry(factory, _summary(factory), source=factory.__module__), factory)
        return factory

    return register


def load(plugins: Iterable[str]) -> None:
    """Imports the modules; a word that ends in ``.py`` is the path of a file.

    Raises:
        ImportError: if there is no such module or file, or importing it fails; says which, and why.
    """
    for name in plugins:
        try:
            if name.endswith(".py"):
                _load_file(Path(name).resolve())
            else:
                importlib.import_module(name)
        except Exception as error:
            raise ImportError(f"the plugin {name!r} cannot be imported: {type(error).__name__}: {error}") from error


def _load_file(path: Path) -> ModuleType:
    name = f"benchmarks_plugin_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def sources(dataset: str, algorithm: str, model: str) -> list[Path]:
    """The plugins' files that a run depends on; none for what the benchmarks bring themselves."""
    found = {_files.get(what) for what in (("data set", dataset), ("algorithm", algorithm), ("model", model))}
    return sorted(Path(path) for path in found if path)


def _add(kind: str, registry: dict[str, Any], name: str, entry: Any, factory: Callable[..., Any]) -> None:
    path = str(Path(inspect.getfile(factory)).resolve())
    if name in registry and _files.get((kind, name)) != path:
        raise ValueError(f"there is a {kind} named {name!r} already; choose another name in {path}")
    registry[name] = entry
    _files[kind, name] = path


def _summary(factory: Callable[..., Any]) -> str:
    return (inspect.getdoc(factory) or "").partition("\n")[0].rstrip(".")
