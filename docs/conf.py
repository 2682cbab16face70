"""The site: `make docs`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "_ext")]
# Notebooks and examples are run by processes of their own, which have to find this checkout too.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))

from sources import linkcode_resolve  # noqa: E402, F401  Sphinx looks for it here

import pgrad  # noqa: E402  the path comes first

project = "pgrad"
author = "pgrad authors"
copyright = author  # noqa: A001  Sphinx wants this name
version = release = pgrad.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.linkcode",
    "sphinx.ext.napoleon",
    "docstrings",
    "gallery",
    "laboratory",
    "mathml",
    "notebooks",
]
templates_path: list[str] = []
exclude_patterns = ["_build", "_ext", "tutorials/notebooks"]
default_role = "py:obj"  # a link where there is such a name, else plain code
nitpicky = False
html_math_renderer = "mathml"

# Pages
myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 4
myst_dmath_allow_labels = False
suppress_warnings: list[str] = []

# Notebooks: run anew at every build, and an error ends it.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 1800  # a busy machine is slow
nb_merge_streams = True

# Docstrings
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True}
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"pgrad {version}"
html_static_path = ["_static"]
html_favicon = "_static/favicon.svg"
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "source_repository": "https://github.com/pgrad/pgrad/",
    "source_branch": "main",
    "source_directory": "docs/",
    "top_of_page_buttons": [],
}


def setup(app):  # noqa: ANN001, ANN201  Sphinx's own signature
    """Tables of `results.md` may be pages of their own, in `results/`: it leads to them, and no list names them."""
    app.connect("source-read", _lead_to_by_their_page)


def _lead_to_by_their_page(_app, name, source):  # noqa: ANN001, ANN202
    if name.startswith("results/") and not source[0].startswith("---"):
        source[0] = f"---\norphan: true\n---\n\n{source[0]}"
