"""`import pgrad` costs what torch costs, and imports run one way."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

NEW_MODULES = """
import json, sys
import torch
before = set(sys.modules)
import pgrad
print(json.dumps(sorted(set(sys.modules) - before)))
"""
LAZY = ("pgrad.analysis", "pgrad.averaging", "pgrad.integrations", "pgrad.testing")


@pytest.mark.slow
def test_importing_the_library_loads_itself_and_small_modules_of_the_standard_library() -> None:
    """Beside torch as `import torch` leaves it: no other package, no further part of torch, nothing that is lazy."""
    command = [sys.executable, "-W", "error", "-c", NEW_MODULES]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    new = json.loads(done.stdout)
    assert {"pgrad", "pgrad.optimizer", "pgrad.data"} <= set(new)
    assert {name for name in new if name.partition(".")[0] not in {"pgrad", *sys.stdlib_module_names}} == set()
    assert [name for name in new if name.startswith(LAZY)] == []


def _contracts(root: Path) -> subprocess.CompletedProcess[str]:
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", code, "--no-cache", "--config", str(ROOT / "setup.cfg")]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


@pytest.fixture
def skeleton(tmp_path: Path) -> Path:
    """The house with the real modules' names and no imports."""
    for package in ("pgrad", "benchmarks", "domainbed_ext"):
        for path in (ROOT / package).rglob("*.py"):
            copy = tmp_path / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.touch()
    return tmp_path


def test_import_contracts_accept_what_the_house_allows(skeleton: Path) -> None:
    allowed = {
        "pgrad/optimizer.py": "import pgrad._engine.trajectory, pgrad.principal",
        "pgrad/integrations/timm.py": "import pgrad.optimizer, timm, numpy",
        "benchmarks/commands/report.py": "import benchmarks.studies.quick, benchmarks.base.errors",
        "benchmarks/datasets/bethe_heitler.py": "import benchmarks.physics.kinematics",
    }
    for path, line in allowed.items():
        (skeleton / path).write_text(f"{line}\n")
    done = _contracts(skeleton)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("pgrad.principal", "pgrad._engine.trajectory"),
        ("pgrad.principal", "pgrad.reference"),
        ("pgrad.principal", "numpy"),
        ("pgrad.reference", "pgrad.principal"),
        ("pgrad._engine.checkpoint", "pgrad.optimizer"),
        ("pgrad._engine.buffers", "pgrad._engine.trajectory"),
        ("pgrad.data.domains", "pgrad.integrations"),
        ("pgrad.averaging", "pgrad.optimizer"),
        ("pgrad.optimizer", "benchmarks"),
        ("pgrad.integrations.timm", "benchmarks"),
        ("benchmarks.base.records", "benchmarks.runs.config"),
        ("benchmarks.models.build", "benchmarks.runs.config"),
        ("benchmarks.datasets.digits", "benchmarks.models.small"),
        ("benchmarks.runs.runner", "benchmarks.sweeps.store.store"),
        ("benchmarks.sweeps.worker", "benchmarks.reports.page"),
        ("benchmarks.studies.quick.tables", "benchmarks.commands.data"),
        ("benchmarks.runs.runner", "domainbed_ext.train"),
    ],
)
def test_import_contracts_catch(skeleton: Path, module: str, imported: str) -> None:
    skeleton.joinpath(*module.split(".")).with_suffix(".py").write_text(f"def f():\n    import {imported}\n")
    done = _contracts(skeleton)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(rf"{re.escape(module)} -> {re.escape(imported)}", done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("package", ["benchmarks.studies.wilds", "pgrad.data", "benchmarks.models"])
def test_import_contracts_catch_circles(skeleton: Path, package: str) -> None:
    folder = skeleton.joinpath(*package.split("."))
    one, other = sorted(path.stem for path in folder.glob("[a-z]*.py"))[:2]
    (folder / f"{one}.py").write_text(f"import {package}.{other}\n")
    (folder / f"{other}.py").write_text(f"import {package}.{one}\n")
    done = _contracts(skeleton)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"No cycles are allowed in {package}" in done.stdout
