"""What a value of a sweep file must be, in the words of its user and not in those of the library that checks it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_WHOLE, _NUMBER = "a whole number", "a number"
_LIST, _MAPPING, _TEXT = "a list", "a mapping from names to values", "a text"

_KINDS = {
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "int_parsing_size": "a smaller whole number",
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "a finite number",
    "string_type": _TEXT,
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": _LIST,
    "list_type": _LIST,
    "dict_type": _MAPPING,
    "mapping_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "dataclass_type": _MAPPING,
    "union_tag_not_found": "a mapping with a kind",
    "none_required": "nothing",
}
"""Kind of a complaint of pydantic -> what the value must be."""

_BOUNDS = {
    "greater_than": ("gt", "greater than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}

_PLACES = {"seeds": "a whole number n from 1 on (the seeds 0 .. n - 1) or a list of different whole numbers"}
"""Key -> what its value must be, where that is no single kind."""


def wanted(problem: Mapping[str, Any], key: str) -> str:
    """What must be there instead: "must be ...", without the value found.

    Args:
        problem: One of pydantic's errors.
        key: The path of names to the value, joined by dots.

    Example:
        >>> wanted({"type": "int_from_float"}, "points"), wanted({"type": "greater_than_equal", "ctx": {"ge": 1}}, "x")
        ('must be a whole number', 'must be at least 1')
    """
    kind, context = problem["type"], problem.get("ctx", {})
    if key in _PLACES:
        return f"must be {_PLACES[key]}"
    if kind in _KINDS:
        return f"must be {_KINDS[kind]}"
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"must be {words} {context[name]:g}"
    if kind == "literal_error":
        return f"must be {context['expected']}"
    if kind in ("too_short", "string_too_short"):
        return f"must have {context.get('min_length', 1)} at least"
    if kind in ("too_long", "string_too_long"):
        return f"must have {context['max_length']} at most"
    return f"is not allowed here ({kind.replace('_', ' ')})"
