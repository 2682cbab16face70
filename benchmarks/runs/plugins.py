"""Data sets, algorithms and models from a module of the user's.

Naming the module in a sweep (``plugins: [my_module]``, or ``--plugin my_module.py``) imports it in the coordinator and
in every worker; importing it registers what it holds. A run depends on the files that its data set and its algorithm
come from: in files of their own, an edit of one lets the other's finished runs stand::

    from benchmarks.runs.plugins import register_algorithm, register_dataset


    @register_dataset("mine", domains=("a", "b", "c"))
    def mine() -> MultiDomainData: ...


    @register_algorithm("my-method", space={"lr": LogUniform(1e-3, 1e-4, 1e-2)})
    class MyMethod(Algorithm): ...
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, get_args

from torch import Tensor
from torch.nn.functional import cross_entropy

from benchmarks.algorithms import ALGORITHMS, AlgorithmEntry, Batches
from benchmarks.base.errors import unknown
from benchmarks.base.losses import Loss
from benchmarks.base.metrics import accuracy
from benchmarks.base.records import SEPARATOR
from benchmarks.base.search import Distribution, Space
from benchmarks.datasets import DATASETS, DatasetEntry, Fit, Metric, MultiDomainData
from benchmarks.models import MODELS, ModelEntry, ModelFactory

Factory = TypeVar("Factory", bound=Callable[..., Any])

BATCHES: tuple[str, ...] = get_args(Batches)
DISTRIBUTIONS: tuple[type, ...] = get_args(Distribution)

_FOREIGN = (
    f"{Path(__file__).resolve().parents[1]}{os.sep}",
    *{f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "purelib", "platlib")},
    "<",
)
"""How the files begin that are not the user's: the benchmarks', those of libraries, and what is no file."""

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
    constant: Callable[[Tensor, int], Tensor] | None = None,
) -> Callable[[Callable[[], MultiDomainData]], Callable[[], MultiDomainData]]:
    """A decorator for a function that builds a data set, the same one each time.

    What it builds is held against what is declared whenever it is built: see `agreeing`.

    Raises:
        ValueError: if the name is taken, or a domain's name holds "+", which joins names in records.
    """
    domains = tuple(domains)
    wrong = [domain for domain in domains if SEPARATOR in domain]
    if wrong or len(domains) < 2 or len(set(domains)) < len(domains):
        raise ValueError(
            f"domains of {name!r} must be at least two different names without {SEPARATOR!r}, got {domains}"
        )

    def register(factory: Callable[[], MultiDomainData]) -> Callable[[], MultiDomainData]:
        entry = DatasetEntry(
            factory=_checked(name, factory, domains, classes=loss is cross_entropy),
            description=description or _summary(factory),
            metric=metric,
            domains=domains,
            loss=loss,
            model=model,
            fit=fit,
            measures=dict(measures or {}),
            constant=constant,
        )
        _add("data set", DATASETS, name, entry, factory)
        return factory

    return register


def register_algorithm(
    name: str, *, space: Space, batches: Batches = "pooled", passes: int = 1, description: str = ""
) -> Callable[[Factory], Factory]:
    """A decorator for a class (or function) ``factory(model, hparams, setup)`` that makes an algorithm.

    Raises:
        ValueError: if the name is taken, `batches` is no kind of them, or a pass costs nothing.
        TypeError: if the space is no mapping from names to distributions.
    """
    if batches not in BATCHES:
        raise ValueError(f"batches of {name!r}: {unknown(batches, BATCHES)}")
    if isinstance(passes, bool) or not isinstance(passes, int) or passes < 1:
        raise ValueError(f"passes of {name!r} must be a whole number from 1 on, got {passes!r}")
    for hparam, distribution in space.items() if isinstance(space, Mapping) else [("space", space)]:
        if not isinstance(distribution, DISTRIBUTIONS):
            raise TypeError(
                f"the space of {name!r} must map names to LogUniform, Choice or Grid of benchmarks.base.search, "
                f"got {distribution!r} for {hparam!r}"
            )

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
        ImportError: if there is no such module or file, or importing it fails; says which, why, and in which line.
    """
    for name in plugins:
        try:
            if name.endswith(".py"):
                _load_file(Path(name).resolve())
            else:
                importlib.import_module(name)
        except Exception as error:
            why = f"{type(error).__name__}: {error.msg if isinstance(error, SyntaxError) else error}"
            raise ImportError(f"the plugin {name!r} cannot be imported: {_line(error)}{why}") from error


def _line(error: Exception) -> str:
    """The file and line, outside of the benchmarks and of libraries, where an error came up; "" if there is none."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{error.filename}, line {error.lineno}: "
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(_FOREIGN)]
    return f"{own[-1].filename}, line {own[-1].lineno}: " if own else ""


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


def agreeing(data: MultiDomainData, domains: tuple[str, ...], classes: bool) -> MultiDomainData:
    """The data, if they are what was declared.

    Args:
        data: What a plugin built.
        domains: The names that it declared, in their order.
        classes: Whether the labels are class indices if they are integers: so they are for cross entropy.

    Raises:
        TypeError: if they are no `MultiDomainData`.
        ValueError: if they have other domains, or labels that the outputs do not have; names both.
    """
    if not isinstance(data, MultiDomainData):
        raise TypeError(f"must return MultiDomainData, got {type(data).__name__}")
    if data.names != domains:
        raise ValueError(
            f"declares the domains {', '.join(domains)} and returns {', '.join(data.names)}; they must be the same, "
            "in the same order"
        )
    for domain in data.domains:
        labels = domain.labels
        if not classes or labels.is_floating_point() or not len(labels):
            continue
        least, most = int(labels.min()), int(labels.max())
        if least < 0 or most >= data.n_outputs:
            raise ValueError(
                f"returns n_outputs={data.n_outputs}, and the labels of domain {domain.name!r} reach from {least} to "
                f"{most}; classes are numbered from 0 to n_outputs - 1"
            )
    return data


def _checked(
    name: str, factory: Callable[[], MultiDomainData], domains: tuple[str, ...], classes: bool
) -> Callable[[], MultiDomainData]:
    @functools.wraps(factory)
    def build() -> MultiDomainData:
        data = factory()
        try:
            return agreeing(data, domains, classes)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{_place(factory)}: the data set {name!r} {error}") from error

    return build


def _place(factory: Callable[..., Any]) -> str:
    """The file and the line where something is defined."""
    path = inspect.getsourcefile(factory) or "?"
    try:
        return f"{path}, line {inspect.getsourcelines(factory)[1]}"
    except OSError:  # the file is gone meanwhile
        return path


def _add(kind: str, registry: dict[str, Any], name: str, entry: Any, factory: Callable[..., Any]) -> None:
    path = str(Path(inspect.getfile(factory)).resolve())
    if name in registry and _files.get((kind, name)) != path:
        other = _files.get((kind, name), "the benchmarks themselves")
        raise ValueError(
            f"there is a {kind} named {name!r} already, of {other}; choose another name in {_place(factory)}"
        )
    registry[name] = entry
    _files[kind, name] = path


def _summary(factory: Callable[..., Any]) -> str:
    return (inspect.getdoc(factory) or "").partition("\n")[0].rstrip(".")
