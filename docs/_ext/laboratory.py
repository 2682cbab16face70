"""What the laboratory says of itself: its registries as tables, its command line as it prints it.

Directives: ``{algorithms}``, ``{spaces}``, ``{datasets}``, ``{models}`` and ``{commands}``, and ``{messages}`` of the
library.
"""

from __future__ import annotations

import importlib
import io
import os
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from pathlib import Path

from docutils import nodes
from found_messages import FILLED, messages
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

WIDTH = "84"


def said(*words: str) -> str:
    """What the command line prints, as wide as a page.

    Raises:
        RuntimeError: if it refuses.
    """
    from benchmarks.__main__ import app

    printed = io.StringIO()
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = WIDTH
    try:
        with redirect_stdout(printed):
            status = app(list(words), exit_on_error=False, result_action="return_value")
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
    if status:
        raise RuntimeError(f"pgrad-bench {' '.join(words)} ended with status {status}")
    return printed.getvalue().rstrip()


def commands() -> Iterator[tuple[str, ...]]:
    """Every command, those below another one too."""
    from benchmarks.__main__ import app

    for name in app:
        if name.startswith("-"):
            continue
        yield (name,)
        for below in app[name]:
            if not below.startswith("-"):
                yield (name, below)


def row(*cells: str) -> str:
    """A line of a table in Markdown."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    return "\n".join([row(*head), row(*["---"] * len(head)), *(row(*cells) for cells in rows)])


def facts(kind: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Name and facts of every entry of a registry, as `pgrad-bench KIND NAME` shows them."""
    names = importlib.import_module("benchmarks.commands.names")
    registry, of = {
        "algorithms": (names.ALGORITHMS, names._algorithm),
        "datasets": (names.DATASETS, names._dataset),
        "models": (names.MODELS, names._model),
    }[kind]
    for name, entry in registry.items():
        yield name, of(entry)


def algorithms() -> str:
    """A table of what they are."""
    head = ("name", "what it does", "mini-batches", "cost", "control", "source")
    columns = ("description", "batches", "cost", "control", "source")
    return table(head, ((f"`{name}`", *(about[one] for one in columns)) for name, about in facts("algorithms")))


def spaces() -> str:
    """A table of their hyper-parameters."""
    head, columns = ("name", "defaults", "where random search looks"), ("defaults", "search space")
    return table(head, ((f"`{name}`", *(about[one] for one in columns)) for name, about in facts("algorithms")))


def datasets() -> str:
    """A table."""
    head = ("name", "what a domain is", "domains", "metric", "model", "licence", "source")
    columns = ("description", "domains", "metric", "model", "licence", "source")
    return table(head, ((f"`{name}`", *(about[one] for one in columns)) for name, about in facts("datasets")))


def models() -> str:
    """A table."""
    head = ("name", "what it is", "for", "source")
    columns = ("description", "use", "source")
    return table(head, ((f"`{name}`", *(about[one] for one in columns)) for name, about in facts("models")))


def command_line() -> str:
    """Every command under a heading of its own, with its help."""
    parts = []
    for words in commands():
        name = " ".join(words)
        parts += [f"{'##' if len(words) == 1 else '###'} {name}", "", "```text", said(*words, "--help"), "```", ""]
    return "\n".join(parts)


def all_messages() -> str:
    """A table of what the library says, file by file."""
    found = [one for one in messages(Path(__file__).parents[2] / "pgrad") if one.text.strip(f"{FILLED} ")]
    rows = {(one.text, one.error or "part of one", one.file): None for one in found}
    quoted = ((f"`{text.replace('`', chr(39))}`", error, f"`{file}`") for text, error, file in rows)
    return table(("message", "kind", "in"), quoted)


class Generated(SphinxDirective):
    """Puts in the place of the directive what one of the functions above writes."""

    def run(self) -> list[nodes.Node]:
        """Parses it as a part of the page."""
        return self.parse_text_to_nodes(WRITERS[self.name](), allow_section_headings=True)


WRITERS = {
    "algorithms": algorithms,
    "commands": command_line,
    "datasets": datasets,
    "messages": all_messages,
    "models": models,
    "spaces": spaces,
}


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the directives."""
    for name in WRITERS:
        app.add_directive(name, Generated)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
