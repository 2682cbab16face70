"""Finds the DomainBed checkout, judges it by its files, and puts it on the Python path."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from domainbed_ext.errors import Refusal

__all__ = ["ENVIRONMENT_VARIABLE", "TESTED_COMMIT", "commit_of", "find", "use"]

ENVIRONMENT_VARIABLE = "DOMAINBED"
TESTED_COMMIT = "b93c22a"
_HOW = (
    f"git clone https://github.com/facebookresearch/DomainBed && git -C DomainBed checkout {TESTED_COMMIT}\n"
    f"then pass --domainbed DomainBed, or set {ENVIRONMENT_VARIABLE}=DomainBed ({TESTED_COMMIT} is the tested commit)"
)

# Files that are used, each with what must be in its text, and what its absence means.
_NEEDED = {
    "algorithms.py": ("ALGORITHMS = [", "class ERM("),
    "command_launchers.py": ("REGISTRY = {",),
    "datasets.py": ("DATASETS = [", "class MultipleEnvironmentImageFolder("),
    "hparams_registry.py": ("def _hparams(", "'freeze_bn'", "'resnet50_augmix'"),
    "lib/fast_data_loader.py": ("class InfiniteDataLoader",),
    "lib/misc.py": ("def seed_hash(",),
    "lib/reporting.py": ("def load_records(",),
    "networks.py": ("def Featurizer(", "timm.create_model("),
    "scripts/collect_results.py": ("reporting.load_records(",),
    "scripts/sweep.py": ("def make_args_list(", "domainbed.scripts.train"),
    "scripts/train.py": ("InfiniteDataLoader", "results.jsonl"),
}


def find(path: str | Path | None = None) -> Path:
    """Root of the checkout: `path`, else the environment variable DOMAINBED, else what ``import domainbed`` finds.

    Raises:
        Refusal: if there is none, or it is too old or a fork with a PGrad of its own.
    """
    root, source = _locate(path)
    package = root / "domainbed"
    if (root / "algorithms.py").is_file():
        raise Refusal(f"{source} is DomainBed's package; give the folder above it, {root.parent}")
    if not (package / "algorithms.py").is_file():
        raise Refusal(f"{source} holds no DomainBed: there is no {package / 'algorithms.py'}.\n{_HOW}")
    texts = {name: _text(package / name) for name in _NEEDED}
    if "class PGrad(" in texts["algorithms.py"]:
        raise Refusal(f"{source} is a fork of DomainBed with a PGrad of its own, and an old one.\n{_HOW}")
    lacking = [f"{name}: {needed}" for name, words in _NEEDED.items() for needed in words if needed not in texts[name]]
    if lacking:
        raise Refusal(f"{source} is a DomainBed that is too old or unknown; it lacks {'; '.join(lacking)}.\n{_HOW}")
    return root


def use(path: str | Path | None = None) -> Path:
    """`find`, then make ``import domainbed`` import it, here and in child processes. Says so if the commit is another.

    Raises:
        Refusal: as `find`, or if another DomainBed has been imported already.
    """
    root = find(path)
    loaded = sys.modules.get("domainbed")
    if loaded is not None and _package_of(loaded) != (root / "domainbed").resolve():
        raise Refusal(f"domainbed is imported already, from {_package_of(loaded)}, but {root} was asked for")
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    missing = [name for name in ("wilds", "timm", "torchvision", "tqdm") if importlib.util.find_spec(name) is None]
    if missing:
        raise Refusal(f"DomainBed needs {', '.join(missing)}: pip install 'pgrad[domainbed]' brings them")
    found = commit_of(root)
    if found is not None and not found.startswith(TESTED_COMMIT):
        print(f"domainbed_ext: DomainBed is at {found[:7]}; tested is {TESTED_COMMIT}", file=sys.stderr)
    return root


def commit_of(folder: Path) -> str | None:
    """The commit of a git checkout, marked ``-dirty`` if tracked files are changed; None if git cannot tell."""
    git = ["git", "-C", str(folder), "-c", f"safe.directory={folder}"]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        changes = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("-dirty" if changes.stdout.strip() else "")


def _locate(path: str | Path | None) -> tuple[Path, str]:
    if path is not None:
        return Path(path).resolve(), f"--domainbed {path}"
    value = os.environ.get(ENVIRONMENT_VARIABLE)
    if value:
        return Path(value).resolve(), f"{ENVIRONMENT_VARIABLE}={value}"
    spec = importlib.util.find_spec("domainbed")
    if spec is None or not spec.submodule_search_locations:
        raise Refusal(f"no DomainBed is on the Python path.\n{_HOW}")
    root = Path(next(iter(spec.submodule_search_locations))).resolve().parent
    return root, f"domainbed on the Python path, {root},"


def _package_of(module: object) -> Path:
    return Path(str(getattr(module, "__file__", None) or next(iter(module.__path__)))).resolve().parent  # type: ignore[attr-defined]


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
