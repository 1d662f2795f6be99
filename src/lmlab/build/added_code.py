"""Classes and functions that were added to a recorded file, where nothing else in it changed.

They change nothing for runs that do not name them: to add a variant to a module of lmlab leaves the
results of all other variants as they are.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence

from lmlab.build.numeric_files import FileRecord, part_of
from lmlab.build.source_hash import meaningful, read_source

IMPORTS = ""  # the name of imports that were added
_DEFINITIONS = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
# Decorators that do nothing but wrap what they decorate.
_DECORATORS = frozenset({"dataclass", "property", "staticmethod", "classmethod", "no_grad",
                         "cache", "lru_cache", "cached_property", "override", "setter",
                         "overload", "abstractmethod", "inference_mode"})  # fmt: skip


def find_additions(recorded: FileRecord, content: bytes) -> dict[str, str] | None:
    """Return the classes and functions that were added to a file; None if anything else changed.

    Imports of new names may be added, too. Nothing that was there may be removed, replaced or
    moved, and no name be bound twice.

    Returns:
        A hash of each, by name; that of the imports under :data:`IMPORTS`.
    """
    tree = read_source(content).tree
    if tree is None:
        return None
    expected = list(recorded.parts)
    added: dict[str, str] = {}
    names: list[str] = []
    new_names: list[str] = []
    for statement in _imports_first(meaningful(tree.body), expected):
        part = part_of(statement)
        bound = _bound_names(statement)
        names += bound
        if expected and part == expected[0]:
            expected.pop(0)
            continue
        if not _is_harmless(statement):
            return None
        new_names += bound
        added[part[0]] = added.get(part[0], "") + part[1]
    is_free = all(
        names.count(name) == 1 and not hasattr(builtins, name) and not name.startswith("__")
        for name in new_names
    )
    return added if is_free and not expected and "*" not in names else None


def _imports_first(
    statements: Sequence[ast.stmt], expected: Sequence[tuple[str, str]]
) -> Iterator[ast.stmt]:
    """Yield statements in order, but of neighbouring imports first those that are expected."""
    known = {digest for _, digest in expected}
    block: list[ast.stmt] = []
    for statement in [*statements, None]:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            block.append(statement)
            continue
        yield from sorted(block, key=lambda one: part_of(one)[1] not in known)
        block = []
        if statement is not None:
            yield statement


def _bound_names(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.Import):
        return [alias.asname or alias.name.partition(".")[0] for alias in statement.names]
    if isinstance(statement, ast.ImportFrom):
        return [alias.asname or alias.name for alias in statement.names]
    if isinstance(statement, _DEFINITIONS):
        return [statement.name]
    found = []
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            found.append(node.id)
        elif isinstance(node, _DEFINITIONS):
            found.append(node.name)
        elif isinstance(node, ast.alias):
            found.append(node.asname or node.name.partition(".")[0])
    return found


def hash_added(content: bytes, added: Mapping[str, str], names: Collection[str]) -> str:
    """Hash those of the added definitions that ``names`` lead to, with the added imports.

    Args:
        content: of the file.
        added: as :func:`find_additions` returned it.
        names: of definitions in the file.
    """
    tree = read_source(content).tree
    assert tree is not None
    nodes = {node.name: node for node in tree.body if isinstance(node, _DEFINITIONS)}
    used: set[str] = {IMPORTS} & added.keys()
    waiting = [name for name in names if name in added]
    while waiting:
        name = waiting.pop()
        if name in used or name not in nodes:
            continue
        used.add(name)
        words = {str(getattr(node, "id", "")) for node in ast.walk(nodes[name])}
        waiting += words & added.keys()
    return hashlib.sha256(repr(sorted((one, added[one]) for one in used)).encode()).hexdigest()[:16]


def _is_harmless(statement: ast.stmt) -> bool:
    """Whether adding a statement runs nothing that could change what was there."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return all(alias.name != "*" for alias in statement.names)
    if isinstance(statement, ast.FunctionDef):
        defaults = [*statement.args.defaults, *filter(None, statement.args.kw_defaults)]
        return _are_harmless(statement.decorator_list) and not any(map(_has_call, defaults))
    if isinstance(statement, ast.ClassDef):
        inner = meaningful(statement.body)
        return (
            _are_harmless(statement.decorator_list)
            and not statement.keywords
            and all(_is_harmless(one) or _is_field(one) for one in inner)
        )
    return False


def _are_harmless(decorators: Sequence[ast.expr]) -> bool:
    for decorator in decorators:
        function = decorator.func if isinstance(decorator, ast.Call) else decorator
        if (getattr(function, "attr", None) or getattr(function, "id", "")) not in _DECORATORS:
            return False
    return True


def _is_field(statement: ast.stmt) -> bool:
    """Whether a statement in a class is an attribute with a plain value."""
    return isinstance(statement, ast.Assign | ast.AnnAssign) and not (
        statement.value is not None and _has_call(statement.value)
    )


def _has_call(node: ast.AST) -> bool:
    return any(isinstance(one, ast.Call) for one in ast.walk(node))
