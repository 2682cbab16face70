"""Builds a release and checks it: `make release`; with TAG=yes the commit is tagged as this version too.

Without a tag nothing outside `dist/` changes, so that it can be rehearsed at any time. Nothing is uploaded: the last
line says how.
"""

from __future__ import annotations

import argparse
import configparser
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
PLACES = {
    "pgrad/__init__.py": r'^__version__ = "(.+)"$',
    "CITATION.cff": r"^version: (.+)$",
    "conda/recipe.yaml": r'^  version: "(.+)"$',
}
"""Files that name the version, and how."""

BESIDE = "W009"
"""Of the wheel's linter: more than one name at the top. The command that finds a checkout stands beside the library."""


class ReleaseError(Exception):
    """Why there can be no release."""


def version(root: Path = ROOT) -> str:
    """That of setup.cfg, if all files agree.

    Raises:
        ReleaseError: if one does not, or the changelog has no entry.
    """
    setup = configparser.ConfigParser()
    setup.read(root / "setup.cfg", encoding="utf-8")
    number = setup["metadata"]["version"]
    for name, pattern in PLACES.items():
        found = re.search(pattern, (root / name).read_text(encoding="utf-8"), re.MULTILINE)
        if found is None or found[1] != number:
            raise ReleaseError(f"{name} names version {found and found[1]}, and setup.cfg {number}: make them one")
    changes = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    if not re.search(rf"^## {re.escape(number)}\b", changes, re.MULTILINE):
        raise ReleaseError(f"CHANGELOG.md has no heading for {number}: write what has changed")
    return number


def git(*words: str) -> str:
    """What git answers.

    Raises:
        ReleaseError: if it refuses.
    """
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ReleaseError(f"git {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def left_out(sdist: Path, tracked: list[str]) -> list[str]:
    """Files of the checkout that the source distribution lacks."""
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    return sorted(set(tracked) - held)


def build(number: str) -> tuple[Path, Path]:
    """Source distribution and wheel, checked.

    Raises:
        ReleaseError: if something is wrong with them.
    """
    shutil.rmtree(DIST, ignore_errors=True)
    shutil.rmtree(ROOT / "build/lib", ignore_errors=True)  # what an earlier build left would get into the wheel
    run("build", "--outdir", DIST, ROOT)
    sdist, wheel = DIST / f"pgrad-{number}.tar.gz", DIST / f"pgrad-{number}-py3-none-any.whl"
    missing = left_out(sdist, git("ls-files").splitlines())
    if missing:
        raise ReleaseError(f"{sdist.name} lacks {', '.join(missing[:5])}: name them in MANIFEST.in")
    run("twine", "check", "--strict", sdist, wheel)
    run("check_wheel_contents", "--ignore", BESIDE, wheel)
    return sdist, wheel


def run(module: str, *words: str | Path) -> None:
    """A tool of this environment.

    Raises:
        ReleaseError: if it does not end well.
    """
    print(f"== {module} {' '.join(str(word) for word in words if isinstance(word, str))}".rstrip(), flush=True)
    if subprocess.run([sys.executable, "-m", module, *map(str, words)], cwd=ROOT, check=False).returncode:
        raise ReleaseError(f"{module} is not content, see above")


def main(words: list[str]) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="make release", description=__doc__, allow_abbrev=False)
    parser.add_argument("--tag", action="store_true", help="tag the commit; it must be clean")
    tag = parser.parse_args(words).tag
    try:
        number = version()
        changed = git("status", "--porcelain").strip()
        if tag and changed:
            raise ReleaseError(f"only what is committed can be tagged, and this is not:\n{changed}")
        if tag and git("tag", "--list", f"v{number}").strip():
            raise ReleaseError(f"v{number} is tagged already: raise the version in setup.cfg and {', '.join(PLACES)}")
        sdist, wheel = build(number)
        if tag:
            git("tag", "--annotate", f"v{number}", "--message", f"pgrad {number}")
    except ReleaseError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"pgrad {number}: dist/{sdist.name} and dist/{wheel.name} are good")
    if tag:
        print(f"tagged v{number}; now: git push origin v{number} && python -m twine upload dist/*")
    else:
        state = ", with changes that are not committed" if changed else ""
        print(f"a rehearsal{state}; `make release TAG=yes` tags v{number}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
