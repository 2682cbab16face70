"""ONNX files, read by onnxruntime alone, say what the model says; skipped where their packages are not installed."""

import importlib.util

import numpy as np
import pytest
import torch

from benchmarks.runs.model_folder import Constants, Description, NetworkShape, built, load, save
from benchmarks.runs.model_folder import export as exporting
from benchmarks.runs.model_folder.export import ONNX, ExportError, export

MISSING = [name for name in ONNX if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}: pip install 'pgrad[onnx]'"),
]
GENERATOR = torch.Generator().manual_seed(0)
COLUMNS = Constants(kind="columns", mean=(1.0, 5.0, 0.0), scale=(2.0, 1.0, 3.0), varies=(True, False, True))
CHANNELS = Constants(kind="channels", mean=(0.5, 0.4, 0.3), factor=(2.0, 3.0, 4.0))
TIMM = Constants(kind="timm", mean=(0.5, 0.4, 0.3), scale=(0.2, 0.3, 0.4))
ROWS = torch.tensor([[3.0, 5.0, 1.0], [float("nan"), 7.0, -2.0], [0.5, 0.5, 1e6]], dtype=torch.float64)
CASES = {
    "table": (NetworkShape(model="mlp", input_shape=(3,), n_outputs=2, width=8), COLUMNS, ROWS),
    "quantity": (NetworkShape(model="mlp", input_shape=(3,), n_outputs=1, width=8), COLUMNS, ROWS),
    "pictures": (
        NetworkShape(model="cnn", input_shape=(3, 8, 8), n_outputs=2, width=8),
        CHANNELS,
        torch.rand(70, 3, 8, 8, generator=GENERATOR),
    ),
    "grey pictures, enlarged for a network of timm": (
        NetworkShape(model="timm:tf_efficientnet_lite0", input_shape=(1, 24, 24), n_outputs=2, image_size=32),
        TIMM,
        torch.rand(5, 1, 24, 24, generator=GENERATOR),
    ),
}


def folder_of(folder, shape, constants):
    folder.mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        classes = ("a", "b") if shape.n_outputs == 2 else ()
        about = Description(network=shape, constants=constants, reading={}, classes=classes)
        save(folder, about, built(about), {})
    return load(folder)


@pytest.fixture(params=CASES)
def case(request, tmp_path):
    shape, constants, examples = CASES[request.param]
    if shape.model.startswith("timm:"):
        pytest.importorskip("timm")
    return folder_of(tmp_path / "model", shape, constants), examples


def test_onnxruntime_says_what_the_model_says(case, tmp_path, capfd):
    import onnx
    import onnxruntime

    loaded, examples = case
    done = export(loaded, examples, tmp_path / "model.pt2")
    assert done.onnx == tmp_path / "model.onnx"
    assert capfd.readouterr().out == ""
    onnx.checker.check_model(onnx.load(done.onnx))
    session = onnxruntime.InferenceSession(done.onnx, providers=["CPUExecutionProvider"])
    for number in (1, 2, len(examples)):
        (found,) = session.run(["outputs"], {"inputs": examples[:number].numpy()})
        with torch.no_grad():
            expected = loaded.model(examples[:number]).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "model.onnx", "model.pt2"]


def test_file_that_says_something_else_is_not_written(tmp_path, monkeypatch):
    shape, constants, examples = CASES["table"]
    loaded = folder_of(tmp_path / "model", shape, constants)
    plain = exporting._held
    monkeypatch.setattr(
        exporting, "_held", lambda found, expected, what: plain(found + ("ONNX" in what), expected, what)
    )
    with pytest.raises(ExportError, match=r"the program of ONNX.* differs from the model by"):
        export(loaded, examples, tmp_path / "model.pt2")
    assert not (tmp_path / "model.onnx").exists()
