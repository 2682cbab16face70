"""Where the name of a user's own data ends and its options begin."""

import pytest

from benchmarks.datasets import DATASETS, cache
from benchmarks.datasets.named import parse, with_allowed
from tests.benchmarks.datasets.trees import grey, tree


@pytest.mark.parametrize("folder", ["what?", "why? #1", "50%", "a%3Fb", "a&b=c", "size=3?limit=2", "ü ß"])
@pytest.mark.parametrize("query", ["", "?size=8"])
def test_a_folder_may_have_any_name(tmp_path, monkeypatch, folder, query):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    tree(tmp_path / folder, grey)
    path, options = parse("folder", f"{tmp_path / folder}{query}", ("size", "limit"))
    assert path == tmp_path / folder
    assert options == ({"size": "8"} if query else {})
    assert DATASETS[f"folder:{tmp_path / folder}{query}"].domains == ("a", "b", "c")


def test_signs_may_be_written_as_numbers(tmp_path):
    (tmp_path / "what? #1").mkdir()
    assert parse("folder", f"{tmp_path}/what%3F%20%231?size=8", ("size",)) == (tmp_path / "what? #1", {"size": "8"})


def test_long_options_are_no_name_of_a_folder(tmp_path):
    (tmp_path / "what?").mkdir()
    _, options = parse("folder", f"{tmp_path}/what??group={'x' * 400}", ("group",))
    assert len(options["group"]) == 400


def test_two_folders_that_a_name_could_mean_are_refused(tmp_path):
    (tmp_path / "what").mkdir()
    (tmp_path / "what?size=8").mkdir()
    with pytest.raises(ValueError, match=r"could mean .*what and .*what\?size=8, which are both there"):
        parse("folder", f"{tmp_path}/what?size=8", ("size",))


def test_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "pets").mkdir()
    assert parse("folder", "~/pets", ())[0] == tmp_path / "pets"


def test_more_is_allowed(tmp_path):
    (tmp_path / "what?").mkdir()
    name = f"folder:{tmp_path}/what?"
    assert with_allowed(name, []) == name
    assert with_allowed(name, ["copies"]) == f"{name}?allow=copies"
    assert with_allowed(f"{name}?allow=copies&size=8", ["copies", "frames"]) == f"{name}?size=8&allow=copies,frames"
    with pytest.raises(ValueError, match="allow is for data of yours"):
        with_allowed("rotated-digits", ["copies"])
