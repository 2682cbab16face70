"""A model as a folder of data: weights and one JSON, from which anybody can predict and nothing is executed.

- ``model.safetensors``: the weights, by the names of the network's tensors;
- ``model.json``: everything else that a prediction needs (see `Description`): the network by name and sizes, how a file
  becomes an input, the constants of its transformation, the classes, the digests of the other files;
- ``seen.safetensors``: what the training examples looked like to the network (see `benchmarks.runs.model_folder.seen`).

The network's name is looked up in the registry of models, or in timm; its sizes are held against the shapes of the
tensors before one of them is read. What is damaged, foreign or of a later version is refused in one sentence.

Example:
    >>> import tempfile, torch
    >>> from pathlib import Path
    >>> net = NetworkShape(model="mlp", input_shape=(2,), n_outputs=2, width=4)
    >>> about = Description(network=net, reading={"scheme": "named", "name": "toy"}, classes=("no", "yes"))
    >>> folder = Path(tempfile.mkdtemp())
    >>> model = built(about)
    >>> save(folder, about, model, seen={})
    >>> again = load(folder)
    >>> x = torch.randn(3, 2)
    >>> bool((again.model(x) == model(x)).all()), again.about.classes
    (True, ('no', 'yes'))
"""

from __future__ import annotations

from benchmarks.runs.model_folder.description import Constants, Description, NetworkShape
from benchmarks.runs.model_folder.files import Loaded, ModelFolderError, load, save
from benchmarks.runs.model_folder.network import Predictor, built, constants_of
from benchmarks.runs.model_folder.predict import Predictions, examples_of, predict

__all__ = [
    "Constants",
    "Description",
    "Loaded",
    "ModelFolderError",
    "NetworkShape",
    "Predictions",
    "Predictor",
    "built",
    "constants_of",
    "examples_of",
    "load",
    "predict",
    "save",
]
