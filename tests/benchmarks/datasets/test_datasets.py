import numpy as np
import pytest
import torch
from scipy.ndimage import rotate
from sklearn.datasets import load_digits

from benchmarks.datasets import DATASETS
from benchmarks.datasets.base import Domain, MultiDomainData
from benchmarks.datasets.digits import coloured_digits, deal, rotated_digits

EMBEDDED = ("rotated-digits", "coloured-digits")
"""What needs no preparation."""


@pytest.mark.parametrize("name", EMBEDDED)
def test_entry_and_data_agree(name):
    data = DATASETS[name].factory()
    assert data.names == DATASETS[name].domains
    for domain in data.domains:
        assert domain.inputs.shape[1:] == data.input_shape
        assert domain.inputs.dtype == torch.float32
        assert 0 <= domain.inputs.min() <= domain.inputs.max() <= 1
        assert set(domain.labels.tolist()) == set(range(data.n_outputs))


@pytest.mark.parametrize("name", EMBEDDED)
def test_building_twice_gives_the_same_data(name):
    for first, second in zip(DATASETS[name].factory().domains, DATASETS[name].factory().domains, strict=True):
        assert torch.equal(first.inputs, second.inputs)
        assert torch.equal(first.labels, second.labels)


def test_deal_is_a_partition():
    parts = deal(1797, 6, np.random.default_rng(0))
    assert sorted(np.concatenate(parts)) == list(range(1797))
    assert {len(part) for part in parts} == {299, 300}


def test_every_image_stands_at_one_angle_only():
    # Each image of each domain is looked up among all 1,797 digits turned by that domain's angle.
    digits = load_digits()
    images, found = digits.images / 16.0, []
    for angle, domain in zip((0, 15, 30, 45, 60, 75), rotated_digits().domains, strict=True):
        turned = rotate(images, angle, axes=(2, 1), reshape=False, order=1).astype(np.float32)
        sources = {image.tobytes(): number for number, image in enumerate(turned)}
        assert len(sources) == 1797
        numbers = [sources[image.numpy().tobytes()] for image in domain.inputs]
        assert domain.labels.tolist() == digits.target[numbers].tolist()
        found += numbers
    assert sorted(found) == list(range(1797))


def clean_labels():
    """From the pixels of a digit to whether it is 5 or more."""
    digits = load_digits()
    keys = [(image / 16).astype(np.float32).tobytes() for image in digits.images]
    return dict(zip(keys, digits.target >= 5, strict=True))


def test_coloured_digits_follow_the_recipe():
    clean_label = clean_labels()
    flipped, seen = [], []
    for agreement, domain in zip((0.9, 0.8, 0.1), coloured_digits().domains, strict=True):
        colour = domain.inputs[:, 1].flatten(1).any(dim=1)
        assert not (colour & domain.inputs[:, 0].flatten(1).any(dim=1)).any()  # the other channel is empty
        pixels = [image.numpy().tobytes() for image in domain.inputs.sum(dim=1)]
        agree = (colour == domain.labels.bool()).double().mean().item()
        assert agree == pytest.approx(agreement, abs=4 * (agreement * (1 - agreement) / len(domain)) ** 0.5)
        flipped += [clean_label[key] != bool(label) for key, label in zip(pixels, domain.labels, strict=True)]
        seen += pixels
    assert len(set(seen)) == 1797
    assert np.mean(flipped) == pytest.approx(0.25, abs=4 * (0.25 * 0.75 / 1797) ** 0.5)


def test_label_noise_and_colour_are_independent():
    # Given the noisy label, the colour says nothing about the clean one: else it would hold more than the recipe says.
    clean_label = clean_labels()
    for domain in coloured_digits().domains:
        clean = torch.tensor([clean_label[image.numpy().tobytes()] for image in domain.inputs.sum(dim=1)])
        noise = (clean != domain.labels.bool()).double()
        disagree = (domain.inputs[:, 1].flatten(1).any(dim=1) != domain.labels.bool()).double()
        assert abs(torch.corrcoef(torch.stack([noise, disagree]))[0, 1]) < 4 / len(domain) ** 0.5


def test_bad_data_is_refused():
    domain = Domain("a", torch.zeros(2, 1), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(ValueError, match="'b' has 2 inputs and 3 labels"):
        Domain("b", torch.zeros(2, 1), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match="at least two domains"):
        MultiDomainData((domain, domain), n_outputs=1)
