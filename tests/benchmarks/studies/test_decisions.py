"""The page about decisions and its sweep files: they name what there is."""

import re
from pathlib import Path

import pytest
import yaml

from benchmarks.__main__ import main
from benchmarks.datasets import DATASETS
from benchmarks.datasets.decisions import SETS, own_logs
from benchmarks.datasets.decisions.sets import LEARNING
from benchmarks.reports import names
from benchmarks.sweeps.files import validated
from tests.docs.pages import ROOT

FILES = sorted((ROOT / "benchmarks/studies/decisions").glob("*.yaml"))
PAGE = (ROOT / "docs/decisions.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_study_compares_what_can_be_compared(file):
    sweep = validated(yaml.safe_load(file.read_text(encoding="utf-8")))
    for name in sweep.datasets:
        assert name.partition("?")[0] in SETS
        assert sweep.of_dataset(name).model.startswith("decisions")
    assert {"erm", "erm-ema", "reptile", "pgrad"} <= set(sweep.algorithms)
    assert ("pgrad", "reptile") in sweep.confirmatory
    assert f"`{file.name}`" in PAGE


def test_the_page_names_every_set_and_option():
    for name, own in SETS.items():
        assert f"| `{name}` |" in PAGE
        assert all(domain in PAGE for domain in own.domains)
        for option, values in {**LEARNING, **own.options}.items():
            (line,) = re.findall(rf"^\| `{option}` \| (.*?) \|", PAGE, flags=re.MULTILINE)
            assert all(f"`{value}`" in line for value in values)
    for field in (*own_logs.REQUIRED, *own_logs.OPTIONAL):
        assert f"`{field}`" in PAGE


def test_its_files_are_there():
    for path in re.findall(r"`((?:benchmarks|tests)/[^`]*)`", PAGE):
        assert (ROOT / Path(path)).exists()


def test_names_with_options_are_accepted_early(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["datasets", "job-scheduling?loss=filtered&learn=done"])
    assert not stopped.value.code
    assert "filtered of done, two-hot critic" in capsys.readouterr().out
    for name, message in (
        ("job-scheduling?los=filtered", "option 'los' is not known. Did you mean 'loss'"),
        ("job-schedule?loss=filtered", "is not known. Did you mean 'job-scheduling"),
        ("rotated-digits?loss=filtered", "'rotated-digits?loss=filtered' is not known"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(["datasets", name])
        assert stopped.value.code == 2
        assert message in capsys.readouterr().err
    assert "job-scheduling" in DATASETS


def test_a_report_says_what_is_measured():
    scale = names.scale("job-scheduling?loss=filtered", [])
    assert (scale.factor, scale.label) == (100.0, "agreement with the teacher, %")
    assert names.constant_of("tool-calls", "mean target") == "most frequent"
    assert names.constant_of("bethe-heitler-plain", "mean target") == "mean target"
