"""Made trees of each kind: what is refused, what is said, what is taken."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.datasets import DATASETS
from benchmarks.datasets.lookup import _entry
from tests.benchmarks.datasets.trees import grey, noise, tree

pytestmark = pytest.mark.usefixtures("own_cache")


def findings(root, query="size=8"):
    """Word -> text of all findings."""
    return {found.what: found.text for found in DATASETS[f"folder:{root}?{query}"].inventory().findings}


def section(root, title, query="size=8"):
    found = {each.title: each for each in DATASETS[f"folder:{root}?{query}"].inventory().sections}
    return [dict(zip(found[title].columns, row, strict=True)) for row in found[title].rows] if title in found else []


def refused(root, word, match, query="size=8"):
    """The entry with the word allowed; without it, it is refused."""
    with pytest.raises(ValueError, match=match) as error:
        DATASETS[f"folder:{root}?{query}"]
    assert str(error.value).endswith(f"allow={word} in the name")
    assert f"folder:{root}?{query}" not in DATASETS
    return DATASETS[f"folder:{root}?{query}&allow={word}"]


def again():
    """As in a new process."""
    _entry.cache_clear()


def test_a_clean_tree_has_counts_and_nothing_to_say(root):
    assert findings(root) == {}
    assert section(root, "Pictures")[1] == {"domain": "b", "pictures": "12", "cat": "6", "dog": "6"}
    kinds = section(root, "Kinds of pictures")
    assert kinds[0] == {
        "domain": "a",
        "kind": "PNG, grey",
        "number": "12",
        "values": "",
        "taken as": "8 bits",
    }
    assert section(root, "Not taken") == []


def test_many_classes_stand_below_one_another(tmp_path):
    names = tuple(f"class {number:02}" for number in range(12))
    rows = section(tree(tmp_path / "mine", grey, classes=names, number=1), "Pictures")
    assert rows[0] == {"class": "all", "a": "12", "b": "12", "c": "12"}
    assert rows[3] == {"class": "class 02", "a": "1", "b": "1", "c": "1"}


def test_all_that_is_not_taken_is_counted(root):
    (root / "a" / "@eaDir").mkdir()
    (root / "a" / "cat" / "Thumbs.db").write_text("x")
    (root / "a" / "cat" / "._p0_000.png").write_text("x")
    for number in range(3):
        (root / "b" / "dog" / f"mask{number}.npy").write_text("x")
    (root / "readme.txt").write_text("x")
    (root / "empty").mkdir()
    grey(1000, root / "b" / "loose.png")
    rows = {(row["what"], row["why"]): row for row in section(root, "Not taken")}
    assert rows["folder @eaDir", "hidden or of the system"]["where"] == "a"
    assert rows[".db", "hidden or of the system"]["where"] == str(Path("a/cat"))
    assert rows[".png", "hidden or of the system"]["number"] == "1"
    assert rows[".npy", "no picture"]["number"] == "3"
    assert rows[".txt", "no picture"]["where"] == "."
    assert rows["folder empty", "no pictures inside"]["number"] == "1"
    assert rows[".png", "beside the folders of classes"]["pictures"] == "1"
    found = findings(root)
    assert "1 picture lies beside folders and without a class" in found["loose"]
    assert "empty" in found["empty"]


def test_endings_do_not_matter(root):
    for number, ending in enumerate(("", ".JPEG", ".avif", ".jp2", ".jfif", ".bin")):
        form = {".JPEG": "JPEG", ".avif": "AVIF", ".jp2": "JPEG2000", ".jfif": "JPEG"}.get(ending, "PNG")
        Image.fromarray(noise(500 + number)).save(root / "a" / "cat" / f"new{number}{ending}", format=form)
    assert section(root, "Pictures")[0]["cat"] == "12"
    assert len(DATASETS[f"folder:{root}?size=8"].factory().domains[0]) == 18
    assert "PNG, grey" in findings(root)["kinds"]


@pytest.mark.parametrize("other", ["Cat", "cat ", "CAT"])
def test_classes_that_differ_in_spelling_are_refused(root, other):
    (root / "b" / "cat").rename(root / "b" / "other")
    (root / "b" / "other").rename(root / "b" / other)
    entry = refused(
        root, "spelling", f"classes that differ in capitals, blanks .*{other!r} and 'cat'|'cat' and {other!r}"
    )
    assert len(entry.classes) == 3


def test_domains_that_differ_in_spelling_are_refused(root):
    (root / "b").rename(root / "A")
    refused(root, "spelling", "domains that differ in capitals")


def test_letters_that_are_written_in_two_ways_are_refused(root):
    for domain, name in (("a", "caf\u00e9"), ("b", "cafe\u0301"), ("c", "caf\u00e9")):
        (root / domain / "cat").rename(root / domain / name)
    refused(root, "spelling", "classes that differ")


def test_identical_files_across_domains_are_refused(root):
    shutil.copy(root / "a" / "cat" / "p0_000.png", root / "b" / "cat" / "again.png")
    shutil.copy(root / "a" / "dog" / "p0_000.png", root / "c" / "dog" / "again.png")
    match = r"2 pictures stand in several domains, byte by byte \(a/cat/p0_000.png = b/cat/again.png, a/dog/p0_000.png"
    assert len(refused(root, "copies", match).factory().domains[1]) == 13


def test_identical_files_with_two_labels_are_refused(root):
    shutil.copy(root / "a" / "cat" / "p0_000.png", root / "a" / "dog" / "again.png")
    refused(root, "labels", "1 picture stands in different classes.*one label is wrong")


def test_identical_files_in_one_class_are_said(root):
    shutil.copy(root / "a" / "cat" / "p0_000.png", root / "a" / "cat" / "again.png")
    assert "1 picture stands several times in a class of a domain" in findings(root)["repeats"]


def test_splits_at_the_top_are_refused(tmp_path):
    root = tree(tmp_path / "mine", grey, domains=("train", "val", "test"))
    refused(root, "splits", "folders test, train, val look like the splits of one set and not like domains")


def test_splits_above_domains_are_explained(tmp_path):
    tree(tmp_path / "mine", grey, domains=("train/photo", "test/photo"))
    with pytest.raises(ValueError, match=r"test/photo/cat/p0_000\.png looks like split/domain/class"):
        DATASETS[f"folder:{tmp_path / 'mine'}"]


def test_splits_beside_full_are_said(tmp_path):
    tree(tmp_path / "mine", grey, domains=("a/full", "a/train", "b/full"))
    found = findings(tmp_path / "mine")
    assert found["splits"] == f"beside full, which is taken, these splits are left out: {Path('a/train')}"


def test_a_folder_without_classes_is_no_domain_in_silence(root):
    (root / "d").mkdir()
    for number in range(4):
        grey(900 + number, root / "d" / f"{number}.png")
    entry = refused(root, "domains", r"in no folders of classes: d \(4 pictures\)")
    assert entry.domains == ("a", "b", "c")
    assert findings(root, "size=8&domains=a,b") == {}  # nobody asked for d


def test_deeper_pictures_are_taken_or_refused(root):
    for number in range(2):
        (root / "a" / "cat" / "2024").mkdir(exist_ok=True)
        grey(900 + number, root / "a" / "cat" / "2024" / f"{number}.png")
    entry = refused(root, "deeper", "2 pictures lie deeper than domain/class")
    assert len(entry.factory().domains[0]) == 14


def test_one_class_of_deeper_pictures_is_no_wrapper(root):
    """Folders inside the only class of a domain once became its classes."""
    shutil.rmtree(root / "c" / "dog")
    for film in ("film1", "film2"):
        (root / "c" / "cat" / film).mkdir()
        for file in list((root / "c" / "cat").glob(f"p{film[-1]}*")):
            file.rename(root / "c" / "cat" / film / file.name)
    for file in (root / "c" / "cat").glob("*.png"):
        file.unlink()
    entry = refused(root, "deeper", "4 pictures lie deeper", "size=8")
    assert entry.classes == ("cat", "dog")


def test_classes_that_a_domain_lacks_are_said(root):
    shutil.rmtree(root / "b" / "dog")
    assert findings(root)["classes"] == "b has no dog: a score there is one over fewer classes"


def test_few_and_small_pictures_are_said(tmp_path):
    found = findings(tree(tmp_path / "mine", grey, number=3), "size=16")
    assert "3 of cat in a, 3 of dog in a" in found["few"]
    assert found["small"] == "18 of 18 pictures are smaller than 16 pixels and are enlarged: size=..."


def test_files_that_cannot_be_read_are_named_or_left_out(root):
    (root / "a" / "cat" / "p0_000.png").write_bytes(b"")
    (root / "b" / "dog" / "p1_001.png").write_bytes(b"<html>404</html>")
    entry = refused(root, "unreadable", r"2 files cannot be read: .*a/cat/p0_000\.png .*b/dog/p1_001\.png")
    assert [len(domain) for domain in entry.factory().domains] == [11, 11, 12]


def test_files_that_end_early_are_all_named(root):
    for name in ("a/cat/p0_000.png", "b/dog/p1_001.png"):
        (root / name).write_bytes((root / name).read_bytes()[:-60])
    with pytest.raises(ValueError, match=r"2 pictures cannot be taken: .*p0_000.*p1_001.*allow=unreadable"):
        DATASETS[f"folder:{root}?size=8"].factory()
    query = "size=8&allow=unreadable"
    data = DATASETS[f"folder:{root}?{query}"].factory()
    assert [len(domain) for domain in data.domains] == [11, 11, 12]
    again()
    assert section(root, "Pictures", query)[:2] == [
        {"domain": "a", "pictures": "11", "cat": "5", "dog": "6"},
        {"domain": "b", "pictures": "11", "cat": "6", "dog": "5"},
    ]
    assert "2 pictures left out that could not be decoded" in findings(root, query)["unreadable"]


def test_a_mended_file_is_read(root):
    broken = root / "a" / "cat" / "p0_000.png"
    before = broken.read_bytes()
    broken.write_bytes(b"")
    refused(root, "unreadable", "1 file cannot be read")
    broken.write_bytes(before)
    again()
    assert len(DATASETS[f"folder:{root}?size=8"].factory().domains[0]) == 12


def test_a_link_to_nothing_is_named(root):
    (root / "a" / "cat" / "gone.png").symlink_to(root / "nowhere.png")
    refused(root, "unreadable", r"gone\.png cannot be read")


def test_several_pages_are_refused_or_the_first_is_taken(root):
    pages = [Image.fromarray(noise(number)) for number in (700, 701)]
    pages[0].save(root / "a" / "cat" / "pages.tif", save_all=True, append_images=pages[1:])
    entry = refused(root, "frames", r"1 file holds several pages or is a film: a/cat/pages\.tif \(2\)")
    assert len(entry.factory().domains[0]) == 13


def xray(seed, path):
    Image.fromarray(noise(seed, low=300, high=4001, dtype=np.uint16)).save(path)


def test_an_xray_in_16_bits_asks_for_its_range(tmp_path):
    root = tree(tmp_path / "mine", xray)
    name = f"folder:{root}?size=8"
    match = r"a: PNG, grey of 16 bits, values 300 \.\. 4000, less than half of 0 \.\. 65535.*say range=0,4095"
    with pytest.raises(ValueError, match=match):
        DATASETS[name]
    data = DATASETS[f"{name}&range=300,4000"].factory()
    inputs = torch.cat([domain.inputs for domain in data.domains])
    assert inputs.dtype == torch.float32
    assert 0.3 < inputs.mean() < 0.7
    assert inputs.std() > 0.05
    dark = DATASETS[f"{name}&range=depth"].factory()
    assert dark.domains[0].inputs.max() < 4001 / 65535
    rows = section(root, "Kinds of pictures", "size=8&range=300,4000")
    assert rows[0]["taken as"] == "300 .. 4000 as black .. white: range"
    assert rows[0]["values"] == "300 .. 4000"
    assert "cut off" in findings(root, "size=8&range=1000,2000")["range"]


def test_what_fills_its_depth_is_taken_by_it(tmp_path):
    root = tree(
        tmp_path / "mine", lambda seed, path: Image.fromarray(noise(seed, high=65536, dtype=np.uint16)).save(path)
    )
    assert findings(root) == {}
    assert section(root, "Kinds of pictures")[0]["taken as"] == "0 .. 65535 as black .. white: its depth"


def test_floating_point_in_0_1_is_taken_and_beyond_it_asked(tmp_path):
    def floats(factor):
        return lambda seed, path: Image.fromarray((noise(seed) / 255 * factor).astype(np.float32)).save(path)

    one = tree(tmp_path / "one", floats(1.0), ending="tif")
    assert findings(one) == {}
    assert DATASETS[f"folder:{one}?size=8"].factory().domains[0].inputs.std() > 0.05
    many = tree(tmp_path / "many", floats(1000.0), ending="tif")
    refused(many, "range", r"values 0 \.\. 1000, outside 0 \.\. 1; say range=0,1000")


def test_one_domain_of_another_depth_is_seen(tmp_path):
    """8 bits in two domains, 12 of 16 in the third: each by its depth would be another brightness."""
    root = tree(tmp_path / "mine", grey, domains=("a", "b"))
    tree(root, xray, domains=("c",))
    with pytest.raises(ValueError, match=r"c: PNG, grey of 16 bits, values 300 \.\. 4000"):
        DATASETS[f"folder:{root}?size=8"]
    assert "c: PNG, grey of 16 bits" in findings(root, "size=8&range=300,4000")["kinds"]
    data = DATASETS[f"folder:{root}?size=8&range=300,4000"].factory()
    means = [float(domain.inputs.mean()) for domain in data.domains]
    assert max(means) - min(means) < 0.1
    assert {domain.inputs.dtype for domain in data.domains} == {torch.float32}


def test_eight_bits_are_the_same_beside_deep_ones(tmp_path):
    root = tree(tmp_path / "mine", grey)
    before = DATASETS[f"folder:{root}?size=8"].factory().domains[0].inputs
    Image.fromarray(noise(77, high=65536, dtype=np.uint16)).save(root / "c" / "cat" / "deep.png")
    again()
    torch.testing.assert_close(DATASETS[f"folder:{root}?size=8"].factory().domains[0].inputs, before, rtol=0, atol=1e-7)


def test_colours_of_16_bits_that_are_nearly_black_are_refused(tmp_path):
    def colours(seed, path):
        """Pillow writes none: a PNG by hand, from twelve bits."""
        import struct
        import zlib

        values = noise(seed, shape=(12, 16, 3), high=4096, dtype=">u2")
        rows = b"".join(b"\0" + row.tobytes() for row in values)

        def chunk(kind, content):
            return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

        head = chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 12, 16, 2, 0, 0, 0))
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))

    root = tree(tmp_path / "mine", colours)
    refused(root, "colours", r"colours of 16 bits, of which Pillow gives the upper 8, .*no value above 15 of 255")


def test_the_background_is_an_option(tmp_path):
    def drawing(seed, path):
        values = np.zeros((12, 16, 4), dtype=np.uint8)
        values[..., 3] = noise(seed) // 2 * 2
        Image.fromarray(values).save(path)

    root = tree(tmp_path / "mine", drawing)
    rows = section(root, "Kinds of pictures")
    assert rows[0]["taken as"] == "on the background 255, 255, 255"
    white = DATASETS[f"folder:{root}?size=8"].factory().domains[0].inputs
    green = DATASETS[f"folder:{root}?size=8&background=%23008000"].factory().domains[0].inputs
    assert white.std() > 0.05
    assert (green[:, 0] == 0).all()
    with pytest.raises(ValueError, match=r"as its background.*say background=black.*allow=unreadable"):
        DATASETS[f"folder:{root}?size=8&background=black"].factory()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("range=4000,300", "range must be depth, or two numbers, the lower one first, .*got '4000,300'"),
        ("range=white", "range must be depth"),
        ("range=0,nan", "range must be depth"),
        ("range=0,255", "range is for greys of more than 8 bits"),
        ("background=whiteish", "background must be the name of a colour"),
        ("allow=copies", "allow=copies allows what was not found; found was nothing"),
        ("group=x&groups=y", "say one of them"),
    ],
)
def test_options_that_are_refused(root, query, message):
    with pytest.raises(ValueError, match=message):
        DATASETS[f"folder:{root}?size=8&{query}"]


def test_the_scan_is_kept_and_a_damaged_one_made_again(root, tmp_path):
    first = DATASETS[f"folder:{root}?size=8"].inventory()
    kept = next((tmp_path / "cache").glob("*.json"))
    again()
    assert DATASETS[f"folder:{root}?size=8"].inventory() == first
    kept.write_text("{")
    again()
    assert DATASETS[f"folder:{root}?size=8"].inventory() == first


def test_a_package_that_is_missing_is_named(root, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pydicom", None)
    (root / "a" / "cat" / "ct.dcm").write_bytes(bytes(128) + b"DICM")
    with pytest.raises(ValueError, match=r"ct\.dcm: pictures in DICOM need pydicom .*pip install 'pgrad\[dicom\]'"):
        DATASETS[f"folder:{root}?size=8"]


def test_a_link_to_a_folder_inside_a_class_is_said(root):
    (root / "a" / "cat" / "more").symlink_to(root / "b" / "cat")
    assert "a/cat/more" in findings(root)["links"]
    assert [row["what"] for row in section(root, "Not taken")] == ["folder more"]


def drawn(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(path)


@pytest.mark.parametrize(
    ("paths", "told"),
    [
        (["1.png", "2.png"], "it holds 2 itself: each belongs in the folder of its class, in the folder of its domain"),
        (["a/1.png", "b/2.png"], "a holds 1 without folders of classes"),
        (["here/cat/1.png", "here/dog/2.png"], "here alone would be one domain, and two are needed"),
        ([], "it is empty"),
    ],
    ids=["no folders", "domains alone", "one domain", "nothing"],
)
def test_what_is_missing_in_a_tree_is_said(tmp_path, paths, told):
    root = tmp_path / "mine"
    root.mkdir()
    drawn(*(root / path for path in paths))
    with pytest.raises(ValueError, match=rf"holds no pictures in domain/class/\*\.jpg; .*{told}"):
        DATASETS[f"folder:{root}"]
