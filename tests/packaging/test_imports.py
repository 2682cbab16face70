"""`import pgrad` costs what its requirements cost, and imports run one way."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

NEW_MODULES = """
import json, sys
import torch, numpy, scipy
before = set(sys.modules)
import pgrad
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
"""


def test_importing_the_library_brings_nothing_beyond_its_requirements() -> None:
    done = subprocess.run([sys.executable, "-c", NEW_MODULES], cwd=ROOT, capture_output=True, text=True, check=True)
    new = set(json.loads(done.stdout))
    assert "pgrad" in new
    assert new - set(sys.stdlib_module_names) <= {"pgrad", "torch", "numpy", "scipy"}


def _contracts(root: Path) -> subprocess.CompletedProcess[str]:
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", code, "--no-cache", "--config", str(ROOT / "setup.cfg")]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


@pytest.fixture
def skeleton(tmp_path: Path) -> Path:
    """A library with the real modules' names and no imports, beside a benchmark and the DomainBed extension."""
    package = tmp_path / "pgrad"
    for folder in ("analysis", "integrations"):
        (package / folder).mkdir(parents=True)
        (package / folder / "__init__.py").touch()
    for path in (ROOT / "pgrad").glob("*.py"):
        (package / path.name).touch()
    for name in ("benchmarks", "domainbed_ext"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    return tmp_path


def test_import_contracts_accept_what_the_house_allows(skeleton: Path) -> None:
    (skeleton / "pgrad" / "optimizer.py").write_text("import pgrad.rollout, pgrad.principal\n")
    (skeleton / "pgrad" / "analysis" / "__init__.py").write_text("import pgrad.optimizer, pgrad.reference, scipy\n")
    (skeleton / "pgrad" / "integrations" / "__init__.py").write_text("import pgrad.optimizer, timm\n")
    done = _contracts(skeleton)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("principal", "pgrad.rollout"),
        ("principal", "pgrad.reference"),
        ("principal", "numpy"),
        ("reference", "pgrad.principal"),
        ("rollout", "pgrad.optimizer"),
        ("data", "pgrad.integrations"),
        ("optimizer", "pgrad.analysis"),
        ("optimizer", "benchmarks"),
        ("analysis.__init__", "pgrad.integrations"),
        ("integrations.__init__", "benchmarks"),
    ],
)
def test_import_contracts_catch(skeleton: Path, module: str, imported: str) -> None:
    skeleton.joinpath("pgrad", *module.split(".")).with_suffix(".py").write_text(f"def f():\n    import {imported}\n")
    done = _contracts(skeleton)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(rf"pgrad\.{module.partition('.')[0]} -> {re.escape(imported)}", done.stdout)
