"""What is said of examples without labels: how unlike they are, and how accurate the model may be on them."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import mahalanobis

from benchmarks.runs.model_folder.confidence import confidence_of, confidences, estimated, threshold
from benchmarks.runs.model_folder.seen import Seen, features, unlikeness


def test_unlikeness_is_the_mean_squared_mahalanobis_distance_for_each_direction():
    torch.manual_seed(0)
    seen, new = torch.randn(400, 5) @ torch.randn(5, 5), torch.randn(30, 5)
    inverse = np.linalg.inv(np.cov(seen.double().numpy(), rowvar=False))
    mean = seen.double().mean(dim=0).numpy()
    expected = np.mean([mahalanobis(row, mean, inverse) ** 2 for row in new.double().numpy()]) / 5
    assert unlikeness(Seen.of(seen), new) == pytest.approx(expected, rel=1e-4)


def test_training_examples_are_like_themselves_and_what_does_not_vary_tells_nothing():
    torch.manual_seed(0)
    found = torch.cat([torch.randn(300, 3), torch.ones(300, 1)], dim=1)
    assert unlikeness(Seen.of(found), found) == pytest.approx(1.0, abs=0.01)
    assert unlikeness(Seen.of(torch.ones(10, 2)), torch.randn(4, 2)) == 0.0


def test_features_are_what_the_last_linear_layer_gets():
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    x = torch.randn(600, 3)
    torch.testing.assert_close(features(model, x), model[:2](x).detach())
    with pytest.raises(ValueError, match="no linear layer"):
        features(torch.nn.ReLU(), x)


def test_seen_survives_a_file_and_refuses_what_does_not_fit():
    seen = Seen.of(torch.randn(50, 4))
    again = Seen.from_tensors(seen.tensors())
    assert torch.equal(again.directions, seen.directions)
    assert Seen.from_tensors({}) is None
    with pytest.raises(ValueError, match=r"seen\.safetensors must hold"):
        Seen.from_tensors({"mean": torch.zeros(3), "directions": torch.zeros(2, 4)})


def right_above(n, seed, sharpness):
    """Logits of two classes that are right where, and only where, they are more than 70 % sure."""
    generator = torch.Generator().manual_seed(seed)
    sure = 0.5 + 0.5 * torch.rand(n, generator=generator) ** (1 / sharpness)
    right = sure > 0.7
    logits = torch.stack([torch.log(sure), torch.log1p(-sure)], dim=1)
    return logits, (~right).long()


def test_threshold_leaves_as_many_below_as_are_wrong():
    logits, labels = right_above(4000, 0, 1.0)
    scores, accuracy = confidences(logits), float((logits.argmax(1) == labels).double().mean())
    assert estimated(scores, threshold({"a": (scores, accuracy)})) == pytest.approx(accuracy, abs=1e-3)


def test_estimate_follows_domains_of_different_difficulty_where_confidence_tells_what_is_right():
    domains = {str(power): right_above(4000, seed, power) for seed, power in enumerate((0.5, 1.0, 2.0, 4.0))}
    found = confidence_of(domains)
    assert found.helps
    assert found.error < 0.05 < found.plain_error
    assert np.exp(found.limit) == pytest.approx(0.7, abs=0.02)


def test_estimate_of_equal_domains_is_no_better_than_their_mean_and_two_domains_are_too_few():
    torch.manual_seed(0)
    blind = {name: (torch.randn(200, 2), torch.arange(200) % 2) for name in "abcd"}  # confidence means nothing
    assert not confidence_of(blind).helps
    assert confidence_of({name: blind[name] for name in "ab"}) is None
