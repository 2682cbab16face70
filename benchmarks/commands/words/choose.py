"""``choose`` and ``predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from benchmarks.base.errors import ConfigError, require_known, unknown
from benchmarks.commands.early import known
from benchmarks.commands.kinds import Positive, Words
from benchmarks.commands.places import output_folder
from benchmarks.commands.say import refusing

Minutes = Annotated[float, Parameter(validator=Number(gt=0))]


@refusing
def choose_command(
    data: str,
    *,
    minutes: Minutes = 5.0,
    size: Positive | None = None,
    output: Path = Path("runs/choose"),
    measure: str | None = None,
    model: Words = (),
    groups: str | None = None,
    allow: Words = (),
    device: str = "cpu",
    workers: Positive | None = None,
    set: Words = (),  # noqa: A002  as the sweep's option is called
) -> int:
    """From domains of your own to a model for the next one, and what to expect of it.

    Leaves out one domain after the other, chooses how to train without it, and looks what that reaches on it. Then it
    trains on all domains and writes a folder with the model, a card that says what to expect, and the predictions for
    every example when its domain was left out. Ctrl-C ends the search with the best so far; the same command goes on.

    Parameters
    ----------
    data:
        folder:PATH for pictures in domain/class/*, table:PATH for a CSV, TSV, Excel or Parquet file with a column of
        domains, or the name of a data set.
    minutes:
        That it may take.
    size:
        Of the search, from 1, the smallest; by default the largest that fits into the minutes.
    output:
        Folder for the model and for all that led to it.
    measure:
        What chooses: accuracy, balanced-accuracy, macro-f1 or auc; else the data set's own.
    model:
        Names of networks to choose among; timm:NAME=FILE for a network of timm with weights that are here. Nothing is
        downloaded.
    groups:
        What is never parted: the column of a table, or a regular expression on the names of pictures.
    allow:
        Words of findings about your data, to go on nevertheless.
    device:
        cpu or cuda.
    workers:
        Processes; by default one for each core.
    set:
        KEY=VALUE for other settings of all runs, such as class_weights=balanced.
    """
    output_folder(output)
    if ":" not in data and data not in known("datasets"):
        if Path(data).is_dir():
            raise ConfigError(f"DATA: {data} is a folder; for pictures in it give folder:{data}")
        if Path(data).exists():
            columns = f"'table:{data}?domain=COLUMN&target=COLUMN'"
            raise ConfigError(
                f"DATA: {data} is a file; for a table say which columns hold domains and labels, {columns}"
            )
        raise ConfigError(f"DATA: {unknown(data, known('datasets'))} Files of yours are folder:PATH or table:PATH.")
    if device not in ("cpu", "cuda"):
        raise ConfigError(f"--device must be cpu or cuda, got {device!r}")
    from benchmarks.commands import choose

    return choose.choose_command(data, minutes, size, output, measure, model, groups, allow, device, workers, set)


@refusing
def study_command(
    *datasets: str,
    minutes: Annotated[tuple[Minutes, ...], Parameter(consume_multiple=True, negative="")] = (5.0,),
    output: Path = Path("runs/choose-study"),
    model: Words = (),
    workers: Positive = 2,
) -> int:
    """Look how far choose can be trusted: choices on data sets where one more domain is known.

    Half of the domains of each data set are the unseen one in turn. It says how far the model was behind the best in
    hindsight, beside training-domain validation on the same grid, what it gained over plain ERM and over a setting
    without a search, and how often the promised interval held the truth. It takes hours; the same command goes on.

    Parameters
    ----------
    datasets:
        Names of data sets of the list.
    minutes:
        Of each choice; several numbers are done one after the other.
    output:
        Folder; study.jsonl in it has a line for each trial.
    model:
        Networks to choose among, as for choose; by default the data set's own.
    workers:
        Processes.
    """
    require_known("DATASETS", datasets, known("datasets"))
    output_folder(output)
    from benchmarks.commands import choose

    return choose.study_command(datasets, minutes, output, model, workers)


@refusing
def predict_command(folder: Path, data: str, *, output: Path, export: Path | None = None) -> int:
    """Predict with a model that choose made: a row for each example, with a probability for each class.

    Labels and domains may be missing; the columns of a table are matched by name. It says how unlike the examples are
    to all that the model has seen.

    Parameters
    ----------
    folder:
        The --output of choose, or the folder model in it.
    data:
        folder:PATH, table:PATH or a path alone.
    output:
        File of the predictions, CSV or Parquet by its ending.
    export:
        File for the model as a program of torch.export (.pt2), checked on these examples; an ONNX file beside it where
        its packages are installed.
    """
    if output.suffix.lower() not in (".csv", ".parquet"):
        raise ConfigError(f"--output: a file of predictions must end in .csv or .parquet, got {output.name!r}")
    if export is not None and export.suffix != ".pt2":
        raise ConfigError(f"--export: the file of a program must end in .pt2, got {export.name!r}")
    output_folder(output.resolve().parent)
    from benchmarks.commands import predict

    return predict.predict_command(folder, data, output, export)
