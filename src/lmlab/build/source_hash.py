"""Hashes of source code that comments, docstrings and formatting do not change.

The syntax tree is written out by rules of this module, because :func:`ast.dump` and
:func:`ast.unparse` differ between versions of Python. The hashes are the same on all of them:

- fields that are empty or missing are left out, so that a version may add fields,
- statements without an effect are left out: docstrings, other bare constants, and ``pass``,
- parts of a string that stand beside each other are joined,
- neighbouring imports are sorted, unless one replaces the name of another.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

_HASH_DIGITS = 16
# What a node holds beyond its meaning.
_NO_MEANING = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
_IMPORTS = (ast.Import, ast.ImportFrom)


@dataclasses.dataclass(frozen=True)
class Source:
    """A Python file, parsed.

    Attributes:
        tree: its syntax tree; None where this version of Python cannot parse it.
        digest: hash of the tree, or of the content.
    """

    tree: ast.Module | None
    digest: str


@functools.lru_cache(maxsize=1024)
def read_source(content: bytes) -> Source:
    """Parse and hash the content of a Python file, once per content."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Source(None, hash_bytes(content))
    return Source(tree, hash_statements(tree.body))


def hash_source(name: str, content: bytes) -> str:
    """Hash a file by its meaning if it is in Python, otherwise by its content."""
    return read_source(content).digest if name.endswith(".py") else hash_bytes(content)


def hash_bytes(content: bytes) -> str:
    """Hash the content of a file; its line endings, which checkouts may change, do not count."""
    return _digest(content.replace(b"\r\n", b"\n"))


def hash_statements(statements: Sequence[ast.stmt]) -> str:
    """Hash statements by their meaning."""
    return _digest("\n".join(map(_write, meaningful(statements))).encode("ascii"))


def meaningful(statements: Sequence[ast.stmt]) -> list[ast.stmt]:
    """Return the statements that have an effect, with neighbouring imports sorted."""
    kept = [one for one in statements if not _is_without_effect(one)]
    ordered: list[ast.stmt] = []
    imports: list[ast.stmt] = []
    for statement in kept:
        if isinstance(statement, _IMPORTS):
            imports.append(statement)
            continue
        ordered += [*_sorted_imports(imports), statement]
        imports = []
    return [*ordered, *_sorted_imports(imports)]


def _is_without_effect(statement: ast.stmt) -> bool:
    is_constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return is_constant or isinstance(statement, ast.Pass)


def _sorted_imports(statements: Sequence[ast.stmt]) -> list[ast.stmt]:
    names: list[str] = []
    packages: set[str] = set()  # several imports of one bind its name to one module
    for statement in statements:
        if isinstance(statement, ast.Import):
            names += [one.asname for one in statement.names if one.asname]
            packages |= {one.name.partition(".")[0] for one in statement.names if not one.asname}
        elif isinstance(statement, ast.ImportFrom):
            names += [one.asname or one.name for one in statement.names]
    if len({*names, *packages}) < len(names) + len(packages) or "*" in names:
        return list(statements)
    return sorted(statements, key=_write)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_HASH_DIGITS]


def _write(node: ast.AST) -> str:
    """Write a node as text, without recursion: expressions may be nested deeply."""
    written: list[str] = []
    waiting: list[Any] = [node]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            written.append(item)
        else:
            waiting += reversed(list(_parts(item)))
    return "".join(written)


def _parts(node: ast.AST) -> Iterator[Any]:
    """Yield texts and child nodes in order."""
    yield f"{type(node).__name__}("
    if isinstance(node, ast.Constant | ast.MatchSingleton):
        yield _constant(node.value)
    elif isinstance(node, ast.JoinedStr):
        yield from _joined(node.values)
    else:
        for name in sorted(node._fields):
            value = getattr(node, name, None)
            if name in _NO_MEANING or value is None:
                continue
            items = _items(node, name, value) if isinstance(value, list) else [value]
            if items:
                yield f"{name}="
                for item in items:
                    yield item if isinstance(item, ast.AST) else _constant(item)
                    yield ","
    yield ")"


def _items(node: ast.AST, name: str, values: list[Any]) -> list[Any]:
    if values and isinstance(values[0], ast.stmt):
        return meaningful(values)
    if isinstance(node, _IMPORTS) and name == "names":
        return sorted(values, key=lambda alias: (alias.name, alias.asname or ""))
    return values


def _joined(values: list[ast.expr]) -> Iterator[Any]:
    """Yield the parts of an f-string with neighbouring texts joined."""
    text = ""
    for value in values:
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            text += value.value
            continue
        if text:
            yield _constant(text)
        text = ""
        yield value
    if text:
        yield _constant(text)


def _constant(value: Any) -> str:
    """Write a constant with its type, in ASCII: what is printable depends on the version."""
    kind = type(value).__name__
    if isinstance(value, bool) or value is None or value is ...:
        return f"{value}"
    if isinstance(value, int):
        return f"{kind} {value:x}"  # decimal digits of a large number are refused
    if isinstance(value, float):
        return f"{kind} {value.hex()}"
    if isinstance(value, complex):
        return f"{kind} {value.real.hex()} {value.imag.hex()}"
    if isinstance(value, bytes):
        return f"{kind} {value.hex()}"
    return f"{kind} {value!a}"
