"""`import pgrad` costs what its requirements cost, and imports run one way."""

import json
import re
import subprocess
import sys
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]

NEW_MODULES = """
import json, sys
import {first}
before = set(sys.modules)
import pgrad
print(json.dumps(sorted({{name.partition(".")[0] for name in set(sys.modules) - before}})))
"""


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _imported(first: str = "sys") -> set[str]:
    """Top-level third-party modules that ``import pgrad`` adds to those that importing `first` brings."""
    command = [sys.executable, "-c", NEW_MODULES.format(first=first)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout)) - set(sys.stdlib_module_names)


def test_importing_the_library_adds_nothing_to_its_requirements() -> None:
    assert _imported("torch, numpy, scipy") <= {"pgrad", "torch", "numpy", "scipy"}


def test_what_is_imported_is_installed_with_the_library() -> None:
    # Distributions that an installation of pgrad without extras brings.
    closure: set[str] = set()
    waiting = ["pgrad"]
    while waiting:
        name = _normal(waiting.pop())
        if name not in closure:
            closure.add(name)
            needed = map(Requirement, requires(name) or ())
            waiting += [r.name for r in needed if r.marker is None or r.marker.evaluate({"extra": ""})]
    owners = {module: {_normal(name) for name in names} for module, names in packages_distributions().items()}
    # torch takes up some libraries when it finds them; those are not the library's doing.
    ours = _imported() - _imported_by_torch()
    assert "pgrad" in ours
    assert {module for module in ours - {"pgrad"} if not owners.get(module, set()) & closure} == set()


def _imported_by_torch() -> set[str]:
    code = "import json, sys, torch, torch.optim; print(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def _contracts(root: Path) -> subprocess.CompletedProcess[str]:
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", code, "--no-cache", "--config", str(ROOT / "setup.cfg")]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


@pytest.fixture
def skeleton(tmp_path: Path) -> Path:
    """A library with the real modules' names and no imports, beside a benchmark."""
    package = tmp_path / "pgrad"
    for folder in ("analysis", "integrations"):
        (package / folder).mkdir(parents=True)
        (package / folder / "__init__.py").touch()
    for path in (ROOT / "pgrad").glob("*.py"):
        (package / path.name).touch()
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "__init__.py").touch()
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
