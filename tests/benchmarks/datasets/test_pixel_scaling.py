import torch

from benchmarks.datasets.pixel_scaling import standardise_channels


def test_every_channel_has_the_mean_0_and_the_deviation_1():
    inputs = (
        torch.rand(600, 3, 5, 7, generator=torch.Generator().manual_seed(0))
        * torch.tensor([1.0, 0.1, 0.5])[:, None, None]
    )
    found = standardise_channels(inputs, torch.zeros(600))(inputs)
    assert found.dtype == torch.float32
    torch.testing.assert_close(
        found.double().mean(dim=(0, 2, 3)), torch.zeros(3, dtype=torch.float64), atol=1e-5, rtol=0
    )
    deviation = found.double().std(dim=(0, 2, 3), correction=0)
    torch.testing.assert_close(deviation, torch.ones(3, dtype=torch.float64), atol=1e-5, rtol=0)


def test_others_are_scaled_by_what_was_seen():
    apply = standardise_channels(torch.tensor([0.2, 0.4]).reshape(2, 1, 1, 1), torch.zeros(2))
    torch.testing.assert_close(apply(torch.full((1, 1, 2, 2), 0.5)), torch.full((1, 1, 2, 2), 2.0))


def test_a_channel_that_is_the_same_everywhere_is_0():
    inputs = torch.rand(10, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    inputs[:, 1] = 0.7
    found = standardise_channels(inputs, torch.zeros(10))(torch.rand(3, 2, 4, 4))
    assert (found[:, 1] == 0).all()
    assert (found[:, 0] != 0).any()
