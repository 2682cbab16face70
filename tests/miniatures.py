"""Fixtures: miniature WILDS data sets, made once for each worker, and runs of the command on them."""

import json
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root folder; `miniature` puts data sets into it."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def miniature(data: Path):
    """``miniature(name, **options)`` loads a miniature, of small images."""
    from benchmarks.studies.wilds.miniatures import make
    from pgrad.integrations import wilds

    def load(name: str, **options):
        make(name, data, side=128 if name == "globalwheat" else 32)
        return wilds.get_dataset(name, data, **options)

    return load


@pytest.fixture
def call(miniature, data: Path, tmp_path: Path):
    """``call(dataset, ...)`` is the command on a miniature with a tiny network; returns the exit status."""
    from benchmarks.commands.words.wilds import wilds_command as wilds

    def run(dataset: str, **options) -> int:
        if dataset != "py150":
            miniature(dataset)
        small = {"resolution": 128 if dataset == "globalwheat" else 32, "eval_batch_size": 256, "max_tokens": 24}
        tiny = {"backbone": "tiny", "batch_size": 4, "steps": 6, "lr": 1e-3, "data": data, "output": tmp_path / "run"}
        return wilds(dataset, **{**small, **tiny, "device": "cpu", **options})

    return run


@pytest.fixture
def records(tmp_path: Path):
    """``records(folder)`` are those of a command's output folder; by default of what `call` did."""
    from benchmarks.reports.load import load_records

    return lambda folder="run": load_records(str(tmp_path / folder / "records.jsonl"))


def run_folder(output: Path) -> Path:
    """The folder of the one run in an output folder."""
    (found,) = [path for path in output.iterdir() if path.is_dir() and "-seed" in path.name]
    return found


@pytest.fixture
def offline_tokenizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tokenizer of 70 words where transformers finds it under the name that py150 asks for."""
    pytest.importorskip("transformers")
    folder = tmp_path / "microsoft" / "CodeGPT-small-py"
    folder.mkdir(parents=True)
    words = {f"w{i}": i for i in range(69)} | {"<|endoftext|>": 69}
    (folder / "vocab.json").write_text(json.dumps(words))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "config.json").write_text(
        json.dumps({"model_type": "gpt2", "vocab_size": 70, "n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 256})
    )
    monkeypatch.chdir(tmp_path)
    return folder
