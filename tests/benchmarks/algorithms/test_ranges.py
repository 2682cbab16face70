"""The table of wide ranges."""

import pytest
import torch
from torch.nn.functional import cross_entropy, mse_loss

from benchmarks.algorithms import ALGORITHMS
from benchmarks.algorithms.ranges import LEARNING_RATES, REGIMES, USUAL, regime_of, wide
from benchmarks.base.search import BLOCK, Grid, LogUniform, spread


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("name", ALGORITHMS)
def test_learning_rates_are_searched_two_decades_below_the_usual_value(name, regime):
    space = ALGORITHMS[name].space
    found = wide(space, regime)
    assert list(found) == list(space)
    lr = found["lr"]
    assert lr.default in (USUAL[regime].adam, USUAL[regime].sgd)
    assert (lr.low, lr.high) == pytest.approx((lr.default / 100, lr.default * 5))
    assert {key: one for key, one in found.items() if key not in LEARNING_RATES} == {
        key: one for key, one in space.items() if key not in LEARNING_RATES
    }
    rates = sorted(spread(found, point, seed=0)["lr"] for point in range(BLOCK))
    assert rates[0] < 1.7 * lr.low  # a twelfth of the range is a factor of 1.68
    assert rates[-1] > lr.high / 1.7


def test_optimizers_have_ranges_of_their_own():
    for regime in REGIMES:
        for name in ("erm", "erm-ema", "pgrad", "sam", "upgrad"):
            assert wide(ALGORITHMS[name].space, regime)["lr"].default == USUAL[regime].adam
        for name in ("erm-sgd", "erm-sgd-ema", "pgrad-sgd", "reptile-sgd", "genie"):
            assert wide(ALGORITHMS[name].space, regime)["lr"].default == USUAL[regime].sgd
    outer = wide(ALGORITHMS["pgrad"].space, "features")["outer_lr"]
    assert (outer.low, outer.high) == (0.1, 1.0)


def test_from_scratch_has_the_defaults_of_the_algorithms():
    for name in ("erm", "erm-sgd"):
        space = ALGORITHMS[name].space
        assert wide(space, "from-scratch")["lr"].default == space["lr"].default


def test_a_grid_stays():
    assert wide({"lr": Grid((0.1, 0.2))}, "features")["lr"] == Grid((0.1, 0.2))
    assert wide({"lr": LogUniform(1e-3, 1e-4, 1e-2)}, "sequence")["lr"].default == USUAL["sequence"].adam


def test_what_model_and_loss_tell():
    assert regime_of("mlp", "full", cross_entropy) == "from-scratch"
    assert regime_of("timm:tf_efficientnet_lite0", "frozen", cross_entropy) == "features"
    assert regime_of("timm:tf_efficientnet_lite0", "full", cross_entropy) == "fine-tuning"
    assert regime_of("timm:tf_efficientnet_lite0", "frozen", mse_loss) == "regression"
    assert regime_of("mlp", "full", torch.nn.functional.huber_loss) == "regression"
