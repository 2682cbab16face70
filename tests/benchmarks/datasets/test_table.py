import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.datasets import DATASETS
from benchmarks.datasets.lookup import _entry
from benchmarks.datasets.scaling import standardise
from benchmarks.runs.environment import fingerprint
from benchmarks.runs.protocol import fitted, leave_out
from benchmarks.sweeps.coordinator import perform
from benchmarks.sweeps.files import validated
from benchmarks.sweeps.store import Store


def patients(n=60):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "site": np.array(["north", "south", "east"])[np.arange(n) % 3],
            "age": rng.normal(60, 10, n).round(1),
            "dose": np.array(["low", "high"])[rng.integers(0, 2, n)],
            "smoker": rng.random(n) < 0.5,
            "patient": np.arange(n) // 6,
        }
    )
    frame["outcome"] = np.where(frame["age"] > 60, "ill", "well")
    frame["cost"] = 30 * frame["age"] + rng.normal(0, 1, n)
    return frame


@pytest.fixture
def path(tmp_path):
    patients().to_csv(tmp_path / "patients.csv", index=False)
    return tmp_path / "patients.csv"


def test_classes_from_numbers_words_and_truth_values(path):
    frame = patients()
    entry = DATASETS[f"table:{path}?domain=site&target=outcome&group=patient&drop=cost"]
    data = entry.factory()
    assert data.names == entry.domains == ("east", "north", "south")
    assert data.n_outputs == 2
    for name, domain in zip(data.names, data.domains, strict=True):
        rows = frame[frame["site"] == name]
        columns = (rows["age"], rows["smoker"], rows["dose"] == "high", rows["dose"] == "low")
        own = torch.tensor(np.stack(columns, axis=1).astype(np.float64))
        assert torch.equal(domain.inputs, own)
        assert domain.labels.tolist() == [int(value == "well") for value in rows["outcome"]]
        assert domain.groups.tolist() == rows["patient"].tolist()


def test_a_quantity_from_parquet(path, tmp_path):
    frame = patients().rename(columns={"site": "domain", "cost": "y"})
    frame.to_parquet(tmp_path / "costs.parquet")
    entry = DATASETS[f"table:{tmp_path / 'costs.parquet'}?scale=1000&drop=outcome,patient"]
    data = entry.factory()
    assert data.n_outputs == 1
    assert data.domains[0].labels.shape == (20, 1)
    assert np.allclose(data.domains[0].labels[:, 0] * 1000, frame.loc[frame["domain"] == "east", "y"], rtol=1e-6)
    # A model that is right everywhere has the best score; one that is off by 0.5 has -0.5.
    assert entry.metric(data.domains[0].labels, data.domains[0].labels) == 0
    assert entry.metric(data.domains[0].labels + 0.5, data.domains[0].labels) == pytest.approx(-0.5, abs=1e-6)


def test_columns_are_standardised_by_the_training_examples(path):
    entry = DATASETS[f"table:{path}?domain=site&target=outcome&drop=cost,patient"]
    raw = leave_out(entry.factory(), ("north",), seed=0)
    split = fitted(raw, entry.fit)
    mean, deviation = raw.inputs.double().numpy().mean(axis=0), raw.inputs.double().numpy().std(axis=0)
    assert np.allclose(split.inputs.mean(dim=0), 0, atol=1e-5)
    assert np.allclose(split.inputs.std(dim=0, unbiased=False), 1, atol=1e-5)
    assert np.allclose(split.held_out[0].inputs, (raw.held_out[0].inputs.numpy() - mean) / deviation, atol=1e-5)


def test_what_is_missing_becomes_the_mean_of_the_training_examples():
    train = torch.tensor([[1.0, 7.0, torch.nan], [3.0, 9.0, torch.nan], [torch.nan, 11.0, torch.nan]])
    apply = standardise(train, torch.zeros(3))
    found = apply(torch.tensor([[torch.nan, 9.0, 5.0], [5.0, torch.nan, torch.nan]]))
    assert found.tolist() == [[0.0, 0.0, 0.0], [3.0, 0.0, 0.0]]


def test_empty_cells_are_an_error_unless_the_mean_is_asked_for(path):
    frame = patients()
    frame.loc[[1, 5], "age"] = np.nan
    frame.to_csv(path, index=False)
    name = f"table:{path}?domain=site&target=outcome&drop=cost,patient"
    with pytest.raises(ValueError, match=r"empty cells in age \(2\); .*missing=mean"):
        DATASETS[name]
    entry = DATASETS[f"{name}&missing=mean"]
    split = fitted(leave_out(entry.factory(), ("north",), seed=0), entry.fit)
    assert split.inputs.isfinite().all()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "domain=domain: there is no such column; columns are site, age"),
        ("?domain=site", r"none of the columns is called label, target, y; say target=\.\.\."),
        ("?domain=site&target=outcomes", "target=outcomes: there is no such column"),
        ("?domain=site&target=outcome&task=ranking", "task must be classification or regression, got 'ranking'"),
        ("?domain=site&target=outcome&task=regression", "needs numbers in the target"),
        ("?domain=site&target=cost&scale=-1", "scale must be a positive number, got '-1'"),
        ("?domain=site&target=outcome&scale=2", "scale is for regression"),
        ("?domain=site&target=outcome&drop=dose,doze", "drop=doze: there is no such column"),
        ("?domain=site&target=outcome&group=ward", "group=ward: there is no such column"),
        ("?domain=site&target=outcome&missing=zero", "missing must be mean, got 'zero'"),
        ("?domain=site&target=outcome&drop=age,dose,smoker,patient,cost", "no column for inputs"),
        ("?domains=site", "'domains' is no option. Did you mean 'domain'"),
    ],
)
def test_names_that_are_refused(path, query, message):
    with pytest.raises(ValueError, match=message):
        DATASETS[f"table:{path}{query}"]


def test_files_that_are_refused(tmp_path):
    (tmp_path / "data.txt").write_text("a")
    with pytest.raises(ValueError, match=r"must end in \.csv"):
        DATASETS[f"table:{tmp_path / 'data.txt'}"]
    for name in ("empty.csv", "broken.parquet", "nowhere.csv"):
        if name != "nowhere.csv":
            (tmp_path / name).write_bytes(b"")
        with pytest.raises(ValueError, match=r"cannot be read|there is no file .*nowhere\.csv"):
            DATASETS[f"table:{tmp_path / name}"]
    pd.DataFrame({"domain": ["a", None, "b"], "y": [1, 0, 1], "x": [1, 2, 3]}).to_csv(tmp_path / "gap.csv")
    with pytest.raises(ValueError, match=r"column 'domain' of .* is empty in 1 row;"):
        DATASETS[f"table:{tmp_path / 'gap.csv'}"]
    words = [f"word {number}" for number in range(150)]
    pd.DataFrame({"domain": ["a", "b"] * 75, "y": [1, 0, 1] * 50, "x": words}).to_csv(tmp_path / "words.csv")
    with pytest.raises(ValueError, match=r"column 'x' of .* holds 150 different words"):
        DATASETS[f"table:{tmp_path / 'words.csv'}"]


def test_other_content_is_another_data_set(path):
    name = f"table:{path}?domain=site&target=outcome"
    before = fingerprint(name)
    patients(90).to_csv(path, index=False)
    _entry.cache_clear()  # as in a new process
    assert fingerprint(name) != before


def test_a_regression_in_a_sweep(path, tmp_path):
    name = f"table:{path}?domain=site&target=cost&scale=1000&drop=outcome,patient"
    settings = {"rollouts": 40, "evaluate_every": 20, "batch_size": 8, "splits": 1, "model": "mlp", "width": 16}
    content = {"datasets": [name], "algorithms": ["erm", "reptile"], "seeds": 1, "settings": settings}
    with Store(str(tmp_path / "runs.sqlite")) as store:
        records = perform(validated({**content, "launcher": "in-process"}), store, tmp_path)
    assert [record["status"] for record in records] == ["finished"] * 6
    for record in records:
        if record["config"]["algorithm"] == "erm":
            assert record["curves"]["held_out"][-1] > -1.5  # the target is about 1.8
