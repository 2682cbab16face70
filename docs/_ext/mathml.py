"""Mathematics as MathML, by docutils' own converter: no script, and nothing fetched from anywhere else.

Browsers place scripts by a table of the font that few fonts have. So one that has it, STIX Two Math as ziamath brings
it, comes with the site, for systems without one of their own.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from fontTools.ttLib import TTFont
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError


def _mathml(node: nodes.Node, *, block: bool) -> str:
    try:
        return tex2mathml(node.astext(), as_block=block)
    except MathError as error:
        raise ExtensionError(f"{node.source}:{node.line}: no MathML for {node.astext()!r}: {error}") from error


def _inline(self: Any, node: nodes.Node) -> None:
    self.body.append(_mathml(node, block=False))
    raise nodes.SkipNode


def _display(self: Any, node: nodes.Node) -> None:
    self.body.append(f'<div class="math-block">{_mathml(node, block=True)}</div>')
    raise nodes.SkipNode


def _font(app: Sphinx, error: Exception | None) -> None:
    """Writes `_static/formulas.woff`, which `site.css` names: the whole font, compressed."""
    if error is None and app.builder.format == "html":
        with resources.as_file(resources.files("ziamath") / "fonts" / "STIXTwoMath-Regular.ttf") as path:
            font = TTFont(path, recalcTimestamp=False)
            font.flavor = "woff"
            font.save(Path(app.outdir) / "_static" / "formulas.woff")


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the renderer ``mathml``."""
    app.connect("build-finished", _font)
    app.add_html_math_renderer("mathml", (_inline, None), (_display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
