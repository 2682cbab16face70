"""Domains from metadata fields, and loaders of single-domain batches."""

import numpy as np
import pandas as pd
import pytest
import torch

from pgrad import PGrad
from pgrad.integrations import wilds


def value(dataset, field: str, row: int):
    """What a name has to say about a field: the text of the data set for it, or the number itself."""
    number = int(dataset.metadata_array[row, dataset.metadata_fields.index(field)])
    return (dataset.metadata_map or {}).get(field, range(number + 1))[number]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("fmow", ["region"]),
        ("fmow", ["region", "year"]),
        ("fmow", ["year", "region"]),
        ("camelyon17", ["slide", "hospital"]),
        ("waterbirds", ["y", "background"]),
        ("civilcomments", ["y", "black", "male"]),
        ("poverty", ["country", "urban"]),
        ("iwildcam", ["location", "hour"]),
    ],
)
def test_examples_share_an_id_if_and_only_if_they_share_the_fields(name: str, fields: list[str], miniature) -> None:
    dataset = miniature(name)
    ids = wilds.domain_ids(dataset, fields)
    columns = [dataset.metadata_fields.index(field) for field in fields]
    combinations = pd.DataFrame(dataset.metadata_array[:, columns].numpy())
    expected = combinations.groupby(list(combinations.columns)).ngroup()
    table = pd.crosstab(ids.numpy(), expected)
    assert ((table > 0).sum(axis=0) == 1).all()
    assert ((table > 0).sum(axis=1) == 1).all()
    for row in range(0, len(dataset), len(dataset) // 7):
        said = wilds.domain_name(dataset, fields, int(ids[row]))
        assert sorted(said.split(", ")) == sorted(f"{field} = {value(dataset, field, row)}" for field in fields)


def test_the_order_of_the_fields_does_not_matter(miniature) -> None:
    dataset = miniature("fmow")
    first = wilds.domain_ids(dataset, ["region", "year"])
    assert torch.equal(first, wilds.domain_ids(dataset, ["year", "region"]))


def test_a_subset_has_the_ids_of_the_whole(miniature) -> None:
    dataset = miniature("iwildcam")
    train = dataset.get_subset("train")
    assert torch.equal(wilds.domain_ids(train, ["location"]), wilds.domain_ids(dataset, ["location"])[train.indices])


@pytest.mark.parametrize("fields", [[], ["country", "country"], ["continent"]])
def test_fields_that_make_no_domains(fields: list[str], miniature) -> None:
    with pytest.raises(ValueError, match=r"fields must be some of 'urban', 'y', 'country', .*each once"):
        wilds.domain_ids(miniature("poverty"), fields)


def test_fields_as_a_string(miniature) -> None:
    with pytest.raises(TypeError, match=r"write \['country'\]"):
        wilds.domain_ids(miniature("poverty"), "country")


@pytest.mark.parametrize("options", [{}, {"n_groups": 2}, {"n_groups": 2, "distinct": False, "uniform": False}])
def test_every_batch_has_one_domain_and_no_domain_of_another_split(options: dict, miniature) -> None:
    train = miniature("camelyon17").get_subset("train", transform=lambda image: torch.tensor(image.size))
    loader = wilds.rollout_loader(train, ["hospital"], 8, splits=2, **options)
    seen = set()
    for x, y, metadata in loader:
        assert x.tolist() == [[32, 32]] * 4
        assert torch.equal(metadata[:, 2], y)
        assert len(set(metadata[:, 0].tolist())) == 1
        seen.add(int(metadata[0, 0]))
    assert seen <= {0, 3, 4}
    assert len(seen) == 3 or options


def test_more_groups_than_the_training_split_has_are_refused(miniature) -> None:
    train = miniature("camelyon17").get_subset("train")  # five hospitals in all, three of them here
    with pytest.raises(ValueError, match="n_groups must be at most 3"):
        wilds.rollout_loader(train, ["hospital"], 4, n_groups=4)


def test_the_collate_function_of_the_data_set_is_used(miniature) -> None:
    from torchvision.transforms.functional import to_tensor

    train = miniature("globalwheat").get_subset("train", transform=to_tensor)
    for x, y, metadata in wilds.rollout_loader(train, ["session"], 4, n_groups=2):
        assert x.shape == (4, 3, 128, 128)
        assert [set(target) for target in y] == [{"boxes", "labels"}] * 4
        assert len(set(metadata[:, 0].tolist())) == 1


def test_the_loader_draws_from_its_generator_only(miniature) -> None:
    train = miniature("waterbirds").get_subset("train", transform=lambda image: 0)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002

    def metadata(seed: int) -> list:
        generator = torch.Generator().manual_seed(seed)
        loader = wilds.rollout_loader(train, ["background", "y"], 8, n_groups=3, generator=generator)
        return [batch[2].tolist() for batch in loader]

    assert metadata(1) == metadata(1) != metadata(2)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002


def test_the_five_lines_of_the_documentation(miniature) -> None:
    def small(image) -> torch.Tensor:
        return torch.tensor(np.asarray(image.resize((4, 4))), dtype=torch.float32)

    train = miniature("camelyon17").get_subset("train", transform=small)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2))
    before = model[1].weight.detach().clone()
    loader = wilds.rollout_loader(train, ["hospital"], batch_size=8, generator=torch.Generator().manual_seed(0))
    optimizer = PGrad(model.parameters(), lr=1e-3, rollout_length=loader.batch_sampler.rollout_length)
    for x, y, _ in loader:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    assert (optimizer.rollout_length, optimizer.rollout_position) == (3, 0)
    assert not torch.equal(before, model[1].weight)
