"""constraints.txt pins every requirement of every extra, on every Python, and names no place to get it from."""

import configparser
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LINES = [
    line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if not line.startswith("#")
]


def _declared() -> dict[str, list[Requirement]]:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    texts = {"": setup["options"]["install_requires"], **setup["options.extras_require"]}
    return {extra: [Requirement(line) for line in text.split("\n") if line] for extra, text in texts.items()}


def _applies(requirement: Requirement, python: str) -> bool:
    """Whether it holds on Linux with this Python."""
    where = {"python_version": python, "python_full_version": f"{python}.9", "implementation_version": f"{python}.9"}
    where |= {"sys_platform": "linux", "os_name": "posix", "platform_machine": "x86_64"}
    return requirement.marker is None or requirement.marker.evaluate(where)


def _pins(python: str) -> dict[str, list[str]]:
    """The versions that apply: by package, one each if all is well."""
    found: dict[str, list[str]] = {}
    for requirement in map(Requirement, LINES):
        if _applies(requirement, python):
            (specifier,) = requirement.specifier
            found.setdefault(canonicalize_name(requirement.name), []).append(specifier.version)
    return found


def test_every_line_is_an_exact_version_of_a_named_package() -> None:
    assert LINES
    assert [line for line in LINES if not re.fullmatch(r"[a-z0-9-]+==[0-9a-z.]+( ; .+)?", line)] == []


def test_no_line_names_a_place() -> None:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert not re.search(r"://|file:| @ |^\s*-", text, re.MULTILINE)


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_pins_every_requirement_of_every_extra(python: str) -> None:
    pins = _pins(python)
    assert {name: versions for name, versions in pins.items() if len(versions) != 1} == {}
    for extra, requirements in _declared().items():
        for requirement in requirements:
            if requirement.name == "pgrad":
                assert requirement.extras <= _declared().keys(), f"[{extra}] names an extra that does not exist"
                continue
            if not _applies(requirement, python):
                continue
            (version,) = pins.get(canonicalize_name(requirement.name), ["none"])
            assert requirement.specifier.contains(version), f"[{extra}] {requirement}, pinned: {version}"


def test_torch_and_torchvision_are_pinned_for_every_python_together() -> None:
    for python in ("3.10", "3.11", "3.12", "3.13"):
        assert {"torch", "torchvision"} <= _pins(python).keys()


def test_all_is_every_other_extra() -> None:
    extras = _declared()
    (everything,) = extras.pop("all")
    assert everything.extras == extras.keys() - {""}
