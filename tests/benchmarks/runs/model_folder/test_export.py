"""Programs of torch.export and ONNX say what the model says, for any number of examples."""

import importlib.util

import pytest
import torch

from benchmarks.runs.model_folder import Constants, Description, NetworkShape, built, load, save
from benchmarks.runs.model_folder.export import ONNX, ExportError, export

pytestmark = pytest.mark.slow


def folder_of(tmp_path, shape, constants):
    about = Description(network=shape, constants=constants, reading={}, classes=("a", "b"))
    save(tmp_path, about, built(about), {})
    return load(tmp_path)


TABLE = (
    NetworkShape(model="mlp", input_shape=(2,), n_outputs=2, width=8),
    Constants(kind="columns", mean=(1.0, 5.0), scale=(2.0, 1.0), varies=(True, False)),
    torch.tensor([[3.0, 5.0], [float("nan"), 7.0], [0.5, 0.5]], dtype=torch.float64),
)
PICTURES = (
    NetworkShape(model="cnn", input_shape=(3, 8, 8), n_outputs=2, width=8),
    Constants(kind="channels", mean=(0.5, 0.4, 0.3), factor=(2.0, 3.0, 4.0)),
    torch.rand(70, 3, 8, 8, generator=torch.Generator().manual_seed(0)),
)


@pytest.mark.parametrize(("shape", "constants", "examples"), [TABLE, PICTURES], ids=["table", "pictures"])
def test_program_says_what_the_model_says(tmp_path, shape, constants, examples):
    loaded = folder_of(tmp_path, shape, constants)
    done = export(loaded, examples, tmp_path / "model.pt2")
    with torch.no_grad():
        again = torch.export.load(tmp_path / "model.pt2").module()
        for number in (1, 2, len(examples)):
            torch.testing.assert_close(again(examples[:number]), loaded.model(examples[:number]))
    assert done.difference < 1e-5
    assert (done.onnx is not None) == all(map(importlib.util.find_spec, ONNX))


def test_program_that_says_something_else_is_not_written(tmp_path, monkeypatch):
    loaded = folder_of(tmp_path, *TABLE[:2])
    monkeypatch.setattr("benchmarks.runs.model_folder.export.TOLERANCE", -1.0)
    with pytest.raises(ExportError, match="differs from the model by"):
        export(loaded, TABLE[2], tmp_path / "model.pt2")
    assert not (tmp_path / "model.pt2").exists()


def test_one_example_is_too_few(tmp_path):
    with pytest.raises(ExportError, match="from two at least"):
        export(folder_of(tmp_path, *TABLE[:2]), TABLE[2][:1], tmp_path / "model.pt2")
