"""pgrad inside an unmodified DomainBed checkout.

From the shell, ``python -m domainbed_ext train|sweep|collect ...`` takes DomainBed's own arguments plus
ours. In Python::

    import domainbed_ext

    domainbed_ext.register("/path/to/DomainBed")
    from domainbed import algorithms  # now with PGrad, PGradReptile, ...

DomainBed itself is neither copied nor changed on disk: the checkout is put on the Python path, and algorithms,
hyper-parameters and a few bridges to current libraries (`compat`) are set from outside.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["register"]


def register(domainbed: str | Path | None = None) -> Path:
    """Make ``import domainbed`` work, with our algorithms in it; see `domainbed_ext.registration`."""
    from domainbed_ext.registration import register

    return register(domainbed)
