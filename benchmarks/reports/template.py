"""Pages from templates."""

from __future__ import annotations

import jinja2
from markupsafe import Markup


def rendered(name: str, **content: object) -> str:
    """The page of a template of this folder."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__ or "", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    environment.globals["kind"] = _kind
    return environment.get_template(name).render(**content)


def _kind(cell: str) -> Markup:
    """How a cell of a table is laid out."""
    kinds = ["word"] if cell[:1].isalpha() and cell != "n/a" else []
    kinds += ["wide"] if len(cell) > 50 else []
    return Markup(f' class="{" ".join(kinds)}"' if kinds else "")
