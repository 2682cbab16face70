"""The model as one program: of torch.export, and ONNX where its packages are installed, both held against the model."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.base.whole import whole
from benchmarks.runs.model_folder.files import Loaded

TOLERANCE = 1e-4
"""Of the largest difference, as a share of the largest output (of one at least)."""
ONNX = ("onnx", "onnxscript", "onnxruntime")


class ExportError(RuntimeError):
    """The program does not say what the model says, or cannot be made."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: Of the program of torch.export.
        onnx: Of the ONNX file; None where its packages are not installed.
        difference: The largest one from the outputs of the model, of both files.
    """

    path: Path
    onnx: Path | None
    difference: float


def export(loaded: Loaded, examples: Tensor, path: Path) -> Exported:
    """Writes the program, transformation of inputs and all, for any number of examples, and tries it on real ones.

    Args:
        loaded: The model.
        examples: ``[n, ...]`` inputs as they come from files; two at least.
        path: Of the program; an ONNX file goes beside it.

    Raises:
        ExportError: if the program cannot be made, or says something else.
    """
    if len(examples) < 2:
        raise ExportError("a program for any number of examples is made from two at least; give more of them")
    model = loaded.model.eval()
    with torch.no_grad():
        expected = model(examples)
    batch = torch.export.Dim("examples", min=1)
    try:
        with torch.enable_grad():  # networks take many examples in parts without gradients, which has no one program
            program = torch.export.export(model, (examples,), dynamic_shapes=({0: batch},))
    except Exception as error:
        raise ExportError(f"torch.export cannot take this network: {_first_line(error)}") from error
    with whole(path) as partial:
        with partial.open("wb") as file:
            torch.export.save(program, file)
        with partial.open("rb") as file:
            again = torch.export.load(file).module()
        with torch.no_grad():
            found, one = again(examples), again(examples[:1])
        difference = _held(found, expected, "torch.export")
        difference = max(difference, _held(one, expected[:1], "torch.export, of one example,"))
    onnx = path.with_suffix(".onnx") if all(map(importlib.util.find_spec, ONNX)) else None
    if onnx is not None:
        with whole(onnx) as partial:
            difference = max(difference, _onnx(loaded, examples, expected, partial))
    return Exported(path, onnx, difference)


def _onnx(loaded: Loaded, examples: Tensor, expected: Tensor, path: Path) -> float:
    import onnxruntime

    batch = torch.export.Dim("examples", min=1)
    try:
        torch.onnx.export(
            loaded.model,
            (examples,),
            path,
            input_names=["inputs"],
            output_names=["outputs"],
            dynamo=True,
            dynamic_shapes=({0: batch},),
            external_data=False,
            verbose=False,
        )
        session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ExportError(f"ONNX cannot take this network: {_first_line(error)}") from error
    difference = 0.0
    for given, wanted, what in ((examples, expected, "ONNX"), (examples[:1], expected[:1], "ONNX, of one example,")):
        (found,) = session.run(["outputs"], {"inputs": given.numpy()})
        difference = max(difference, _held(torch.from_numpy(found), wanted, what))
    return difference


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _held(found: Tensor, expected: Tensor, what: str) -> float:
    difference = float((found - expected).abs().max())
    if not difference <= TOLERANCE * max(1.0, float(expected.abs().max())):
        raise ExportError(f"the program of {what} differs from the model by {difference:g} on these examples")
    return difference
