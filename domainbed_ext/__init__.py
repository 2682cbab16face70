"""pgrad inside an unmodified DomainBed checkout.

From the shell, ``python -m domainbed_ext train|sweep|collect ...`` takes DomainBed's own arguments plus
ours. In Python::

    import domainbed_ext

    domainbed_ext.register("/path/to/DomainBed")
    from domainbed import algorithms  # now with PGrad, PGradReptile, ...

DomainBed itself is neither copied nor changed on disk: the checkout is put on the Python path, and algorithms,
hyper-parameters and a few bridges to current libraries (`compat`) are set from outside.
"""

from domainbed_ext.register import register

__all__ = ["register"]
