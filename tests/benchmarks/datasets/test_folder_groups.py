"""Groups of pictures: patients by a pattern or by a file."""

import pytest
import torch

from benchmarks.datasets import DATASETS
from benchmarks.runs.protocol import leave_out
from tests.benchmarks.datasets.trees import grey, tree

pytestmark = pytest.mark.usefixtures("own_cache")


def groups(name):
    return [domain.groups.tolist() for domain in DATASETS[name].factory().domains]


def test_a_pattern_on_names(root):
    assert groups(f"folder:{root}?size=8&group=^p\\d") == [[0, 0, 1, 1, 2, 2] * 2] * 3


def test_brackets_say_which_part_counts(root):
    found = groups(f"folder:{root}?size=8&group=p(\\d)_")
    assert found == groups(f"folder:{root}?size=8&group=^p\\d")


def test_a_pattern_on_paths_tells_domains_apart(root):
    found = groups(f"folder:{root}?size=8&group=^([^/]%2B)/.*/p(\\d)")
    assert [sorted(set(own)) for own in found] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


def test_groups_in_several_domains_are_said(root):
    found = {each.what: each.text for each in DATASETS[f"folder:{root}?size=8&group=^p\\d"].inventory().findings}
    assert found["groups"].startswith("3 of 3 groups stand in several domains (p0, p1, p2)")
    assert "a held-out domain is tested on one fold" in found["groups"]


def test_groups_that_join_nothing_are_said(root, tmp_path):
    lines = [
        f"{file.relative_to(root).as_posix()},{number}" for number, file in enumerate(sorted(root.glob("*/*/*.png")))
    ]
    (tmp_path / "groups.csv").write_text("\n".join(["file,group", *lines]))
    entry = DATASETS[f"folder:{root}?size=8&groups={tmp_path / 'groups.csv'}"]
    assert [each.text for each in entry.inventory().findings] == [
        "every picture is a group of its own: nothing is kept together"
    ]


def test_no_group_is_parted(root):
    data = DATASETS[f"folder:{root}?size=8&group=^([^/]%2B)/.*/p(\\d)"].factory()
    for domain in data.domains:
        sizes = torch.unique(domain.groups, return_counts=True)[1]
        assert sizes.tolist() == [4, 4, 4]  # two of either class
    more = tree(root.parent / "more", grey, number=60)
    data = DATASETS[f"folder:{more}?size=8&group=^([^/]%2B)/.*_(\\d\\d)"].factory()  # p0_017: 01
    for seed in range(2):
        for domain in leave_out(data, ["c"], seed).validation:
            assert (torch.unique(domain.groups, return_counts=True)[1] == 20).all()  # ten of either class


def rows(root, change=lambda name, group: (name, group)):
    """Every picture with the letter after its ``p``."""
    files = sorted(root.glob("*/*/*.png"))
    return [change(file.relative_to(root).as_posix(), f"{file.parts[-3]}{file.name[1]}") for file in files]


def written(path, lines):
    path.write_text("\n".join(["file,group", *(",".join(line) for line in lines)]), encoding="utf-8-sig")
    return path


def test_a_file_of_groups(root, tmp_path):
    path = written(tmp_path / "groups.csv", rows(root))
    found = groups(f"folder:{root}?size=8&groups={path}")
    assert [sorted(set(own)) for own in found] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    backwards = written(tmp_path / "backwards.csv", rows(root, lambda name, group: (name.replace("/", "\\"), group)))
    assert groups(f"folder:{root}?size=8&groups={backwards}") == found


def test_other_groups_are_another_data_set(root, tmp_path):
    one = DATASETS[f"folder:{root}?size=8&group=^p\\d"].factory.identity
    assert one != DATASETS[f"folder:{root}?size=8"].factory.identity
    assert one != DATASETS[f"folder:{root}?size=8&group=^p\\d_"].factory.identity


def test_a_file_of_groups_that_is_wrong(root, tmp_path):
    name = f"folder:{root}?size=8&groups="
    with pytest.raises(ValueError, match=r"nowhere\.csv cannot be read as CSV"):
        DATASETS[f"{name}nowhere.csv"]
    short = written(tmp_path / "short.csv", rows(root)[2:])
    with pytest.raises(ValueError, match=r"has no row for 2 pictures: a/cat/p0_000\.png, a/cat/p0_003\.png"):
        DATASETS[f"{name}{short}"]
    twice = written(tmp_path / "twice.csv", [*rows(root), ("a/cat/p0_000.png", "z")])
    with pytest.raises(ValueError, match=r"gives several groups to a/cat/p0_000\.png"):
        DATASETS[f"{name}{twice}"]
    empty = written(tmp_path / "empty.csv", [*rows(root)[1:], ("a/cat/p0_000.png", "")])
    with pytest.raises(ValueError, match="has 1 row without a file or a group"):
        DATASETS[f"{name}{empty}"]
    (tmp_path / "other.csv").write_text("name;patient\na;b\n")
    with pytest.raises(ValueError, match=r"must be CSV with the columns file, group; it has name;patient"):
        DATASETS[f"{name}{tmp_path / 'other.csv'}"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("(p", "must be a regular expression on names of files"), ("^q", "finds nothing in 36 names of files: a/cat/p0")],
)
def test_patterns_that_are_refused(root, pattern, message):
    with pytest.raises(ValueError, match=message):
        DATASETS[f"folder:{root}?size=8&group={pattern}"]
