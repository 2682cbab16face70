"""Tests against the real DomainBed run wherever a checkout is given, and say loudly where it is not."""

import importlib.util
import os
import warnings
from pathlib import Path

import pytest

from domainbed_ext import checkout
from domainbed_ext.errors import Refusal

ROOT = Path(__file__).parents[2]
NOT_RUN = {
    "DOMAINBED": f"set DOMAINBED to a checkout of facebookresearch/DomainBed at {checkout.TESTED_COMMIT}",
    "PGRAD_AUTHORS": "set PGRAD_AUTHORS to a checkout of QData/PGrad, the code released with arXiv:2305.01134",
}
_skipped: set[str] = set()


def _skip(name: str) -> None:
    _skipped.add(name)
    pytest.skip(f"NOT RUN: {NOT_RUN[name]}")


def pytest_terminal_summary(terminalreporter) -> None:
    for name in sorted(_skipped):
        terminalreporter.write_line(f"DomainBed integration NOT RUN: {NOT_RUN[name]}", yellow=True, bold=True)


@pytest.fixture(scope="session")
def domainbed() -> Path:
    """The checkout, with our algorithms registered in this process."""
    given = os.environ.get(checkout.ENVIRONMENT_VARIABLE)
    try:
        checkout.find()
    except Refusal:
        if given:
            raise
        _skip("DOMAINBED")
    from domainbed_ext import register

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of the libraries that DomainBed imports
        root = register()
        importlib.import_module("domainbed.datasets")
    return root


@pytest.fixture(scope="session")
def authors(domainbed):
    """The authors' released algorithms.py as a module, on the networks of DomainBed."""
    if not os.environ.get("PGRAD_AUTHORS"):
        _skip("PGRAD_AUTHORS")
    path = Path(os.environ["PGRAD_AUTHORS"]) / "domainbed" / "algorithms.py"
    spec = importlib.util.spec_from_file_location("authors_algorithms", path)
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spec.loader.exec_module(module)
    return module


@pytest.fixture
def command(domainbed, monkeypatch, tmp_path):
    """`python -m domainbed_ext`, in this process and an empty folder; its children find everything."""
    import signal

    from domainbed_ext.__main__ import main

    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setenv("DOMAINBED", str(domainbed))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    yield lambda *argv: main([str(a) for a in argv])
    signal.signal(signal.SIGTERM, handler)
