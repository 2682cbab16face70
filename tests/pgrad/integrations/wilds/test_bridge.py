"""Every data set of wilds 2.0.0 loads on today's libraries, and nobody else sees how."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.studies.wilds.miniatures import MINIATURES
from pgrad.integrations import wilds
from pgrad.integrations.wilds._bridge import building, group_means, import_wilds
from pgrad.integrations.wilds._frames import Pandas


def test_group_means_are_means_of_groups() -> None:
    values = torch.tensor([1.0, 0.0, 0.5, 0.25, 4.0])
    groups = torch.tensor([3, 0, 3, 3, 1])
    means, counts = group_means(values, groups, 5)
    assert means.tolist() == [0.0, 4.0, 0.0, pytest.approx(1.75 / 3), 0.0]
    assert counts.tolist() == [1.0, 1.0, 0.0, 3.0, 0.0]


def test_group_means_agree_with_pandas_on_many_groups() -> None:
    rng = np.random.default_rng(0)
    values, groups = rng.random(5000), rng.integers(0, 300, 5000)
    means, counts = group_means(torch.from_numpy(values), torch.from_numpy(groups), 301)
    expected = pd.Series(values).groupby(groups).agg(["mean", "size"]).reindex(range(301), fill_value=0)
    np.testing.assert_allclose(means, expected["mean"], rtol=1e-12)
    np.testing.assert_array_equal(counts, expected["size"])


def test_wilds_averages_over_groups_without_torch_scatter() -> None:
    import_wilds()
    from wilds.common.metrics.all_metrics import Accuracy

    results = Accuracy().compute_group_wise(
        torch.tensor([0, 1, 1, 0]), torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 2, 0]), 3
    )
    assert results["acc_group:0"] == pytest.approx(2 / 3)
    assert (results["acc_group:2"], results["count_group:1"], results["acc_wg"]) == (0.0, 0.0, 0.0)


@pytest.mark.slow
def test_importing_wilds_starts_no_thread_and_asks_no_index() -> None:
    code = (
        "import sys, threading\n"
        "from pgrad.integrations.wilds._bridge import _import_quietly\n"
        "assert 'wilds' not in sys.modules and 'pandas' not in sys.modules\n"
        "_import_quietly()\n"
        "assert 'wilds' in sys.modules and sys.modules.get('outdated', 1) == 1\n"
        "print([t.name for t in threading.enumerate() if t is not threading.main_thread()])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_wilds_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wilds", None)  # what Python holds for a package that must not be found
    with pytest.raises(ImportError, match=r"pgrad\[wilds\]"):
        import_wilds()


@pytest.mark.parametrize("name", [name for name in MINIATURES if name != "py150"])
def test_every_data_set_loads_with_warnings_as_errors(name: str, miniature) -> None:
    dataset = miniature(name)
    assert len(dataset) == len(dataset.metadata_array) > 30
    assert set(np.unique(dataset.split_array)) >= {dataset.split_dict[s] for s in ("train", "val", "test")}
    x, _, metadata = dataset[len(dataset) - 1]
    assert metadata.shape == (len(dataset.metadata_fields),)
    assert isinstance(x, str) if wilds.TASKS[name].files[0] in ("reviews.csv", "all_data_with_identities.csv") else True
    if hasattr(x, "close"):
        x.load()
        x.close()


def test_frames_give_arrays_that_may_be_written_and_columns_that_take_numbers(tmp_path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("name,number,other\nx,1,4\ny,2,5\n")
    frame = Pandas().read_csv(path)
    for array in (
        frame["number"].values,
        frame["number"].apply(lambda v: v + 1).values,
        frame.drop(labels="name", axis="columns").values,
        frame[["number"]].astype(int).to_numpy(),
        np.asarray(frame["number"]),
    ):
        array[...] = -1
    assert frame["number"].tolist() == [1, 2]
    frame.loc[frame["name"] == "x", "name"] = 3
    assert frame["name"].tolist() == [3, "y"]


def test_time_stamps_of_mixed_precision_are_read() -> None:
    found = Pandas().to_datetime(pd.Series(["2016-01-14T08:17:57Z", "2014-07-08T08:15:22.104Z"]))
    assert found.dt.year.tolist() == [2016, 2014]
    assert found.dt.microsecond.tolist() == [0, 104000]


def test_pandas_itself_is_left_alone(miniature) -> None:
    miniature("civilcomments")
    from wilds.datasets import civilcomments_dataset

    assert civilcomments_dataset.pd is pd
    with building(civilcomments_dataset):
        assert civilcomments_dataset.pd is not pd
    with pytest.raises(KeyError, match="inside"), building(civilcomments_dataset):
        raise KeyError("inside")
    assert civilcomments_dataset.pd is pd
    assert type(pd.DataFrame({"a": [1]})["a"]) is pd.Series
