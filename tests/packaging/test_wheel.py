"""What a user installs: the wheel, built from the source distribution and installed away from the checkout."""

import configparser
import email
import json
import shutil
import subprocess
import sys
import venv
import zipfile
from email.message import Message
from pathlib import Path

import pytest
from packaging.requirements import Requirement

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
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the checkout, so that nothing an earlier build left there finds its way in."""
    source, output = tmp_path_factory.mktemp("source") / "pgrad", tmp_path_factory.mktemp("dist")
    shutil.copytree(ROOT, source, ignore=_left_out)
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", output, source, cwd=output)
    (built,) = output.glob("*.whl")
    return built


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
