"""What `make release` looks at before it builds, and the recipe of the conda package."""

import configparser
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from tools import release

ROOT = Path(__file__).parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ("setup.cfg", "CHANGELOG.md", *release.PLACES):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tmp_path / name)
    return tmp_path


def test_all_files_name_one_version(copy: Path) -> None:
    declared = configparser.ConfigParser()
    declared.read(ROOT / "setup.cfg")
    assert release.version(copy) == declared["metadata"]["version"]


@pytest.mark.parametrize("name", [*release.PLACES, "CHANGELOG.md"])
def test_another_version_in_one_of_them_is_refused_by_name(copy: Path, name: str) -> None:
    path = copy / name
    path.write_text(path.read_text(encoding="utf-8").replace(release.version(copy), "9.9.9"), encoding="utf-8")
    with pytest.raises(release.ReleaseError, match=re.escape(name)):
        release.version(copy)


def test_says_which_files_a_source_distribution_lacks(tmp_path: Path) -> None:
    (tmp_path / "kept.py").touch()
    with tarfile.open(tmp_path / "some.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "kept.py", "pgrad-1/kept.py")
    assert release.left_out(tmp_path / "some.tar.gz", ["kept.py", "lost.py"]) == ["lost.py"]


def test_an_option_that_it_does_not_know_builds_nothing() -> None:
    command = [sys.executable, str(ROOT / "tools/release.py"), "--upload"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--upload" in done.stderr


def test_the_recipe_says_what_setup_cfg_says() -> None:
    declared = configparser.ConfigParser()
    declared.read(ROOT / "setup.cfg")
    recipe = yaml.safe_load((ROOT / "conda/recipe.yaml").read_text(encoding="utf-8"))
    assert recipe["context"]["version"] == declared["metadata"]["version"]
    assert f">={recipe['context']['python_min']}" == declared["options"]["python_requires"]
    needed = [Requirement(line) for line in declared["options"]["install_requires"].split("\n") if line]
    named = {"torch": "pytorch"}
    expected = {f"{named.get(one.name, one.name)} {one.specifier}" for one in needed}
    assert set(recipe["requirements"]["run"]) == expected | {"python >=${{ python_min }}"}
    entry = declared["options.entry_points"]["console_scripts"].strip()
    assert recipe["build"]["python"]["entry_points"] == [entry]
    assert recipe["about"]["license"] == declared["metadata"]["license"]
