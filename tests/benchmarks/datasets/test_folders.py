import os

import pytest
import torch
from PIL import Image

from benchmarks.commands.words.report import report_command as report
from benchmarks.datasets import DATASETS, cache
from benchmarks.datasets.lookup import _entry
from benchmarks.datasets.pictures import Rules, decode
from benchmarks.runs.environment import fingerprint
from benchmarks.sweeps.coordinator import perform
from benchmarks.sweeps.files import ConfigError, validated
from benchmarks.sweeps.plan import plan
from benchmarks.sweeps.store import Store

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0))


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))


def fill(root, domains, classes, number=3, ending="png", size=(20, 12)):
    """Pictures of one colour for each class; `domains` may say folders between."""
    for domain in domains:
        for label, name in enumerate(classes):
            folder = root / domain / name
            folder.mkdir(parents=True)
            for each in range(number):
                file = folder / f"pic_{each:03}.{ending}"
                Image.new("RGB", size, COLOURS[label]).save(file, quality=95)
                # What follows a picture is not looked at; without it, files would be copies of one another.
                file.write_bytes(file.read_bytes() + str(file).encode())


def pacs(root):
    fill(root / "PACS" / "kfold", ("art_painting", "cartoon", "photo", "sketch"), ("dog", "elephant"))
    return root / "PACS", ("art_painting", "cartoon", "photo", "sketch"), 6


def vlcs(root):
    """As it is given away: numbers for classes, and splits, one of which is all of the others."""
    for split, number in (("crossval", 1), ("full", 3), ("test", 1), ("train", 1)):
        fill(root / "VLCS", [f"{name}/{split}" for name in ("CALTECH", "LABELME")], ("0", "1"), number, "jpg")
    return root / "VLCS", ("CALTECH", "LABELME"), 6


def vlcs_of_domainbed(root):
    fill(root / "VLCS", ("Caltech101", "LabelMe", "SUN09", "VOC2007"), ("bird", "car", "chair"), ending="jpg")
    return root / "VLCS", ("Caltech101", "LabelMe", "SUN09", "VOC2007"), 9


def office_home(root):
    fill(root / "OfficeHomeDataset_10072016", ("Art", "Clipart", "Product", "Real World"), ("Alarm_Clock", "Bed"))
    (root / "OfficeHomeDataset_10072016" / "ImageInfo.csv").write_text("no folder")
    return root, ("Art", "Clipart", "Product", "Real World"), 6


def terra(root):
    names = tuple(f"location_{number}" for number in (100, 38, 43, 46))
    fill(root / "terra_incognita", names, ("bird", "bobcat", "empty"), ending="jpg")
    (root / "terra_incognita" / "caltech_images_20210113.json").write_text("{}")
    return root / "terra_incognita", names, 9


def domain_net(root):
    names = ("clipart", "infograph", "painting", "quickdraw", "real", "sketch")
    fill(root / "domain_net", names, ("aircraft_carrier", "zigzag"), ending="JPG")
    (root / "domain_net" / "clipart_train.txt").write_text("clipart/aircraft_carrier/pic_000.JPG 0")
    return root / "domain_net", names, 6


def office_31(root):
    fill(root / "office", [f"{name}/images" for name in ("amazon", "dslr", "webcam")], ("back_pack", "bike"))
    return root / "office", ("amazon", "dslr", "webcam"), 6


@pytest.mark.parametrize("layout", [pacs, vlcs, vlcs_of_domainbed, office_home, terra, domain_net, office_31])
def test_layouts(layout, tmp_path):
    path, domains, number = layout(tmp_path / "data")
    (path / ".hidden").mkdir()
    entry = DATASETS[f"folder:{path}?size=16"]
    data = entry.factory()
    assert data.names == entry.domains == domains
    assert data.input_shape == (3, 16, 16)
    for domain in data.domains:
        assert len(domain) == number
        for picture, label in zip(domain.inputs, domain.labels.tolist(), strict=True):
            wanted = torch.tensor(COLOURS[label])[:, None, None] / 255
            assert (picture - wanted).abs().max() < 0.02  # JPEG is not exact
    assert data.n_outputs == len(set(data.domains[0].labels.tolist()))


def test_a_class_has_one_number_in_all_domains(tmp_path):
    fill(tmp_path, ("a",), ("cat", "dog"))
    fill(tmp_path, ("b",), ("dog",))
    fill(tmp_path, ("c",), ("cat", "owl"))
    data = DATASETS[f"folder:{tmp_path}"].factory()
    assert [sorted(set(domain.labels.tolist())) for domain in data.domains] == [[0, 1], [1], [0, 2]]
    assert data.n_outputs == 3


def test_pictures_are_cut_to_the_middle_and_stand_upright(tmp_path):
    wide = Image.new("RGB", (40, 20), (0, 0, 255))
    wide.paste((255, 0, 0), (10, 0, 30, 20))
    wide.save(tmp_path / "wide.png")
    assert (torch.tensor(decode(tmp_path / "wide.png", Rules(10)).copy())[0] > 230).all()
    lying = Image.new("RGB", (20, 20), (0, 0, 255))
    lying.paste((255, 0, 0), (0, 0, 10, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: left is up
    lying.save(tmp_path / "lying.png", exif=exif)
    upright = decode(tmp_path / "lying.png", Rules(10))
    assert upright[:, 1, 5].tolist() == [255, 0, 0]
    assert upright[:, 8, 5].tolist() == [0, 0, 255]


def test_options(tmp_path):
    fill(tmp_path, ("a", "b", "c"), ("cat", "dog"), number=5)
    data = DATASETS[f"folder:{tmp_path}?domains=c,a&limit=2&size=8"].factory()
    assert data.names == ("a", "c")
    assert [len(domain) for domain in data.domains] == [4, 4]
    assert data.input_shape == (3, 8, 8)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?sizes=8", "'sizes' is no option. Did you mean 'size'"),
        ("?size=0", "size must be a whole number of at least 1, got '0'"),
        ("?size=", "size must be given once and have a value"),
        ("?limit=2&limit=3", "limit must be given once"),
        ("?domains=a,x", "domains must be some of a, b, got 'x'"),
        ("?domains=a", "there must be at least two"),
        ("/nowhere", "there is no folder"),
        ("/a", "no pictures in domain/class"),
    ],
)
def test_names_that_are_refused(tmp_path, query, message):
    fill(tmp_path, ("a", "b"), ("cat", "dog"))
    name = f"folder:{tmp_path}{query}"
    assert name not in DATASETS
    with pytest.raises(ValueError, match=message):
        DATASETS[name]
    with pytest.raises(ConfigError, match=message):
        validated({"datasets": [name]})


def test_trees_that_are_refused(tmp_path):
    fill(tmp_path / "other", ("a",), ("cat", "dog"))
    fill(tmp_path / "other", ("b",), ("Katze", "Hund"))
    with pytest.raises(ValueError, match=r"no class .* is in two domains.*a: cat, dog; b: Hund, Katze"):
        DATASETS[f"folder:{tmp_path / 'other'}"]
    fill(tmp_path / "plus", ("a+b", "c"), ("cat", "dog"))
    with pytest.raises(ValueError, match=r"must not be empty or hold '\+', got \['a\+b'\]"):
        DATASETS[f"folder:{tmp_path / 'plus'}"]


def test_a_broken_picture_is_named(tmp_path):
    fill(tmp_path, ("a", "b"), ("cat", "dog"))
    broken = tmp_path / "b" / "dog" / "pic_001.png"
    broken.write_bytes(broken.read_bytes()[:40])
    with pytest.raises(ValueError, match=r"b/dog/pic_001\.png cannot be read as a picture"):
        DATASETS[f"folder:{tmp_path}"].factory()


def test_other_pictures_are_another_data_set(tmp_path):
    fill(tmp_path, ("a", "b"), ("cat", "dog"))
    name = f"folder:{tmp_path}"
    before, code = DATASETS[name].factory().digest(), fingerprint(name)
    assert fingerprint(name) == code != fingerprint()
    Image.new("RGB", (20, 12), (9, 9, 9)).save(tmp_path / "a" / "cat" / "pic_000.png")
    os.utime(tmp_path / "a" / "cat" / "pic_000.png", ns=(0, 0))
    _entry.cache_clear()  # as in a new process
    assert fingerprint(name) != code
    assert DATASETS[name].factory().digest() != before


@pytest.mark.slow
def test_a_sweep_and_its_report(tmp_path):
    fill(tmp_path / "mine", ("a", "b", "c"), ("cat", "dog"), number=8)
    name = f"folder:{tmp_path / 'mine'}?size=8"
    settings = {"rollouts": 1, "evaluate_every": 1, "batch_size": 4, "splits": 1, "model": "mlp", "width": 4}
    content = {"datasets": [name], "algorithms": ["erm", "pgrad"], "seeds": 1, "settings": settings}
    sweep = validated({**content, "launcher": "in-process"})
    assert [share.runs for share in plan(sweep)] == [3, 3]
    with Store(str(tmp_path / "runs" / "store.sqlite")) as store:
        records = perform(sweep, store, tmp_path / "runs")
    assert [record["status"] for record in records] == ["finished"] * 6
    assert {record["config"]["dataset"] for record in records} == {name}
    assert report((str(tmp_path / "runs"),)) == 0
    assert name in (tmp_path / "runs" / "report" / "report.md").read_text(encoding="utf-8")
    assert len(list((tmp_path / "runs" / "report" / "tables").glob("accuracy-folder*.csv"))) == 1


def test_a_report_when_the_folder_is_gone(tmp_path):
    assert f"folder:{tmp_path}/gone" not in DATASETS
