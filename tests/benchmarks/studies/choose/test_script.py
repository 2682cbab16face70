"""train.py makes the same model as the last training does, whatever was chosen."""

import runpy

import pytest
import torch

from benchmarks.datasets import DATASETS
from benchmarks.runs.prepared import prepared, prepared_path
from benchmarks.studies.choose.candidates import Candidate, space_of
from benchmarks.studies.choose.final import last_training, train_all
from benchmarks.studies.choose.recipe import RECIPE, Recipe, Rung, Size
from benchmarks.studies.choose.script import AGAIN, Files, prediction_lines, train_script
from benchmarks.sweeps.settings import SweepSettings
from tests.benchmarks.studies.choose.toys import patients, pictures

SHORT = Recipe(sizes=(Size(12, points=2, rollouts=8),), rungs=(Rung(1.0, 1),), checkpoints=4, batch_size=8)


def trained(name, candidate, folder, models=(), settings=None):
    space = space_of(name, models, settings or SweepSettings(), SHORT.sizes[0], SHORT)
    asked = {"diagnostics": {"validation loss in training": [0.9, 0.5, 0.4, 0.6]}}
    records = {}
    if candidate.algorithm.endswith("swad"):
        records = {space.run(candidate, frozenset([own]), 0, 0).key(): asked for own in space.domains}
    last = last_training(space, candidate, 0, 2, records)
    return last, train_all(last, folder)


def made_again(last, found, folder):
    """The tensors that the script makes, in a folder beside the data."""
    name = last.config.dataset
    data = prepared_path(name, folder).relative_to(folder)
    text = train_script(last, found.about, Files(f"../{data}"), found.weights, DATASETS[name].loss)
    place = folder / "model"
    place.mkdir()
    (place / "train.py").write_text(text)
    runpy.run_path(str(place / "train.py"), run_name="__main__")
    return torch.load(place / AGAIN)


@pytest.mark.parametrize("algorithm", RECIPE.algorithms)
def test_every_algorithm_of_the_recipe(algorithm, tmp_path):
    name = patients(tmp_path / "patients.csv")
    last, found = trained(name, Candidate(0, algorithm, 1), tmp_path)
    again = made_again(last, found, tmp_path)
    for key, value in found.model.network.state_dict().items():
        torch.testing.assert_close(again[key], value, rtol=0, atol=1e-6)


def test_pictures_by_the_convolutional_network_with_weights_of_classes(tmp_path):
    name = pictures(tmp_path / "pictures")
    settings = SweepSettings(class_weights="1,3", width=8)
    last, found = trained(name, Candidate(0, "erm-ema", 0), tmp_path, ("cnn",), settings)
    assert found.weights.tolist() == [1.0, 3.0]
    again = made_again(last, found, tmp_path)
    for key, value in found.model.network.state_dict().items():
        torch.testing.assert_close(again[key], value, rtol=0, atol=1e-5)


def test_last_training_sees_all_examples_and_small_domains_as_often(tmp_path):
    name = patients(tmp_path / "patients.csv", rows=40)  # ten in a domain, and a roll-out takes 24 of it
    last, found = trained(name, Candidate(0, "reptile", 0), tmp_path)
    again = made_again(last, found, tmp_path)
    for key, value in found.model.network.state_dict().items():
        torch.testing.assert_close(again[key], value, rtol=0, atol=1e-6)
    assert sum(map(len, prepared(name, tmp_path).domains)) == 40


def test_lines_of_the_card_predict_what_the_folder_predicts(tmp_path, monkeypatch, capsys):
    from benchmarks.runs.model_folder import save

    name = patients(tmp_path / "patients.csv")
    _, found = trained(name, Candidate(0, "erm", 0), tmp_path)
    folder = tmp_path / "model"
    folder.mkdir()
    save(folder, found.about, found.model, {})
    monkeypatch.chdir(folder)
    inputs = torch.cat([domain.inputs for domain in prepared(name, tmp_path).domains])
    lines = prediction_lines(found.about).splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("x = torch.rand"))
    lines[place] = "x = INPUTS"
    assert len([line for line in lines if line and not line.startswith(("import", "from"))]) <= 10
    exec("\n".join(lines), {"INPUTS": inputs})
    expected = [found.about.classes[place] for place in found.model(inputs).argmax(dim=1)]
    assert capsys.readouterr().out.strip() == str(expected)


def test_head_on_the_features_of_a_pretrained_network(tmp_path, monkeypatch, capsys):
    from benchmarks.runs.features import features_path, frozen_backbone
    from benchmarks.runs.model_folder import load, predict, save

    name = pictures(tmp_path / "pictures", many=6).replace("size=8", "size=64")
    last, found = trained(name, Candidate(0, "pgrad", 0), tmp_path, ("timm:tf_efficientnet_lite0",))
    raw = prepared(name, tmp_path)
    assert found.about.constants.kind == "timm"
    features = features_path(raw, frozen_backbone(last.config, raw.input_shape), tmp_path).relative_to(tmp_path)
    files = Files(f"../{prepared_path(name, tmp_path).relative_to(tmp_path)}", f"../{features}", 1280)
    folder = tmp_path / "model"
    folder.mkdir()
    save(folder, found.about, found.model, {})
    (folder / "train.py").write_text(train_script(last, found.about, files, None, DATASETS[name].loss))
    runpy.run_path(str(folder / "train.py"), run_name="__main__")
    again, head = torch.load(folder / AGAIN), found.model.network.get_submodule("head")
    for key, value in head.state_dict().items():
        torch.testing.assert_close(again[key], value, rtol=0, atol=1e-6)
    # The head on the features that it was trained on says what the whole network says of the pictures.
    known = torch.cat(torch.load(tmp_path / features, weights_only=True)["features"])
    inputs = torch.cat([domain.inputs for domain in raw.domains])
    with torch.inference_mode():
        expected = found.model(inputs)
    torch.testing.assert_close(head(known).detach(), expected, rtol=1e-4, atol=1e-4)
    files_of = [file for own in DATASETS[name].origin.examples().values() for file in own]
    said = predict(load(folder), name.partition("?")[0])
    torch.testing.assert_close(said.outputs[[list(said.names).index(file) for file in files_of]], expected)
    monkeypatch.chdir(folder)
    lines = prediction_lines(found.about, 1280).splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("x = torch.rand"))
    lines[place] = "x = INPUTS"
    exec("\n".join(lines), {"INPUTS": inputs})
    told = [found.about.classes[place] for place in expected.argmax(dim=1)]
    assert capsys.readouterr().out.strip() == str(told)
