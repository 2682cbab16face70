"""What docs/models.md shows is a sweep, and its tables have the words that there are."""

import re

import pytest
import yaml

from benchmarks.models import MODELS
from benchmarks.models.settings import BATCH_NORM, FROZEN, FULL
from benchmarks.models.small import cnn
from benchmarks.models.weights import NONE, PACKAGE, TIMM
from benchmarks.runs import plugins
from benchmarks.sweeps.files import validated
from tests.benchmarks.toy_sweeps import ROOT

PAGE = (ROOT / "docs/models.md").read_text(encoding="utf-8")


def words(heading):
    """The first column of the table with this heading."""
    table = PAGE[PAGE.index(f"| `{heading}` |") :].partition("\n\n")[0]
    return [re.match(r"\| `?([^`|]*?)`? \|", line)[1] for line in table.splitlines()[2:]]


@pytest.mark.parametrize("text", re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL))
def test_sweeps(text):
    runs = validated(yaml.safe_load(text)).runs()
    assert {run.algorithm for run in runs} == {"erm", "pgrad", "reptile"}


def test_tables():
    own = [name for name in MODELS if not plugins.sources("", "", name)]  # other tests register some
    assert words("model") == [*own, "timm:NAME"]
    assert words("weights") == [NONE, PACKAGE, TIMM, "a path"]
    assert words("tuning") == [FULL, "last-K", FROZEN]
    assert words("batch_norm") == list(BATCH_NORM)


def test_the_size_of_the_cnn():
    count = sum(parameter.numel() for parameter in cnn((1, 28, 28), 10, 64).parameters())
    assert f"{count:,} parameters for 10 classes in grey" in PAGE
