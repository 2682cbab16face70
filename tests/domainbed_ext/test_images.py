"""What DomainBed would make of a folder of pictures without a word."""

import os

import numpy as np
import pytest
from PIL import Image

from domainbed_ext import images, miniature
from domainbed_ext.errors import Refusal


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return miniature.write(tmp_path, "PACS", images=2)


def _refusal(action, *arguments):
    with pytest.raises(Refusal) as caught:
        action(*arguments)
    return str(caught.value)


def _save(folder, name, pixels, **options):
    path = folder / "photo" / "dog" / name
    Image.fromarray(pixels).save(path, **options)
    return path


def test_labels_are_those_of_torchvision_where_nothing_is_refused(folder):
    from torchvision.datasets import ImageFolder

    (folder / "photo" / "dog" / "deeper").mkdir()
    _save(folder, "deeper/more.PNG", np.zeros((4, 4, 3), np.uint8))
    (folder / "photo" / "dog" / "notes.txt").write_text("x")
    (folder / "photo" / "readme.md").write_text("x")
    tree = images.look_at(folder)
    for domain, classes in tree.classes.items():
        theirs = ImageFolder(folder / domain)
        assert list(classes) == theirs.classes
        ours = [(str(f), i) for i, files in enumerate(classes.values()) for f in files]
        assert sorted(ours) == sorted(theirs.samples)
    assert (tree.ignored, tree.beside) == ({".txt": 1}, 1)


def test_a_class_that_one_domain_lacks(folder):
    missing = folder / "photo" / "guitar"
    for file in missing.iterdir():
        file.unlink()
    text = _refusal(images.look_at, folder)
    assert "class 'guitar' is empty in domain photo but is in art_painting, cartoon, sketch" in text
    missing.rmdir()
    text = _refusal(images.look_at, folder)
    assert "class 'guitar' is missing in domain photo" in text
    assert f"put its pictures into {missing}, or take the class out of every domain: mv {folder}/art_painting" in text


@pytest.mark.parametrize("name", ["Guitar", "guitar ", "GUITAR"])
def test_a_class_that_is_written_in_another_way(name, folder):
    (folder / "sketch" / "guitar").rename(folder / "sketch" / name)
    text = _refusal(images.look_at, folder)
    assert "needs one name" in text
    assert "mv " in text


@pytest.mark.parametrize("name", [".ipynb_checkpoints", "@eaDir", "__MACOSX", "#recycle"])
def test_folders_of_programs(name, folder):
    place = folder / "photo" / name
    place.mkdir()
    Image.new("RGB", (4, 4)).save(place / "a.jpg")
    text = _refusal(images.look_at, folder)
    assert f"{place} is hidden or made by a program" in text
    assert "shift the labels" in text
    place.rename(folder / name)
    assert f"{folder / name} is hidden or made by a program, and DomainBed would take it for a domain" in _refusal(
        images.look_at, folder
    )


def test_a_class_without_pictures_anywhere(folder):
    for domain in folder.iterdir():
        (domain / "zebra").mkdir()
    assert f"class folder {folder / 'art_painting' / 'zebra'} holds no picture" in _refusal(images.look_at, folder)


@pytest.mark.parametrize(
    ("name", "pixels", "words"),
    [
        ("a.png", np.full((4, 4), 3000, np.uint16), "has numbers of more than 8 bits (I;16)"),
        ("a.tif", np.full((4, 4), 70000, np.int32), "has numbers of more than 8 bits (I"),
        ("a.tiff", np.full((4, 4), 0.5, np.float32), "has numbers of more than 8 bits (F)"),
    ],
)
def test_pictures_of_more_than_eight_bits(name, pixels, words, folder):
    path = _save(folder, name, pixels)
    assert f"  {path}: {words}" in _refusal(images.check_pictures, images.look_at(folder), "PACS")


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif", "bmp"])
def test_pictures_that_break_off_although_domainbed_takes_them(ending, folder, monkeypatch):
    from PIL import ImageFile

    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    path = _save(folder, f"a.{ending}", pixels)
    path.write_bytes(path.read_bytes()[:-2000])
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # as DomainBed sets it
    assert f"  {path}: cannot be read" in _refusal(images.check_pictures, images.look_at(folder), "PACS")
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


def test_files_that_are_no_pictures(folder):
    places = [folder / "photo" / "dog" / f"{i:02}.jpg" for i in range(30, 55)]
    for place in places:
        place.write_bytes(b"")
    places.append(folder / "photo" / "dog" / "99.jpg")
    places[-1].symlink_to("nowhere")
    text = _refusal(images.check_pictures, images.look_at(folder), "PACS")
    assert "26 of 50 pictures of PACS cannot be used" in text
    assert "and 6 more" in text
    assert f"mv {places[0]} ELSEWHERE" in text


def test_what_domainbed_does_with_odd_pictures_is_told_and_a_tree_is_read_once(folder, capsys, monkeypatch):
    clear = np.zeros((8, 8, 4), np.uint8)
    path = _save(folder, "clear.png", clear)
    _save(folder, "opaque.png", np.full((8, 8, 4), 255, np.uint8))
    first, second = Image.new("L", (4, 4)), Image.new("L", (4, 4), 9)
    first.save(folder / "photo" / "dog" / "pages.tif", save_all=True, append_images=[second])
    (folder / "photo" / "dog" / "notes.gif").write_text("x")
    images.check_pictures(images.look_at(folder), "PACS")
    told = capsys.readouterr().err
    assert "1 pictures have transparent parts; DomainBed drops the transparency" in told
    assert f"{path} for one" in told
    assert "1 pictures have several pages or frames; DomainBed takes the first" in told
    assert "1 files are no pictures by their endings and are left out: 1 of .gif" in told

    read = []
    monkeypatch.setattr(images, "_state", lambda file: read.append(file) or "")
    images.check_pictures(images.look_at(folder), "PACS")
    assert capsys.readouterr().err == told
    assert not read
    os.utime(path, (1, 1))
    images.check_pictures(images.look_at(folder), "PACS")
    assert path in read
