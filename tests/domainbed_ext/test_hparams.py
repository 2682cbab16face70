import hashlib
import json
from types import SimpleNamespace

import numpy as np
import pytest

from domainbed_ext import hparams


def _seed_hash(*args):  # as DomainBed derives a seed
    return int(hashlib.md5(str(args).encode(), usedforsecurity=False).hexdigest(), 16) % 2**31


@pytest.fixture
def registry():
    def of_domainbed(algorithm, dataset, random_seed):
        state = np.random.RandomState(_seed_hash(random_seed, "lr"))
        return {"lr": (1e-3, 10 ** state.uniform(-4.5, -2.5)), "n_meta_test": (2, state.choice([1, 2]))}

    module = SimpleNamespace(_hparams=of_domainbed)
    hparams.install(module, _seed_hash)
    hparams.install(module, _seed_hash)  # again: no second wrapping
    return module


def test_the_defaults_are_the_authors_preset(registry):
    default = {name: value for name, (value, _) in registry._hparams("PGrad", "PACS", 0).items()}
    assert default["pgrad_splits"] == 3
    assert default["pgrad_components"] == 4
    assert default["pgrad_outer_lr"] == 0.1


@pytest.mark.parametrize("dataset", ["Debug28", "PACS"])
def test_draws_are_per_name_so_that_controls_are_matched(registry, dataset):
    drawn = {a: registry._hparams(a, dataset, 7) for a in hparams.NAMES}
    for name in {name for values in drawn.values() for name in values}:
        assert len({values[name] for values in drawn.values() if name in values}) == 1
    assert drawn["PGrad"]["pgrad_outer_lr"][1] == 10 ** np.random.RandomState(_seed_hash(7, "pgrad_outer_lr")).uniform(
        -1.5, 0
    )
    assert len({registry._hparams("PGrad", dataset, seed)["pgrad_outer_lr"][1] for seed in range(5)}) == 5


def test_every_value_is_a_plain_scalar_and_other_algorithms_get_no_name_of_ours(registry):
    for algorithm in (*hparams.NAMES, "MLDG"):
        for seed in range(20):
            values = {name: value for name, (_, value) in registry._hparams(algorithm, "PACS", seed).items()}
            assert json.loads(json.dumps(values)) == values
            assert not any(isinstance(value, np.generic) for value in values.values())
    assert not [name for name in registry._hparams("MLDG", "PACS", 0) if name.startswith("pgrad_")]
