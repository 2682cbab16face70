import hashlib

import numpy as np
import pytest
import torch
from scipy.ndimage import rotate

from benchmarks.datasets import fashion, fetch
from benchmarks.datasets.fetch import FetchError
from tests.benchmarks.packages import idx

ANGLES = (0, 15, 30, 45, 60, 75)


@pytest.fixture
def clothes(tmp_path, monkeypatch):
    """240 pictures in IDX files, some of them more than a data set takes."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (240, 28, 28), dtype=np.uint8)
    labels = np.arange(240, dtype=np.uint8) % 10
    content = {fashion.IMAGES: images, fashion.LABELS: labels}
    for name, array in content.items():
        idx(tmp_path / f"{name}.gz", array)
    digests = {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in content.items()}
    monkeypatch.setattr(fashion, "CONTENT", digests)
    monkeypatch.setattr(fashion, "PER_ANGLE", 30)
    monkeypatch.setattr(fashion, "PER_COLOUR", 70)
    monkeypatch.setenv(fetch.VARIABLE, str(tmp_path))
    return images, labels


def test_every_image_stands_at_one_angle_only(clothes):
    images, labels = clothes
    data, used = fashion.rotated().data, []
    assert data.names == tuple(f"{angle}°" for angle in ANGLES)
    for angle, domain in zip(ANGLES, data.domains, strict=True):
        turned = np.rint(rotate(images.astype(float), angle, axes=(2, 1), reshape=False, order=1)).astype(np.uint8)
        numbers = {image.tobytes(): number for number, image in enumerate(turned)}
        found = [numbers[picture.numpy().tobytes()] for picture in domain.inputs]
        assert domain.inputs.shape == (30, 1, 28, 28)
        assert domain.labels.tolist() == labels[found].tolist()
        used += found
    assert len(set(used)) == 6 * 30


def test_colours_follow_the_recipe(clothes):
    images, labels = clothes
    clean = {image.tobytes(): label >= 5 for image, label in zip(images, labels, strict=True)}
    flips, used = [], []
    for agreement, domain in zip((0.9, 0.8, 0.1), fashion.coloured().data.domains, strict=True):
        colour = domain.inputs[:, 1].flatten(1).any(dim=1)
        assert not (colour & domain.inputs[:, 0].flatten(1).any(dim=1)).any()
        agree = (colour == domain.labels.bool()).double().mean().item()
        assert agree == pytest.approx(agreement, abs=4 * (agreement * (1 - agreement) / 70) ** 0.5)
        pictures = [image.numpy().tobytes() for image in domain.inputs.amax(dim=1)]
        flips += [clean[key] != bool(label) for key, label in zip(pictures, domain.labels, strict=True)]
        used += pictures
    assert len(set(used)) == 3 * 70
    assert np.mean(flips) == pytest.approx(0.25, abs=4 * (0.25 * 0.75 / 210) ** 0.5)


@pytest.mark.parametrize("place", ["", "FashionMNIST/raw/"])
def test_files_may_be_plain_and_lie_where_torchvision_keeps_them(clothes, tmp_path, monkeypatch, place):
    expected = fashion.rotated().data.digest()
    folder = tmp_path / "other"
    for name, array in zip((fashion.IMAGES, fashion.LABELS), clothes, strict=True):
        idx(folder / f"{place}{name}", array)
    monkeypatch.setenv(fetch.VARIABLE, str(folder))
    assert fashion.rotated().data.digest() == expected


def test_torchvision_reads_the_same_files(clothes, tmp_path):
    from torchvision.datasets.mnist import read_image_file

    idx(tmp_path / "plain", clothes[0])
    assert torch.equal(read_image_file(str(tmp_path / "plain")), torch.tensor(fashion.read_idx(tmp_path / "plain")))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x00\x00\x0d\x01\x00\x00\x00\x01????", "no IDX file of bytes: it begins with 00000d01"),
        (b"\x00\x00\x08\x03\x00\x00\x00\xf0\x00\x00\x00\x1c\x00\x00\x00\x1c123", r"\(240, 28, 28\) bytes, it holds 3"),
        (b"\x00\x00\x08\x03\x00", "ends in its header"),
        (b"", "no IDX file"),
    ],
)
def test_broken_files_are_refused(clothes, tmp_path, content, message):
    (tmp_path / fashion.IMAGES).write_bytes(content)
    with pytest.raises((FetchError, ValueError), match=message):
        fashion.rotated()


def test_other_pictures_and_missing_labels_are_refused(clothes, tmp_path):
    idx(tmp_path / fashion.LABELS, clothes[1][::-1].copy())
    with pytest.raises(FetchError, match=r"is not the one of Fashion-MNIST: its 240 values have the SHA-256"):
        fashion.coloured()
    (tmp_path / fashion.LABELS).unlink()
    (tmp_path / f"{fashion.LABELS}.gz").unlink()
    with pytest.raises(FetchError, match="there is no train-labels-idx1-ubyte"):
        fashion.coloured()
