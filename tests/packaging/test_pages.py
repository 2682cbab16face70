"""The pages at the top say what is there: one version everywhere, and files and targets that exist."""

import configparser
import re
from pathlib import Path

import pytest

import pgrad

ROOT = Path(__file__).parents[2]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_there_is_one_version() -> None:
    declared = configparser.ConfigParser()
    declared.read(ROOT / "setup.cfg")
    version = declared["metadata"]["version"]
    assert pgrad.__version__ == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(version)}\b", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`([a-z_]+/[\w/.]*)`", CONTRIBUTING))))
def test_contributing_names_files_that_exist(path: str) -> None:
    assert (ROOT / path).exists()


def test_contributing_names_targets_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"`make ([a-z-]+)", CONTRIBUTING))
    assert {"quick-test", "test"} <= targets
    assert targets <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
