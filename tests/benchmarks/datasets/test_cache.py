import pickle
import threading
import zipfile

import numpy as np
import pytest
import torch

from benchmarks.base.metrics import accuracy
from benchmarks.datasets import DATASETS, cache
from benchmarks.datasets.base import DatasetEntry, Domain, MultiDomainData
from benchmarks.datasets.cache import Built, DamagedError, Recipe
from benchmarks.runs.prepared import prepared


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))


def pictures(seed=0):
    generator = torch.Generator().manual_seed(seed)
    domains = [
        Domain(name, torch.randint(0, 256, (5, 3, 4, 4), generator=generator, dtype=torch.uint8), labels, groups)
        for name, labels, groups in (
            ("a", torch.tensor([0, 1, 0, 1, 1]), torch.tensor([1, 1, 2, 2**55, 3])),
            ("b", torch.tensor([1, 1, 0, 0, 1]), torch.tensor([4, 5, 5, 5, 4])),
        )
    ]
    return MultiDomainData(tuple(domains), n_outputs=2)


def counted(name="small", **options):
    """A recipe that notes how often it builds."""
    builds = []

    def build():
        builds.append(threading.get_ident())
        return Built(pictures(), {"from": "a test"})

    return Recipe(name, build, **options), builds


def test_a_set_is_built_once_and_read_as_it_was_built():
    recipe, builds = counted()
    first, second = recipe(), recipe()
    assert len(builds) == 1
    for data in (first, second):
        assert data.n_outputs == 2
        for found, made in zip(data.domains, pictures().domains, strict=True):
            assert found.name == made.name
            assert found.inputs.dtype == torch.float32
            assert torch.equal(found.inputs, made.inputs.double().div(255).float())
            assert torch.equal(found.labels, made.labels)
            assert torch.equal(found.groups, made.groups)
    raw = recipe.prepare()
    assert raw.domains[0].inputs.dtype == torch.uint8
    assert raw.digest() == pictures().digest()
    assert recipe.prepare(again=True).digest() == raw.digest()
    assert len(builds) == 2


def test_another_revision_is_another_file():
    old, _ = counted()
    new, builds = counted(revision="2")
    old()
    new()
    assert len(builds) == 1
    assert old.path.exists()
    assert new.path.exists()


def test_several_that_need_it_at_once_build_it_once():
    recipe, builds = counted()
    threads = [threading.Thread(target=recipe) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(builds) == 1


def test_a_preparation_that_breaks_off_leaves_nothing_and_the_next_one_works():
    broken = Recipe("small", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        broken()
    assert not broken.path.exists()
    recipe, builds = counted()
    recipe.path.with_suffix(".partial").write_bytes(b"half of a file")  # as after a power cut
    recipe()
    assert len(builds) == 1


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def swap(path):
    """A whole .npz whose labels are others."""
    with np.load(path) as file:
        arrays = dict(file)
    arrays["labels-0"] = 1 - arrays["labels-0"]
    np.savez(path, **arrays)


def drop(path):
    with zipfile.ZipFile(path) as old:
        kept = {name: old.read(name) for name in old.namelist() if not name.startswith("inputs-1")}
    with zipfile.ZipFile(path, "w") as new:
        for name, content in kept.items():
            new.writestr(name, content)


HARMS = [flip, truncate, swap, drop, lambda path: path.write_bytes(b"")]


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_file_is_named_and_made_again(harm):
    recipe, builds = counted()
    recipe()
    harm(recipe.path)
    with pytest.raises(DamagedError, match=r"small-r1\.npz is damaged .*--again"):
        cache.read(recipe.path)
    with pytest.warns(UserWarning, match=r"small-r1\.npz is damaged .* prepared again"):
        assert recipe.prepare().digest() == pictures().digest()
    assert recipe().n_outputs == 2
    assert len(builds) == 2


def test_a_damaged_file_that_cannot_be_made_again_is_named_with_both_reasons():
    recipe, _ = counted()
    recipe()
    truncate(recipe.path)

    def unreachable():
        raise OSError("no network")

    with (
        pytest.warns(UserWarning, match="is damaged"),
        pytest.raises(DamagedError, match=r"small-r1\.npz is damaged \(.*failed: no network\).*--again") as raised,
    ):
        Recipe(recipe.name, unreachable, recipe.revision)()
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)  # it travels between processes


@pytest.mark.parametrize("harm", [flip, truncate, lambda path: path.write_bytes(b"")])
def test_what_workers_map_is_written_again_if_it_is_damaged(harm, tmp_path, monkeypatch):
    recipe, builds = counted()
    entry = DatasetEntry(recipe, description="", metric=accuracy, domains=("a", "b"))
    monkeypatch.setitem(DATASETS, "mapped", entry)
    whole = prepared("mapped", tmp_path).digest()
    prepared.cache_clear()  # as in the next process
    (path,) = (tmp_path / "data").glob("*.pt")
    harm(path)
    with pytest.warns(UserWarning, match=r"\.pt is damaged .* written again"):
        assert prepared("mapped", tmp_path).digest() == whole
    prepared.cache_clear()
    assert prepared("mapped", tmp_path).digest() == whole
    assert len(builds) == 1


def test_the_default_folder_is_the_one_of_the_system_for_caches(monkeypatch, tmp_path):
    monkeypatch.delenv(cache.VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder().parts[-2:] == ("pgrad", "data")
    monkeypatch.setenv(cache.VARIABLE, "~/sets")
    assert cache.folder().is_absolute()


def test_workers_map_what_is_prepared_and_know_its_digest(tmp_path, monkeypatch):
    recipe, builds = counted()
    entry = {"description": "", "metric": accuracy, "domains": ("a", "b")}
    floats = recipe()
    monkeypatch.setitem(DATASETS, "right", DatasetEntry(recipe, digest=floats.digest(), **entry))
    monkeypatch.setitem(DATASETS, "wrong", DatasetEntry(recipe, digest="0" * 64, **entry))
    assert prepared("right", tmp_path).digest() == floats.digest()
    assert len(builds) == 1
    with pytest.raises(RuntimeError, match="wrong was built with the SHA-256"):
        prepared("wrong", tmp_path)
