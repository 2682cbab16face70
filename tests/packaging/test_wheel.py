"""What a user installs: the wheel, built from the source distribution and installed away from the checkout."""

import configparser
import email
import json
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from email.message import Message
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tools import release

ROOT = Path(__file__).parents[2]
OURS = {"tests", "benchmarks", "domainbed_ext", "docs"}
# One worker builds the wheel once for all of these.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheel")]

TRAINING = """
import json, sys
import torch, pgrad

torch.manual_seed(0)
model = torch.nn.Linear(3, 1)
solution = torch.tensor([[1.0], [-2.0], [0.5]])
domains = [torch.randn(16, 3) + shift for shift in (-1.0, 0.0, 1.0)]

def loss(domain):
    return (model(domain) - domain @ solution).square().mean()

def total():
    with torch.no_grad():
        return sum(loss(domain).item() for domain in domains)

before = total()
opt = pgrad.PGrad(model.parameters(), lr=0.05, rollout_length=3, outer_lr=0.5)
for step in range(30 * 3):
    opt.zero_grad()
    loss(domains[step % 3]).backward()
    opt.step()
print(json.dumps({"file": pgrad.__file__, "path": sys.path, "before": before, "after": total()}))
"""


def _run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _left_out(folder: str, names: list[str]) -> set[str]:
    """What git ignores: outputs at the top, caches everywhere."""
    outputs = {"build", "data", "dist", "results", "runs"} if Path(folder) == ROOT else set()
    return outputs | shutil.ignore_patterns(".*", "__pycache__", "*.egg-info")(folder, names)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout, so that nothing an earlier build left there finds its way in."""
    folder = tmp_path_factory.mktemp("source") / "pgrad"
    shutil.copytree(ROOT, folder, ignore=_left_out)
    return folder


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution, and the wheel that was built from it."""
    before = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    (source.parent / "files.json").write_text(json.dumps(sorted(before)), encoding="utf-8")
    output = tmp_path_factory.mktemp("dist")
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", output, source, cwd=output)
    return output


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def sdist(built: Path) -> Path:
    (found,) = built.glob("*.tar.gz")
    return found


@pytest.fixture(scope="module")
def contents(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_string(archive.read(name).decode("utf-8"))


def test_holds_every_module_and_the_type_marker(contents: set[str]) -> None:
    package = ROOT / "pgrad"
    modules = {path.relative_to(ROOT).as_posix() for path in package.rglob("*.py")}
    assert modules
    assert {name for name in contents if name.startswith("pgrad/")} == modules | {"pgrad/py.typed"}


def test_holds_nothing_but_the_library_and_the_command_that_finds_a_checkout(contents: set[str]) -> None:
    tops = {name.split("/")[0] for name in contents}
    assert not tops & OURS
    assert {top.split("-")[0] for top in tops} == {"pgrad", "pgrad_bench.py"}
    assert any(name.endswith("LICENSE") for name in contents)


def test_metadata_is_that_of_setup_cfg(metadata: Message) -> None:
    declared = configparser.ConfigParser()
    declared.read(ROOT / "setup.cfg")
    assert metadata["Name"] == "pgrad"
    assert metadata["Version"] == declared["metadata"]["version"]
    assert metadata["Requires-Python"] == ">=3.10"
    assert (metadata["License-Expression"] or metadata["License"]) == "MIT"
    assert set(metadata.get_all("Provides-Extra")) == set(declared["options.extras_require"])
    readme = ROOT / "README.md"
    assert not readme.exists() or metadata.get_payload().strip() == readme.read_text(encoding="utf-8").strip()


def test_requires_torch_only(metadata: Message) -> None:
    requirements = [Requirement(line) for line in metadata.get_all("Requires-Dist")]
    always = {requirement.name for requirement in requirements if requirement.marker is None}
    assert always == {"torch"}
    assert all("extra ==" in str(requirement.marker) for requirement in requirements if requirement.marker)


def test_the_source_distribution_is_the_checkout(sdist: Path, source: Path) -> None:
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    there = set(json.loads((source.parent / "files.json").read_text(encoding="utf-8")))
    notebooks = {name for name in there if name.startswith("docs/tutorials/notebooks/")}
    assert there - notebooks - held == set()
    assert not held & notebooks
    assert {"Makefile", "tests/conftest.py", "docs/conf.py", "benchmarks/__main__.py", "examples/plain.py"} <= held


def test_the_usual_linters_are_content(sdist: Path, wheel: Path) -> None:
    _run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel, cwd=wheel.parent)
    _run(sys.executable, "-m", "check_wheel_contents", "--ignore", release.BESIDE, wheel, cwd=wheel.parent)


def test_trains_where_no_checkout_is(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    venv.create(environment)
    python = environment / "bin" / "python"
    constraints = ROOT / "constraints.txt"
    install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python, "-c", constraints, wheel]
    _run(*install, cwd=tmp_path)
    # Warnings are errors, except torch's own that numpy is not there.
    warnings = ("-W", "error", "-W", "ignore:Failed to initialize NumPy")
    # Isolated: neither the working directory nor PYTHONPATH is on the path.
    found = json.loads(_run(python, "-I", *warnings, "-c", TRAINING, cwd=tmp_path))
    assert Path(found["file"]).is_relative_to(environment.resolve())
    assert not any(Path(entry).is_relative_to(ROOT) for entry in found["path"] if entry)
    assert found["after"] < 0.1 * found["before"]
    # The laboratory's command is there, and says what it lacks; in a checkout it would run what lies there.
    done = subprocess.run(
        [environment / "bin" / "pgrad-bench"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "runs from a checkout" in done.stderr
