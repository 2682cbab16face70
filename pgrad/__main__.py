"""``python -m pgrad``: versions and environment, to be put into a report of a fault."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from pathlib import Path

_OTHERS = (
    "numpy",
    "scipy",
    "lightning",
    "accelerate",
    "transformers",
    "timm",
    "wilds",
    "torchdata",
    "pytorch_optimizer",
)


def about() -> dict[str, str]:
    """What a report of a fault should say, by name."""
    import torch

    import pgrad

    found = {
        "pgrad": f"{pgrad.__version__} in {Path(pgrad.__file__).parent}",
        "python": f"{platform.python_version()} ({platform.python_implementation()}) at {sys.executable}",
        "system": platform.platform(),
        "torch": torch.__version__,
        "threads": str(torch.get_num_threads()),
        "accelerator": _accelerator(),
        "torch.distributed": "available" if torch.distributed.is_available() else "not in this build",
    }
    for name in _OTHERS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _accelerator() -> str:
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
        build = f"HIP {torch.version.hip}" if torch.version.hip else f"CUDA {torch.version.cuda}"
        return f"{', '.join(names)} ({build})"
    if torch.backends.mps.is_available():
        return "MPS"
    return "none"


def main() -> None:
    """Prints it, a line each."""
    found = about()
    width = max(map(len, found))
    sys.stdout.writelines(f"{name:{width}}  {value}\n" for name, value in found.items())


if __name__ == "__main__":
    main()
