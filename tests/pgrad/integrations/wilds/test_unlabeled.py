"""Unlabelled splits: in folders of their own, or in those of the labelled data."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from pgrad.integrations import wilds


@pytest.fixture
def poverty(miniature, data: Path, tmp_path: Path) -> Path:
    """A root with labelled and unlabelled villages of poverty."""
    miniature("poverty")
    shutil.copytree(data / "poverty_v1.1", tmp_path / "poverty_v1.1", copy_function=shutil.copy)
    folder = tmp_path / "poverty_unlabeled_v1.0"
    (folder / "images").mkdir(parents=True)
    (folder / "RELEASE_v1.0.txt").touch()
    countries = ["benin", "kenya", "mali", "rwanda"]  # kenya and mali are new in fold A
    rows = [{"country": countries[i % 4], "lat": 0.0, "nl_mean": 1.0} for i in range(24)]
    pd.DataFrame(rows).to_csv(folder / "unlabeled_metadata.csv", index=False)
    for i in range(24):
        np.savez(folder / "images" / f"landsat_poverty_img_{i}.npz", x=np.full((8, 4, 4), i, np.float32))
    return tmp_path


def message(kind: type[Exception], *arguments, **options) -> str:
    with pytest.raises(kind) as caught:
        wilds.get_dataset(*arguments, **options)
    return str(caught.value)


def test_unlabelled_examples_come_in_roll_outs_of_their_domains(poverty: Path) -> None:
    dataset = wilds.get_dataset("poverty", poverty, unlabeled=True)
    assert len(dataset) == 24
    countries = dataset.metadata_map["country"]
    field = dataset.metadata_fields.index("country")
    seen = set()
    for split in ("train_unlabeled", "test_unlabeled", "val_unlabeled"):
        subset = dataset.get_subset(split)
        if not len(subset):
            continue
        for x, metadata in wilds.rollout_loader(subset, ["country"], 2):
            assert x.shape == (2, 8, 4, 4)
            (country,) = {countries[int(row[field])] for row in metadata}
            expected = ["benin", "kenya", "mali", "rwanda"].index(country)
            assert {int(value) % 4 for value in x[:, 0, 0, 0]} == {expected}
            seen.add(country)
    assert seen == {"benin", "kenya", "mali", "rwanda"}
    labelled = wilds.get_dataset("poverty", poverty)
    assert labelled.metadata_map["country"] == countries  # so that an id of one field means the same in both


def test_the_folder_of_the_labelled_data_is_taken_where_wilds_keeps_both_in_one(miniature, data: Path) -> None:
    labelled = miniature("fmow")
    dataset = wilds.get_dataset("fmow", data, unlabeled=True)
    subset = dataset.get_subset("train_unlabeled", transform=lambda image: torch.tensor(image.size))
    x, metadata = subset[0]
    assert x.tolist() == [32, 32]
    assert len(metadata) == len(dataset.metadata_fields)
    assert 0 < len(subset) < len(labelled)


def test_labelled_data_alone_are_never_to_be_deleted(poverty: Path) -> None:
    shutil.rmtree(poverty / "poverty_unlabeled_v1.0")
    text = message(FileNotFoundError, "poverty", poverty, unlabeled=True)
    assert "which has the labelled data only, in poverty_v1.1: keep them" in text
    assert f"python -m wilds.download_datasets --root_dir {poverty} --datasets poverty --unlabeled True" in text
    assert "delete" not in text


def test_the_command_that_is_named_is_one_of_wilds(monkeypatch: pytest.MonkeyPatch) -> None:
    import wilds as installed
    from wilds.download_datasets import main

    asked = []
    monkeypatch.setattr(installed, "get_dataset", lambda **options: asked.append(options))
    command = wilds.download_command("poverty", "ROOT", unlabeled=True)
    monkeypatch.setattr("sys.argv", command.split()[2:])
    main()
    assert asked == [{"dataset": "poverty", "root_dir": "ROOT", "unlabeled": True, "download": True}]


def test_a_damaged_folder_that_holds_both_is_not_to_be_deleted(miniature, data: Path, tmp_path: Path) -> None:
    miniature("fmow")
    folder = shutil.copytree(data / "fmow_v1.1", tmp_path / "fmow_v1.1")
    (folder / "rgb_metadata.csv").write_text("a,b\n1,2\n")
    text = message(ValueError, "fmow", tmp_path, unlabeled=True)
    assert "it holds the labelled data of fmow too" in text
    assert "delete" not in text


def test_a_half_extracted_unlabelled_folder_is_the_one_that_is_named(poverty: Path) -> None:
    (poverty / "poverty_unlabeled_v1.0" / "unlabeled_metadata.csv").unlink()
    text = message(FileNotFoundError, "poverty", poverty, unlabeled=True)
    assert "it lacks unlabeled_metadata.csv" in text
    assert f"delete {poverty / 'poverty_unlabeled_v1.0'} and download it again" in text


def test_mistakes(tmp_path: Path) -> None:
    assert "must be one of camelyon17, fmow," in message(ValueError, "rxrx1", tmp_path, unlabeled=True)
    assert "True or False, got 'yes'" in message(TypeError, "poverty", tmp_path, unlabeled="yes")


def test_the_table_is_that_of_wilds() -> None:
    import wilds as installed

    assert set(wilds.UNLABELED) == set(installed.unlabeled_datasets) - {"ogb-molpcba"}  # which is refused


def test_nothing_can_be_evaluated_without_labels(poverty: Path) -> None:
    dataset = wilds.get_dataset("poverty", poverty, unlabeled=True)
    with pytest.raises(ValueError, match=r"has no labels.* get_dataset\('poverty', \.\.\.\) without unlabeled=True"):
        wilds.evaluate(lambda x: x, dataset)
    with pytest.raises(ValueError, match="has no labels"):
        wilds.predict(lambda x: x, dataset.get_subset("train_unlabeled"))


@pytest.mark.parametrize("name", ["amazon", "domainnet", "fmow", "civilcomments"])
def test_examples_are_inputs_and_metadata(name: str, miniature, data: Path) -> None:
    miniature(name)
    if name == "civilcomments":
        folder = data / "civilcomments_unlabeled_v1.0"
        folder.mkdir(exist_ok=True)
        (folder / "RELEASE_v1.0.txt").touch()
        frame = pd.DataFrame({"comment_text": ["You are kind.", "Bad, bad!", "So what"], "toxicity": [0.1, 0.9, 0.2]})
        frame.to_csv(folder / "unlabeled_data_with_identities.csv")
    dataset = wilds.get_dataset(name, data, unlabeled=True)
    assert {"train_unlabeled", "extra_unlabeled"} & set(dataset.split_dict)
    x, metadata = dataset[0]
    assert len(metadata) == len(dataset.metadata_fields)
    if name == "civilcomments":
        assert [dataset[i][0] for i in range(3)] == ["You are kind.", "Bad, bad!", "So what"]
    if hasattr(x, "close"):
        x.close()
