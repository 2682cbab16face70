"""The programs of examples/: each with its code and with what it prints, run as its docstring says.

Directive: ``{example} NAME``. An output is kept beside the doctrees until the program or the library changes.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
GIVEN = {"STEPS": "40", "[SEEDS]": "1"}
"""What stands in the place of what a program asks for; its FOLDER is a new one."""


def docstring(path: Path) -> str:
    """What a program says of itself.

    Raises:
        ExtensionError: if it says nothing.
    """
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    if not text:
        raise ExtensionError(f"{path} has no docstring, and the gallery shows it")
    return text


def command(path: Path) -> str:
    """The line of the docstring that starts the program, with what it asks for.

    Raises:
        ExtensionError: if there is none.
    """
    found = re.search(rf"^ *((?:python|torchrun) .*examples/{path.name}.*)$", docstring(path), re.MULTILINE)
    if found is None:
        raise ExtensionError(f"the docstring of {path} has no line `python examples/{path.name}` that starts it")
    line = found[1].strip()
    for asked, given in GIVEN.items():
        line = line.replace(asked, given)
    return line


def words(line: str, folder: str) -> list[str]:
    """The command line as this interpreter runs it."""
    starts = {"python": [sys.executable], "torchrun": [sys.executable, "-m", "torch.distributed.run"]}
    first, *rest = line.split()
    paths = {one: str(ROOT / one) for one in rest if one.startswith("examples/")} | {"FOLDER": folder}
    return [*starts[first], *(paths.get(one, one) for one in rest)]


def output(path: Path, kept: Path) -> str:
    """What the program prints.

    Raises:
        ExtensionError: if it does not end well.
    """
    sources = sorted((ROOT / "pgrad").rglob("*.py"))
    digest = hashlib.sha256(b"".join(one.read_bytes() for one in (path, Path(__file__), *sources))).hexdigest()
    store = kept / f"{path.stem}.json"
    if store.exists():
        found = json.loads(store.read_text(encoding="utf-8"))
        if found["digest"] == digest:
            return str(found["output"])
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        done = subprocess.run(
            words(command(path), str(Path(folder) / "run")),
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise ExtensionError(f"{path} ended with status {done.returncode}:\n{done.stdout}\n{done.stderr}")
    kept.mkdir(parents=True, exist_ok=True)
    store.write_text(json.dumps({"digest": digest, "output": done.stdout}), encoding="utf-8")
    return done.stdout


def run_all(app: Sphinx) -> None:
    """Runs the programs, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda path: output(path, Path(app.doctreedir) / "examples"), sorted(EXAMPLES.glob("*.py"))))


class Example(SphinxDirective):
    """The docstring, the code and the output of a program."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Parses them as a part of the page."""
        path = EXAMPLES / self.arguments[0]
        self.env.note_dependency(str(path))
        said = output(path, Path(self.env.app.doctreedir) / "examples").rstrip()
        line = command(path)
        about = docstring(path).split("\n\n")[0]
        ends = next(node.end_lineno for node in ast.parse(path.read_text(encoding="utf-8")).body)
        code = "\n".join(path.read_text(encoding="utf-8").splitlines()[ends or 0 :]).strip()
        text = "\n".join(
            [
                *(about.replace("\n", " "), "", "```sh", line, "```", "", "It prints:", "", "```text", said, "```", ""),
                *(f"`examples/{path.name}`:", "", "```python", code, "```"),
            ]
        )
        return self.parse_text_to_nodes(text)


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the directive."""
    app.connect("builder-inited", run_all)
    app.add_directive("example", Example)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
