"""What a class declares in its body, read from its source without importing it."""

from __future__ import annotations

import ast
from typing import Any

from lmlab.config.signatures import read_definition
from lmlab.config.source_lookup import Definition, NotInSource, find_expression


def class_constant(target: str, name: str) -> Any:
    """Return the literal that the class ``target``, or the first base that does, assigns to a name.

    None where no class assigns one, or source code does not show it.

    Args:
        target: dotted path of a class or function.
        name: of the attribute, such as ``is_stackable``.
    """
    found = read_definition(target)
    return None if found is None else _constant(found, name)


def _constant(found: Definition, name: str) -> Any:
    if not isinstance(found.node, ast.ClassDef):
        return None
    for statement in found.node.body:
        value = _assigned(statement, name)
        if value is not None:
            return ast.literal_eval(value)
    for expression in found.node.bases:
        try:
            base = _constant(find_expression(found.module, expression), name)
        except (LookupError, NotInSource):
            continue
        if base is not None:
            return base
    return None


def _assigned(statement: ast.stmt, name: str) -> ast.expr | None:
    if isinstance(statement, ast.Assign):
        targets, value = statement.targets, statement.value
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        targets, value = [statement.target], statement.value
    else:
        return None
    is_named = any(isinstance(one, ast.Name) and one.id == name for one in targets)
    return value if is_named and isinstance(value, ast.Constant) else None
