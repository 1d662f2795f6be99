"""Whether a value from YAML fits a parameter's annotation, judged from the annotation's text.

And how both are told to a person.
"""

from __future__ import annotations

import ast
from typing import Any

_SEQUENCES = {"list", "tuple", "Sequence", "Iterable", "Collection", "set", "frozenset"}
_ONE = {
    "float": "a number", "int": "a whole number", "bool": "true or false", "str": "a text",
    "Path": "a path", "None": "null", "dict": "names with values, {name: value}",
}  # fmt: skip
_SEVERAL = {"float": "numbers", "int": "whole numbers", "str": "texts", "Path": "paths"}


def as_typed(value: Any) -> str:
    """A value as an override would say it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def in_words(annotation: str | None) -> str:
    """What an annotation accepts; itself where it is none of those that :func:`accepts` knows."""
    return _in_words(ast.parse(annotation or "Any", mode="eval").body)


def _in_words(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return in_words(node.value)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return f"{_in_words(node.left)} or {_in_words(node.right)}"
    name = ast.unparse(node).partition("[")[0].rpartition(".")[2]
    inner = ast.unparse(node.slice) if isinstance(node, ast.Subscript) else ""
    if name in _SEQUENCES and inner in _SEVERAL:
        return f"a list of {_SEVERAL[inner]}"
    return _ONE.get(name, ast.unparse(node))


def accepts(annotation: str | None, value: Any) -> bool:
    """Whether ``value`` may be given where ``annotation`` stands.

    Annotations other than plain numbers, strings, None, their unions and sequences accept all:
    the callable itself will judge.
    """
    if annotation is None:
        return True
    return _fits(ast.parse(annotation, mode="eval").body, value)


def _fits(node: ast.expr, value: Any) -> bool:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _fits(ast.parse(node.value, mode="eval").body, value)  # a quoted annotation
    if isinstance(node, ast.Constant) and node.value is None:
        return value is None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _fits(node.left, value) or _fits(node.right, value)
    if isinstance(node, ast.Subscript):
        return _fits_subscript(node, value)
    name = ast.unparse(node).rpartition(".")[2]
    if name in _SEQUENCES:
        return isinstance(value, list | tuple)
    return _fits_name(name, value)


def _fits_name(name: str, value: Any) -> bool:
    if name == "float":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if name == "int":
        return isinstance(value, int) and not isinstance(value, bool)
    if name == "bool":
        return isinstance(value, bool)
    if name in ("str", "Path"):
        return isinstance(value, str)
    return True


def _fits_subscript(node: ast.Subscript, value: Any) -> bool:
    name = ast.unparse(node.value).rpartition(".")[2]
    inner = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
    if name == "Optional":
        return value is None or _fits(inner[0], value)
    if name == "Union":
        return any(_fits(choice, value) for choice in inner)
    if name == "Literal":
        return any(isinstance(c, ast.Constant) and c.value == value for c in inner)
    if name in ("dict", "Mapping"):
        return isinstance(value, dict)
    if name not in _SEQUENCES:
        return True
    if not isinstance(value, list | tuple):
        return False
    fixed = name == "tuple" and not (
        len(inner) == 2 and isinstance(inner[1], ast.Constant) and inner[1].value is Ellipsis
    )
    if fixed:
        return len(value) == len(inner) and all(map(_fits, inner, value))
    return all(_fits(inner[0], item) for item in value)
