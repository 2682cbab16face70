import pytest
import torch

from benchmarks.datasets import DATASETS, emoji, fetch
from benchmarks.datasets.emoji import Style, concepts
from benchmarks.datasets.fetch import FetchError, fetched
from tests.benchmarks.packages import icon_package

RED = '<path fill="#f00" d="M0 0h8v16H0z"/>'  # the left half
BLUE = '<path fill="#00f" d="M0 0h16v16H0z"/>'
LOW = '<path fill="#00f" d="M0 0h16v8H0z"/>'
TABLE = """
# a comment
animal\tcat=kitty
food\tapple
person\tdetective woman-detective man-detective
person\tdancer-facing-right
place\tonly-here
"""


@pytest.fixture
def source(tmp_path, monkeypatch):
    """Two icon sets that were fetched by hand, and a table of concepts."""
    folder = tmp_path / "source"
    folder.mkdir()
    monkeypatch.setenv(fetch.VARIABLE, str(folder))
    (tmp_path / "table.txt").write_text(TABLE)
    one = {"cat": RED, "apple": BLUE, "detective": BLUE, "man-detective": RED, "only-here": RED, "dancer": RED}
    two = {"kitty": {"body": LOW, "height": 8}, "fruit": RED, "man-detective": BLUE, "dancer": RED}
    mirrored = {"dancer-facing-right": {"parent": "dancer", "hFlip": True}}
    packages = {
        "one": icon_package(folder, "one", one, {**mirrored, "kitty": {"parent": "cat"}}),
        "two": icon_package(folder, "two", two, {**mirrored, "apple": {"parent": "fruit"}}),
    }
    return {name: Style(package, "MIT") for name, package in packages.items()}


def test_styles_hold_the_same_concepts_and_the_right_pictures(source, tmp_path):
    built = emoji.build(source, 8, tmp_path / "table.txt")
    one, two = built.data.domains
    assert (one.name, two.name) == ("one", "two")
    # Cat by either name, apple by an alias, the one detective that both have; a mirrored dancer is another picture.
    expected = [emoji.CLASSES.index(name) for name in ("animal", "food", "person")]
    assert one.labels.tolist() == two.labels.tolist() == expected
    assert one.groups.tolist() == two.groups.tolist()
    assert len(set(one.groups.tolist())) == 3
    red, blue, white = ([255, 0, 0], [0, 0, 255], [255, 255, 255])
    assert one.inputs.dtype == torch.uint8
    assert one.inputs.shape == (3, 3, 8, 8)
    for picture in (one.inputs[0], two.inputs[1], one.inputs[2]):  # half red, half white
        assert picture[:, 4, 1].tolist() == red
        assert picture[:, 4, 6].tolist() == white
    # A picture that is half as high as wide stands in the middle of the square.
    assert two.inputs[0][:, 4, 4].tolist() == blue
    assert two.inputs[0][:, 0, 4].tolist() == white
    assert two.inputs[0][:, 7, 4].tolist() == white
    assert built.facts["@iconify-json/one 1.0.0"] == source["one"].package.integrity
    assert emoji.build(source, 8, tmp_path / "table.txt").data.digest() == built.data.digest()


def test_a_group_is_the_same_whatever_styles_there_are(source, tmp_path):
    alone = emoji.build({"one": source["one"], "again": source["one"]}, 8, tmp_path / "table.txt").data.domains[0]
    both = emoji.build(source, 8, tmp_path / "table.txt").data.domains[0]
    assert set(both.groups.tolist()) < set(alone.groups.tolist())


def test_a_broken_package_is_refused(source, tmp_path):
    package = source["one"].package
    path = fetch.source_folder() / package.file_name
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FetchError, match=r"@iconify-json/one 1.0.0 is broken.* expected sha512-"):
        emoji.build(source, 8, tmp_path / "table.txt")


@pytest.mark.parametrize("content", [b"no archive", b""])
def test_a_package_without_icons_is_refused(source, content, tmp_path):
    path = tmp_path / "file.tgz"
    path.write_bytes(content)
    with pytest.raises(FetchError, match=r"@iconify-json/one 1\.0\.0 holds no readable package/icons\.json"):
        emoji.read_icons(path, source["one"].package)


def an_npm(folder, monkeypatch, script):
    """A command npm that does what npm does in a certain situation."""
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    (bin_folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (bin_folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}:/usr/bin:/bin")
    monkeypatch.delenv(fetch.VARIABLE)


def test_npm_is_asked_for_the_pinned_version(source, tmp_path, monkeypatch):
    package, folder = source["one"].package, fetch.source_folder()
    an_npm(
        tmp_path,
        monkeypatch,
        f'[ "$1 $2 $3" = "pack @iconify-json/one@1.0.0 --pack-destination" ] && cp {folder}/{package.file_name} "$4"',
    )
    with fetched(package) as path:
        assert path.read_bytes() == (folder / package.file_name).read_bytes()
    assert not path.exists()


def test_what_npm_says_is_passed_on(source, tmp_path, monkeypatch):
    an_npm(tmp_path, monkeypatch, "echo 'npm error code E404' >&2; exit 1")
    with (
        pytest.raises(FetchError, match=r"(?s)moved or withdrawn.*npm error code E404.*--source"),
        fetched(source["one"].package),
    ):
        pass


def test_npm_that_brings_another_file(source, tmp_path, monkeypatch):
    an_npm(tmp_path, monkeypatch, 'echo > "$4/other.tgz"')
    with (
        pytest.raises(FetchError, match=r"wrote \['other\.tgz'\].*expected iconify-json-one-1\.0\.0\.tgz"),
        fetched(source["one"].package),
    ):
        pass


def test_without_npm_the_error_says_what_to_install(source, tmp_path, monkeypatch):
    monkeypatch.delenv(fetch.VARIABLE)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FetchError, match=r"no npm here; install Node\.js.*--source"), fetched(source["one"].package):
        pass


def test_a_network_that_hangs(source, tmp_path, monkeypatch):
    an_npm(tmp_path, monkeypatch, "exec sleep 60")
    monkeypatch.setattr(fetch, "SECONDS", 0.2)
    with pytest.raises(FetchError, match="did not come within"), fetched(source["one"].package):
        pass


def test_the_table_of_concepts():
    known = concepts()
    names = [name for concept in known for variant in concept.variants for name in variant]
    assert len(names) == len(set(names))
    assert len({concept.group for concept in known}) == len(known)
    assert {concept.label for concept in known} == set(range(len(emoji.CLASSES)))
    place = {name: (emoji.CLASSES[each.label], each.group) for each in known for v in each.variants for name in v}
    assert place["woman-detective"] == place["detective"]
    assert place["man-walking-facing-right"] == place["person-walking"]
    assert place["blue-book"] == place["closed-book"]
    facts = {"dog": "animal", "t-shirt": "clothing", "grinning-face": "face", "pizza": "food", "thumbs-up": "hand"}
    facts |= {"hammer": "object", "astronaut": "person", "hospital": "place", "cactus": "plant", "bicycle": "transport"}
    assert {name: place[name][0] for name in facts} == facts


def test_entries_name_packages_whose_pins_are_whole():
    for name in ("emoji-styles4-32", "emoji-styles4-64", "emoji-styles8-32", "emoji-styles8-64"):
        assert DATASETS[name].domains[: len(emoji.FOUR)] == emoji.FOUR
    for style in emoji.STYLES.values():
        assert len(style.package.integrity) == len("sha512-") + 88
