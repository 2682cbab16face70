"""The programs of examples/: each with its code, what it prints and what its roll-outs did, run as its docstring says.

Directive: ``{example} NAME``. Output and picture are kept beside the doctrees until the program or the library changes.
"""

from __future__ import annotations

import ast
import base64
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
OBSERVED = Path(__file__).with_name("observed.py")
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
    place = next(n for n, one in enumerate(rest) if one.startswith("examples/"))
    rest.insert(place, str(OBSERVED))
    return [*starts[first], *(paths.get(one, one) for one in rest)]


def kept(app: Sphinx, path: Path) -> Path:
    """The file in which the outcome of a program is kept."""
    return Path(app.doctreedir) / "examples" / f"{path.stem}.json"


def renew(path: Path, store: Path) -> None:
    """Runs the program unless its outcome is kept: ``output``, what it prints, and ``picture``, an SVG, empty
    of a program without roll-outs.

    Raises:
        ExtensionError: if it does not end well.
    """
    sources = (path, Path(__file__), OBSERVED, *sorted((ROOT / "pgrad").rglob("*.py")))
    digest = hashlib.sha256(b"".join(one.read_bytes() for one in sources)).hexdigest()
    if store.exists() and json.loads(store.read_text(encoding="utf-8"))["digest"] == digest:
        return
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "picture.svg"
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        done = subprocess.run(
            words(command(path), str(Path(folder) / "run")),
            cwd=folder,
            env={**environment, "PICTURE": str(picture)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ExtensionError(f"{path} ended with status {done.returncode}:\n{done.stdout}\n{done.stderr}")
        drawn = picture.read_text(encoding="utf-8") if picture.exists() else ""
        found = {"digest": digest, "output": done.stdout, "picture": drawn}
    store.parent.mkdir(parents=True, exist_ok=True)
    store.write_text(json.dumps(found), encoding="utf-8")


def renew_all(app: Sphinx) -> None:
    """Runs the programs, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda path: renew(path, kept(app, path)), sorted(EXAMPLES.glob("*.py"))))


class Example(SphinxDirective):
    """The docstring, the code and the output of a program."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Parses them as a part of the page."""
        path = EXAMPLES / self.arguments[0]
        self.env.note_dependency(str(path))
        store = kept(self.env.app, path)
        self.env.note_dependency(str(store))
        found = json.loads(store.read_text(encoding="utf-8"))
        line = command(path)
        about = docstring(path).split("\n\n")[0]
        ends = next(node.end_lineno for node in ast.parse(path.read_text(encoding="utf-8")).body)
        code = "\n".join(path.read_text(encoding="utf-8").splitlines()[ends or 0 :]).strip()
        output = found["output"].rstrip()
        printed = ["It prints:", "", "```text", output, "```", ""] if output else []
        start = [about.replace("\n", " "), "", "```sh", line, "```", ""]
        text = "\n".join([*start, *printed, f"`examples/{path.name}`:", "", "```python", code, "```"])
        if not found["picture"]:
            return self.parse_text_to_nodes(text)
        source = base64.b64encode(found["picture"].encode()).decode()
        alternative = f"shares of components and angle with the displacement in examples/{path.name}"
        picture = f'<img class="rollouts" alt="{alternative}" src="data:image/svg+xml;base64,{source}">'
        return [*self.parse_text_to_nodes(text), nodes.raw("", picture, format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the directive."""
    app.connect("builder-inited", renew_all)
    app.add_directive("example", Example)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
