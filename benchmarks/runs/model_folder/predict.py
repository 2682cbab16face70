"""Predictions of a loaded model, and the file that they are written to."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from benchmarks.base.whole import whole
from benchmarks.datasets import DATASETS
from benchmarks.datasets.further import Examples, further
from benchmarks.datasets.lookup import SCHEMES
from benchmarks.runs.model_folder.description import Description
from benchmarks.runs.model_folder.files import Loaded
from benchmarks.runs.model_folder.seen import Seen, features, unlikeness

ENDINGS = (".csv", ".parquet")
AT_ONCE = 256


@dataclass(frozen=True)
class Predictions:
    """What a model says.

    Attributes:
        what: ``"file"``, ``"row"`` or ``"example"``: what `names` are.
        names: Of the examples.
        outputs: ``[n, n_outputs]`` float32.
        about: Of the model.
        unlike: How unlike the examples are to those of training; None if the folder does not tell.
    """

    what: str
    names: Sequence[str]
    outputs: Tensor
    about: Description
    unlike: float | None = None

    def table(self) -> pd.DataFrame:
        """A row for each example: its name, ``prediction``, and a probability for each class."""
        return table_of({self.what: list(self.names)}, self.outputs, self.about)

    def warnings(self) -> list[tuple[str, bool]]:
        """What is to be said of all of them together: sentences, and whether each is a warning."""
        told = []
        left_out = self.about.unlike.get("left_out") or {}
        if self.unlike is not None and left_out:
            most = max(left_out, key=lambda name: float(left_out[name]))
            least = min(map(float, left_out.values()))
            text = f"Unlikeness to the training examples: {self.unlike:.2f}; the domains had {least:.2f} to "
            text += f"{float(left_out[most]):.2f} when each was left out."
            warns = self.unlike > float(left_out[most])
            if warns:
                text = f"UNLIKE ALL THAT WAS SEEN. {text} Do not rely on the expectation of the card."
            told.append((text, warns))
        return told


def table_of(first: dict[str, Sequence[str]], outputs: Tensor, about: Description) -> pd.DataFrame:
    """The columns `first`, then ``prediction``, then of classes ``p(CLASS)``.

    Example:
        >>> from benchmarks.runs.model_folder.description import NetworkShape
        >>> net = NetworkShape(model="mlp", input_shape=(1,), n_outputs=2)
        >>> about = Description(network=net, reading={}, classes=("no", "yes"))
        >>> print(table_of({"row": ["1"]}, torch.tensor([[0.0, 0.0]]), about).to_string(index=False))
        row prediction  p(no)  p(yes)
          1         no    0.5     0.5
    """
    found = pd.DataFrame(first)
    if not about.classes:
        found["prediction"] = (outputs[:, 0].double() * about.scale).numpy()
        return found
    shares = outputs.double().softmax(dim=1)
    found["prediction"] = [about.classes[number] for number in outputs.argmax(dim=1).tolist()]
    for number, name in enumerate(about.classes):
        found[f"p({name})"] = shares[:, number].numpy()
    return found


def examples_of(about: Description, data: str) -> Examples:
    """The examples that a name stands for: ``folder:PATH``, ``table:PATH``, a path alone, or a data set's name.

    Raises:
        ValueError: if they are not of the kind that the model was trained on, or cannot be read as they were.
        KeyError: if there is no data set of the name.
    """
    own = about.reading["scheme"]
    scheme, colon, rest = data.partition(":")
    if not (colon and scheme in SCHEMES) and own in SCHEMES and (Path(data).exists() or own == "table"):
        scheme, rest = own, data  # the model tells what a path alone is
    if scheme in SCHEMES and scheme != own:
        takes = {"folder": "pictures, folder:PATH", "table": "rows of a table, table:PATH"}
        raise ValueError(f"the model takes {takes.get(own, 'a data set by its name')}, got {data}")
    if scheme == own:
        return further(about.reading, rest)
    found = DATASETS[data].factory()
    if found.input_shape != about.network.input_shape:
        wanted = list(about.network.input_shape)
        raise ValueError(f"{data} has inputs of shape {list(found.input_shape)}, and the model takes {wanted}")
    names = [f"{domain.name}/{number}" for domain in found.domains for number in range(len(domain))]
    return Examples(
        "example", names, itertools.chain.from_iterable(each.inputs.split(AT_ONCE) for each in found.domains)
    )


def predict_examples(loaded: Loaded, examples: Examples) -> Predictions:
    """What a model says of examples; no more than `AT_ONCE` of them pass together."""
    seen = Seen.from_tensors(loaded.seen)
    outputs, unlike, number = [], 0.0, 0
    for part in examples.parts:
        for piece in part.split(AT_ONCE):
            if seen is not None:
                unlike += len(piece) * unlikeness(seen, features(loaded.model, piece))
            with torch.inference_mode():
                outputs.append(loaded.model(piece).float())
            number += len(piece)
    distance = None if seen is None else unlike / number
    return Predictions(examples.what, examples.names, torch.cat(outputs), loaded.about, distance)


def predict(loaded: Loaded, data: str) -> Predictions:
    """What a model says of the examples that a name stands for.

    Raises:
        As `examples_of`.
    """
    return predict_examples(loaded, examples_of(loaded.about, data))


def write(table: pd.DataFrame, path: Path) -> None:
    """Writes a table, CSV or Parquet by the ending of its name, whole or not at all.

    Raises:
        ValueError: if it ends otherwise.
    """
    ending = require_ending(path)
    with whole(path) as partial:
        if ending == ".csv":
            table.to_csv(partial, index=False)
        else:
            table.to_parquet(partial, index=False)


def require_ending(path: Path) -> str:
    """The ending of a file of predictions.

    Raises:
        ValueError: if it is none of one.
    """
    if path.suffix.lower() not in ENDINGS:
        raise ValueError(f"a file of predictions must end in {' or '.join(ENDINGS)}, got {path.name!r}")
    return path.suffix.lower()
