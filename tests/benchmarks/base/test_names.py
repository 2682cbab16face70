"""The names that are known before the registries are loaded are those of the registries."""

from typing import get_args

from benchmarks.algorithms import ALGORITHMS
from benchmarks.base import names
from benchmarks.datasets import DATASETS
from benchmarks.datasets.lookup import SCHEMES
from benchmarks.models import MODELS
from benchmarks.runs import plugins
from benchmarks.sweeps.config import SweepConfig
from benchmarks.sweeps.launcher_config import KINDS
from benchmarks.sweeps.search import Kind, Prune, Ranges
from benchmarks.sweeps.settings import SweepSettings
from pgrad.integrations.wilds import TASKS


def test_the_names_are_those_of_the_registries():
    """Whoever adds an algorithm, a data set or a model writes its name into benchmarks/base/names.py too."""
    own = [name for name in ALGORITHMS if not plugins.sources("", name, "")]  # other tests register some
    assert list(names.ALGORITHMS) == own
    assert list(names.DATASETS) == [name for name in DATASETS if not plugins.sources(name, "", "")]
    assert list(names.MODELS) == [name for name in MODELS if not plugins.sources("", "", name)]
    assert tuple(TASKS) == names.WILDS
    assert tuple(SweepConfig.model_fields) == names.SWEEP
    assert tuple(SweepSettings.model_fields) == names.SETTINGS
    assert tuple(KINDS) == names.LAUNCHERS
    assert tuple(SCHEMES) == names.SCHEMES
    fields = {"ranges": Ranges, "kind": Kind, "prune": Prune}
    words = {word: field for field, kind in fields.items() for word in get_args(kind) if word != "none"}
    assert words == names.SEARCH
