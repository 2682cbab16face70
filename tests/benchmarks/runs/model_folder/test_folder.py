"""A model folder: what is saved predicts the same after loading, and what is wrong with a folder is one sentence."""

import hashlib
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from benchmarks.datasets import DATASETS
from benchmarks.datasets.scaling import standardise
from benchmarks.runs.model_folder import (
    Constants,
    Description,
    ModelFolderError,
    NetworkShape,
    built,
    constants_of,
    load,
    predict,
    save,
)
from benchmarks.runs.model_folder.predict import write


@pytest.fixture
def table(tmp_path):
    """Three clinics; the outcome follows age and ward."""
    rng = np.random.default_rng(0)
    rows = 90
    frame = pd.DataFrame(
        {
            "clinic": np.array(["a", "b", "c"])[np.arange(rows) % 3],
            "age": rng.normal(60, 10, rows).round(1),
            "ward": rng.choice(["east", "west"], rows),
            "smokes": rng.choice(["true", "false"], rows),
        }
    )
    frame["outcome"] = np.where(frame.age + 5 * (frame.ward == "east") > 62, "ill", "well")
    path = tmp_path / "patients.csv"
    frame.to_csv(path, index=False)
    return path


def model_of(name, folder, shape=None):
    """A folder with a network at random, standardised by all of the data."""
    entry = DATASETS[name]
    data = entry.factory()
    inputs = torch.cat([domain.inputs for domain in data.domains])
    constants = constants_of(entry.fit(inputs, torch.zeros(len(inputs))))
    about = Description(
        network=shape or NetworkShape(model="mlp", input_shape=data.input_shape, n_outputs=data.n_outputs, width=8),
        constants=constants,
        reading=entry.origin.reading,
        classes=entry.classes,
    )
    model = built(about)
    folder.mkdir()
    save(folder, about, model, {})
    return model, data, entry


@pytest.fixture
def saved(table, tmp_path):
    name = f"table:{table}?domain=clinic&target=outcome"
    return model_of(name, tmp_path / "model"), tmp_path / "model", table


def test_table_without_labels_and_domains_is_predicted_as_the_data_set_was(saved, tmp_path):
    (model, data, entry), folder, table = saved
    new = tmp_path / "new.csv"
    frame = pd.read_csv(table)
    frame[["smokes", "ward", "age"]].to_csv(new, index=False)  # another order, and no clinic or outcome
    found = predict(load(folder), f"table:{new}").table()
    for domain in data.domains:
        fitted = standardise(torch.cat([each.inputs for each in data.domains]), torch.zeros(90))
        expected = model.network(fitted(domain.inputs)).softmax(dim=1).detach()
        rows = [int(row) - 1 for row in entry.origin.examples()[domain.name]]
        torch.testing.assert_close(torch.tensor(found.loc[rows, ["p(ill)", "p(well)"]].to_numpy()).float(), expected)
        said = np.array(entry.classes)[expected.argmax(dim=1)]
        assert (found.loc[rows, "prediction"].to_numpy() == said).all()
    assert found["row"].tolist() == [str(row + 1) for row in range(90)]


def test_path_alone_is_enough(saved):
    (_, _, _), folder, table = saved
    assert len(predict(load(folder), str(table)).table()) == 90


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda frame: frame.drop(columns="age"), "there is no column 'age'"),
        (lambda frame: frame.rename(columns={"age": "Age "}), "'age'.*names must be the same, capitals and spaces too"),
        (lambda frame: frame.assign(ward="north"), "column 'ward' holds 'north', which the model has not seen"),
        (lambda frame: frame.assign(age="old"), "column 'age' holds words, and the model was trained on numbers"),
        (
            lambda frame: frame.assign(age=frame.age.where(frame.index > 0)),
            r"empty cells in age.*'table:.*new\.csv\?missing=mean'",
        ),
        (lambda frame: frame.assign(smokes=1), "column 'smokes' holds numbers"),
    ],
)
def test_table_that_is_read_otherwise_is_one_sentence(saved, tmp_path, change, told):
    _, folder, table = saved
    new = tmp_path / "new.csv"
    change(pd.read_csv(table)).to_csv(new, index=False)
    with pytest.raises(ValueError, match=told):
        predict(load(folder), f"table:{new}")


def test_table_is_taken_to_be_written_as_that_of_training_was(table, tmp_path):
    """As a spreadsheet in German writes it: semicolons, decimal commas, another encoding."""
    frame = pd.read_csv(table).rename(columns={"age": "Größe"})
    german = {"sep": ";", "decimal": ",", "encoding": "latin-1"}
    frame.to_csv(tmp_path / "german.csv", index=False, **german)
    options = "separator=;&decimal=,&encoding=latin-1"
    model_of(f"table:{tmp_path / 'german.csv'}?domain=clinic&target=outcome&{options}", tmp_path / "german")
    loaded = load(tmp_path / "german")
    new = frame.drop(columns=["clinic", "outcome"])
    new.to_csv(tmp_path / "new.csv", index=False, **german)
    found = predict(loaded, str(tmp_path / "new.csv")).outputs
    torch.testing.assert_close(predict(loaded, str(tmp_path / "german.csv")).outputs, found)
    new.to_csv(tmp_path / "plain.csv", index=False)
    with pytest.raises(ValueError, match=r"it was read with separator=;, .*, as the training table was"):
        predict(loaded, str(tmp_path / "plain.csv"))
    said = f"table:{tmp_path / 'plain.csv'}?separator=,&decimal=.&encoding=utf-8"
    torch.testing.assert_close(predict(loaded, said).outputs, found)
    new.to_excel(tmp_path / "new.xlsx", index=False)
    torch.testing.assert_close(predict(loaded, str(tmp_path / "new.xlsx")).outputs, found)


def test_missing_numbers_are_the_mean_where_it_is_said(saved, tmp_path):
    (_, data, _), folder, table = saved
    frame = pd.read_csv(table)
    mean = torch.cat([domain.inputs for domain in data.domains])[:, 0].mean()
    frame.assign(age=float(mean)).to_csv(tmp_path / "mean.csv", index=False)
    frame.assign(age="").to_csv(tmp_path / "empty.csv", index=False)
    found = predict(load(folder), f"table:{tmp_path / 'empty.csv'}?missing=mean").outputs
    torch.testing.assert_close(found, predict(load(folder), f"table:{tmp_path / 'mean.csv'}").outputs)


def test_pictures_anywhere_below_a_folder(tmp_path):
    rng = np.random.default_rng(0)
    for domain in "ab":
        for label in ("cat", "dog"):
            (tmp_path / "pets" / domain / label).mkdir(parents=True)
            for number in range(4):
                pixels = rng.integers(0, 255, (12, 10, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / "pets" / domain / label / f"{number}.png")
    name = f"folder:{tmp_path / 'pets'}?size=8"
    shape = NetworkShape(model="cnn", input_shape=(3, 8, 8), n_outputs=2, width=8)
    model, data, entry = model_of(name, tmp_path / "model", shape)
    found = predict(load(tmp_path / "model"), f"folder:{tmp_path / 'pets'}").table().set_index("file")
    for domain in data.domains:
        with torch.inference_mode():
            expected = model(domain.inputs).softmax(dim=1)
        names = list(entry.origin.examples()[domain.name])
        torch.testing.assert_close(torch.tensor(found.loc[names, ["p(cat)", "p(dog)"]].to_numpy()).float(), expected)
    deep = tmp_path / "deep"
    deep.mkdir()
    Image.fromarray(rng.integers(0, 60_000, (9, 9)).astype(np.uint16)).save(deep / "x.png")
    with pytest.raises(ValueError, match=r"x\.png is PNG, grey of 16 bits, and the model was trained on pictures of 8"):
        predict(load(tmp_path / "model"), f"folder:{deep}")
    with pytest.raises(ValueError, match=r"no picture of .* can be read"):
        predict(load(tmp_path / "model"), f"folder:{deep}?allow=unreadable")
    (deep / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    with pytest.raises(ValueError, match=r"broken\.png cannot be read .*deep\?allow=unreadable' leaves such"):
        predict(load(tmp_path / "model"), f"folder:{deep}")
    one = tmp_path / "pets/a/cat/0.png"
    alone = predict(load(tmp_path / "model"), str(one)).table()
    assert alone.file.tolist() == ["0.png"]
    assert alone["p(cat)"][0] == pytest.approx(found.loc["a/cat/0.png", "p(cat)"], abs=1e-5)


def edited(folder, **changes):
    about = json.loads((folder / "model.json").read_text())
    for path, value in changes.items():
        place = about
        *above, last = path.split("__")
        for name in above:
            place = place[name]
        place[last] = value
    (folder / "model.json").write_text(json.dumps(about))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda folder: (folder / "model.json").unlink(), "is no model folder"),
        (lambda folder: (folder / "model.json").write_text('{"format": '), "is no JSON"),
        (lambda folder: (folder / "model.json").write_text("[]"), "not of a model that choose made"),
        (lambda folder: (folder / "model.json").write_text('{"format": "other"}'), "not of a model that choose made"),
        (lambda folder: edited(folder, version=0), "has the version 0 of the format, and this pgrad reads 1"),
        (lambda folder: edited(folder, network__model="os.system"), "'os.system' is not known"),
        (lambda folder: edited(folder, network__model="timm:no-such"), "describes no network"),
        (
            lambda folder: edited(folder, network__width=9),
            "tensor '1.weight' has the shape .9, 4. there and the shape .8, 4",
        ),
        (lambda folder: edited(folder, network__width=10**9), "damaged: network.width"),
        (lambda folder: edited(folder, network__input_shape=[2**40]), "damaged: network.input_shape"),
        (lambda folder: edited(folder, classes=["one"]), "1 classes and 2 outputs"),
        (lambda folder: edited(folder, more=1), "damaged: more"),
        (lambda folder: edited(folder, files={"../x": "0"}), "names the file '../x', which is none of a model"),
        (lambda folder: edited(folder, files={}), "not written to its end"),
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors is missing"),
        (
            lambda folder: (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-4]),
            "is damaged or of another model",
        ),
    ],
)
def test_damaged_and_foreign_folders_are_one_sentence(saved, damage, told):
    _, folder, _ = saved
    damage(folder)
    with pytest.raises(ModelFolderError, match=told) as raised:
        load(folder)
    assert "\n" not in str(raised.value)


def test_no_folder_and_a_file_are_said(tmp_path):
    with pytest.raises(ModelFolderError, match="there is no folder"):
        load(tmp_path / "nothing")
    (tmp_path / "file").touch()
    with pytest.raises(ModelFolderError, match="it is a file"):
        load(tmp_path / "file")


def test_pickled_weights_are_never_opened(saved):
    _, folder, _ = saved
    weights = folder / "model.safetensors"
    torch.save({name: value.clone() for name, value in load_file(weights).items()}, folder / "other")
    (folder / "other").replace(weights)
    edited(folder, files={"model.safetensors": hashlib.sha256(weights.read_bytes()).hexdigest()})
    with pytest.raises(ModelFolderError, match="it is no file of tensors"):
        load(folder)


def test_output_of_choose_is_taken_for_its_model(saved, tmp_path):
    _, folder, _ = saved
    (tmp_path / "output").mkdir()
    shutil.copytree(folder, tmp_path / "output" / "model")
    assert load(tmp_path / "output").folder == tmp_path / "output" / "model"


def test_written_files_hold_the_same(saved, tmp_path):
    _, folder, table = saved
    found = predict(load(folder), str(table)).table()
    for ending, read in (("csv", pd.read_csv), ("parquet", pd.read_parquet)):
        write(found, tmp_path / f"said.{ending}")
        again = read(tmp_path / f"said.{ending}")
        assert list(again) == ["row", "prediction", "p(ill)", "p(well)"]
        assert np.allclose(again["p(ill)"], found["p(ill)"])
        assert (again.prediction == found.prediction).all()
    with pytest.raises(ValueError, match=r"must end in \.csv or \.parquet, got 'said.txt'"):
        write(found, tmp_path / "said.txt")


def test_columns_are_standardised_as_in_training_where_they_do_not_vary():
    fitted = standardise(torch.tensor([[1.0, 5.0], [3.0, 5.0]], dtype=torch.float64), torch.zeros(2))
    about = Description(
        network=NetworkShape(model="linear", input_shape=(2,), n_outputs=2),
        constants=constants_of(fitted),
        reading={},
        classes=("a", "b"),
    )
    new = torch.tensor([[2.0, 9.0], [float("nan"), 5.0]], dtype=torch.float64)
    assert torch.equal(built(about).transform(new), fitted(new))
    with pytest.raises(ValueError, match="lists of one length"):
        Constants(kind="columns", mean=(1.0,), scale=(), varies=(True,))


def test_tensors_besides_those_of_the_network_are_refused(saved):
    _, folder, _ = saved
    weights = folder / "model.safetensors"
    save_file({**load_file(weights), "more": torch.zeros(1)}, folder / "other")
    (folder / "other").replace(weights)
    edited(folder, files={"model.safetensors": hashlib.sha256(weights.read_bytes()).hexdigest()})
    with pytest.raises(ModelFolderError, match="tensor 'more' has no such place there"):
        load(folder)
