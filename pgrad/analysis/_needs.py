"""Libraries that only a part of the analysis needs, imported when that part is used."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["need"]

_IN_THE_EXTRA = {"matplotlib", "numpy", "scipy"}


def need(module: str, what: str) -> Any:
    """The module, or what to install.

    Args:
        module: its full name, such as "scipy.stats".
        what: what needs it, as the subject of a sentence.

    Raises:
        ImportError: if it is not installed.

    Example:
        >>> need("math", "this example").pi > 3
        True
        >>> need("no_such_library", "this example")
        Traceback (most recent call last):
        ImportError: this example needs no_such_library: pip install no_such_library
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        install = "'pgrad[analysis]'" if package in _IN_THE_EXTRA else package
        raise ImportError(f"{what} needs {package}: pip install {install}") from error
