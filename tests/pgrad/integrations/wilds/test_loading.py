"""What is said about data that is not there, not whole or not right."""

import shutil
from pathlib import Path

import pytest

from pgrad.integrations import wilds


@pytest.fixture
def broken(miniature, data: Path, tmp_path: Path):
    """``broken(name)``: a copy of a miniature to break; gives its root and its folder."""

    def copy(name: str) -> tuple[Path, Path]:
        version = miniature(name).version
        return tmp_path, shutil.copytree(data / f"{name}_v{version}", tmp_path / f"{name}_v{version}")

    return copy


def message(kind: type[Exception], name: str, root: Path, **options) -> str:
    with pytest.raises(kind) as caught:
        wilds.get_dataset(name, root, **options)
    return str(caught.value)


def download(name: str, root: Path) -> str:
    return f"python -m wilds.download_datasets --root_dir {root} --datasets {name}"


def test_the_download_command_is_one_of_wilds() -> None:
    from wilds.download_datasets import main

    assert callable(main)
    assert wilds.download_command("fmow", "DIR") == download("fmow", Path("DIR"))


def test_a_data_set_that_wilds_cannot_download() -> None:
    assert "cannot download" in wilds.download_command("yelp", "DIR")


def test_nothing_there(tmp_path: Path) -> None:
    text = message(FileNotFoundError, "fmow", tmp_path / "nowhere")
    assert "which does not exist" in text
    assert download("fmow", tmp_path / "nowhere") in text
    assert not (tmp_path / "nowhere").exists()
    assert "no folder of that name" in message(FileNotFoundError, "fmow", tmp_path)


def test_the_folder_of_the_data_set_instead_of_its_parent(broken) -> None:
    root, folder = broken("camelyon17")
    assert f"give the folder that holds camelyon17_v1.0, {root}" in message(FileNotFoundError, "camelyon17", folder)


def test_another_version_of_the_folder(broken) -> None:
    root, folder = broken("iwildcam")
    folder.rename(root / "iwildcam_v1.0")
    text = message(FileNotFoundError, "iwildcam", root)
    assert "iwildcam v2.0" in text
    assert "has iwildcam_v1.0: which this version of wilds does not read" in text
    assert download("iwildcam", root) in text


def test_an_older_version_can_be_asked_for(broken) -> None:
    root, folder = broken("amazon")
    old = folder.rename(root / "amazon_v2.0")
    (old / "RELEASE_v2.1.txt").rename(old / "RELEASE_v2.0.txt")
    assert "ask for version='2.0'" in message(FileNotFoundError, "amazon", root)
    assert len(wilds.get_dataset("amazon", root, version="2.0")) == 220


def test_a_version_that_never_was(broken) -> None:
    root, _ = broken("iwildcam")
    assert "must be one of" in message(ValueError, "iwildcam", root, version="7.0")


def test_a_wrong_version_file(broken) -> None:
    root, folder = broken("poverty")
    (folder / "RELEASE_v1.1.txt").rename(folder / "RELEASE_v1.0.txt")
    text = message(FileNotFoundError, "poverty", root)
    assert "RELEASE_v1.1.txt but has RELEASE_v1.0.txt instead" in text
    assert download("poverty", root) in text


def test_an_archive_that_is_still_there(broken) -> None:
    root, folder = broken("waterbirds")
    (folder / "archive.tar.gz").touch()
    assert "half-extracted" in message(FileNotFoundError, "waterbirds", root)


@pytest.mark.parametrize(("name", "missing"), [("fmow", "country_code_mapping.csv"), ("celebA", "img_align_celeba")])
def test_a_part_that_is_missing(name: str, missing: str, broken) -> None:
    root, folder = broken(name)
    path = folder / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    text = message(FileNotFoundError, name, root)
    assert f"it lacks {missing}" in text
    assert download(name, root) in text


def test_images_that_are_missing_show_before_the_training(broken) -> None:
    root, folder = broken("fmow")
    for path in (folder / "images").iterdir():
        if int(path.stem.split("_")[-1]) > 150:
            path.unlink()
    text = message(FileNotFoundError, "fmow", root)
    assert "if it is half-extracted or damaged" in text
    assert download("fmow", root) in text


def test_an_image_that_breaks_off(broken) -> None:
    root, folder = broken("waterbirds")
    for path in folder.glob("*/*.jpg"):
        path.write_bytes(path.read_bytes()[:300])
    assert download("waterbirds", root) in message(ValueError, "waterbirds", root)


@pytest.mark.parametrize(
    ("name", "file", "content"),
    [
        ("camelyon17", "metadata.csv", ""),
        ("camelyon17", "metadata.csv", ",patient,node\n0,1,2\n"),
        ("poverty", "dhs_metadata.csv", "country,wealthpooled\nangola,0.5,7,8\n"),
        ("civilcomments", "all_data_with_identities.csv", ",comment_text\n0,x\n"),
    ],
)
def test_a_table_that_is_damaged(name: str, file: str, content: str, broken) -> None:
    root, folder = broken(name)
    (folder / file).write_text(content)
    text = message(ValueError, name, root)
    assert f"cannot be read as the data set {name}" in text
    assert download(name, root) in text


def test_options_that_the_data_set_does_not_have(miniature, data: Path) -> None:
    miniature("poverty")
    assert "'colour'" in message(ValueError, "poverty", data, colour=1)
    assert "Fold must be A, B, C, D, or E" in message(ValueError, "poverty", data, fold="F")
    assert "not recognized" in message(ValueError, "poverty", data, split_scheme="by luck")


@pytest.mark.parametrize(
    ("name", "reason"),
    [("ogb-molpcba", "torch_geometric"), ("encode", "pyBigWig"), ("imagenet", "must be one of camelyon17")],
)
def test_data_sets_that_are_refused(name: str, reason: str, tmp_path: Path) -> None:
    assert reason in message(ValueError, name, tmp_path)


def test_every_data_set_of_wilds_is_in_the_table() -> None:
    import wilds as installed

    assert set(wilds.TASKS) == set(installed.supported_datasets)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # wilds leaves its files open
def test_py150_without_its_tokenizer(miniature, offline_tokenizer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # else it asks the network for minutes
    assert miniature("py150").n_classes == 70
    shutil.rmtree(offline_tokenizer)
    with pytest.raises((FileNotFoundError, ValueError), match="CodeGPT-small-py"):
        miniature("py150")
