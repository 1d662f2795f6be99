"""Check a value from YAML against the text of a parameter's annotation, and describe both."""

from __future__ import annotations

import ast
from typing import Any

_SEQUENCES = {"list", "tuple", "Sequence", "Iterable", "Collection", "set", "frozenset"}
_SINGULAR = {
    "float": "a number", "int": "an integer", "bool": "true or false", "str": "a string",
    "Path": "a path", "None": "null", "dict": "a mapping, {name: value}",
}  # fmt: skip
_PLURAL = {"float": "numbers", "int": "integers", "str": "strings", "Path": "paths"}


def format_value(value: Any) -> str:
    """Return a value as you would type it in an override."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def describe_annotation(annotation: str | None) -> str:
    """Describe the values that an annotation accepts.

    Returns:
        A phrase such as "a number or null"; the annotation itself where :func:`accepts` does not
        check it.
    """
    return _describe(ast.parse(annotation or "Any", mode="eval").body)


def _describe(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return describe_annotation(node.value)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return f"{_describe(node.left)} or {_describe(node.right)}"
    name = ast.unparse(node).partition("[")[0].rpartition(".")[2]
    inner = ast.unparse(node.slice) if isinstance(node, ast.Subscript) else ""
    if name in _SEQUENCES and inner in _PLURAL:
        return f"a list of {_PLURAL[inner]}"
    return _SINGULAR.get(name, ast.unparse(node))


def accepts(annotation: str | None, value: Any) -> bool:
    """Whether ``value`` is valid for a parameter with this annotation.

    Checks numbers, strings, booleans, None, unions, literals, mappings and sequences. Any other
    annotation accepts every value: the callable checks it itself.
    """
    if annotation is None:
        return True
    return _matches(ast.parse(annotation, mode="eval").body, value)


def _matches(node: ast.expr, value: Any) -> bool:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _matches(ast.parse(node.value, mode="eval").body, value)  # a quoted annotation
    if isinstance(node, ast.Constant) and node.value is None:
        return value is None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _matches(node.left, value) or _matches(node.right, value)
    if isinstance(node, ast.Subscript):
        return _matches_subscript(node, value)
    name = ast.unparse(node).rpartition(".")[2]
    if name in _SEQUENCES:
        return isinstance(value, list | tuple)
    return _matches_name(name, value)


def _matches_name(name: str, value: Any) -> bool:
    if name == "float":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if name == "int":
        return isinstance(value, int) and not isinstance(value, bool)
    if name == "bool":
        return isinstance(value, bool)
    if name in ("str", "Path"):
        return isinstance(value, str)
    return True


def _matches_subscript(node: ast.Subscript, value: Any) -> bool:
    name = ast.unparse(node.value).rpartition(".")[2]
    inner = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
    if name == "Optional":
        return value is None or _matches(inner[0], value)
    if name == "Union":
        return any(_matches(choice, value) for choice in inner)
    if name == "Literal":
        return any(isinstance(c, ast.Constant) and c.value == value for c in inner)
    if name in ("dict", "Mapping"):
        return isinstance(value, dict)
    if name not in _SEQUENCES:
        return True
    if not isinstance(value, list | tuple):
        return False
    has_fixed_length = name == "tuple" and not (
        len(inner) == 2 and isinstance(inner[1], ast.Constant) and inner[1].value is Ellipsis
    )
    if has_fixed_length:
        return len(value) == len(inner) and all(map(_matches, inner, value))
    return all(_matches(inner[0], item) for item in value)
