"""Find classes and functions in the source of packages, without importing them.

A name is followed through the ways in which packages re-export it: ``from .module import Name``,
with another name, by ``*``, and by an assignment.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path

_COMPILED = (".so", ".pyd")


class NotInSource(Exception):
    """A name exists, or may exist, but source code does not show what it is."""


@dataclasses.dataclass(frozen=True)
class Module:
    """A module's source file, parsed."""

    name: str
    body: tuple[ast.stmt, ...]

    def statements(self) -> Iterator[ast.stmt]:
        """Yield the statements of the module, and those below ``if``, ``try`` and ``with``."""
        yield from _flatten(self.body)

    def public_names(self) -> list[str]:
        """The names of its public classes and functions."""
        kinds = (ast.ClassDef, ast.FunctionDef)
        return [
            statement.name
            for statement in self.body
            if isinstance(statement, kinds) and not statement.name.startswith("_")
        ]


@dataclasses.dataclass(frozen=True)
class Definition:
    """A class or function, and the module that defines it."""

    module: Module
    node: ast.ClassDef | ast.FunctionDef

    @property
    def path(self) -> str:
        """Dotted path of the definition."""
        return f"{self.module.name}.{self.node.name}"


def find_definition(module: str, name: str) -> Definition:
    """Find what ``module.name`` is.

    Raises:
        LookupError: the module or the name does not exist; the message says which.
        NotInSource: source code does not show it.
    """
    return _find(read_module(module), name, frozenset())


def _find(module: Module, name: str, seen: frozenset[tuple[str, str]]) -> Definition:
    if (module.name, name) in seen:
        raise LookupError(f"module {module.name!r} imports {name!r} from itself")
    seen |= {(module.name, name)}
    found: ast.stmt | None = None
    is_lazy = False
    stars: list[ast.ImportFrom] = []
    for statement in module.statements():
        if isinstance(statement, ast.ClassDef | ast.FunctionDef):
            found = statement if statement.name == name else found
            is_lazy = is_lazy or statement.name == "__getattr__"
        elif isinstance(statement, ast.ImportFrom):
            if any((alias.asname or alias.name) == name for alias in statement.names):
                found = statement
            elif statement.names[0].name == "*":
                stars.append(statement)
        elif _assigns(statement, name):
            found = statement
    if isinstance(found, ast.ClassDef | ast.FunctionDef):
        return Definition(module, found)
    if isinstance(found, ast.ImportFrom):
        original = next(a.name for a in found.names if (a.asname or a.name) == name)
        return _find(read_module(absolute_name(module.name, found)), original, seen)
    if isinstance(found, ast.Assign | ast.AnnAssign) and found.value is not None:
        return _find_expression(module, found.value, (), seen)
    for star in reversed(stars):
        try:
            return _find(read_module(absolute_name(module.name, star)), name, seen)
        except LookupError:
            continue
    if is_lazy:
        raise NotInSource(name)
    raise LookupError(f"module {module.name!r} has no class or function {name!r}")


def find_expression(
    module: Module, expression: ast.expr, local: Sequence[ast.stmt] = ()
) -> Definition:
    """Find the class or function that a name or dotted expression in ``module`` refers to.

    Args:
        module: which contains the expression.
        expression: for example ``AdamW`` or ``torch.optim.AdamW``.
        local: statements whose imports come before those of the module, of a function's body.

    Raises:
        LookupError: see :func:`find_definition`.
        NotInSource: see :func:`find_definition`.
    """
    return _find_expression(module, expression, local, frozenset())


def _find_expression(
    module: Module,
    expression: ast.expr,
    local: Sequence[ast.stmt],
    seen: frozenset[tuple[str, str]],
) -> Definition:
    names = _dotted(expression)
    if not names:
        raise NotInSource(ast.unparse(expression))
    for statement in reversed([*module.statements(), *_flatten(local)]):
        path = _imported_path(module, statement, names)
        if path is not None:
            parent, _, last = path.rpartition(".")
            return _find(read_module(parent), last, seen) if parent else _missing(path)
    if len(names) == 1:
        return _find(module, names[0], seen)
    raise NotInSource(".".join(names))


def _missing(path: str) -> Definition:
    raise NotInSource(path)


def _imported_path(module: Module, statement: ast.stmt, names: list[str]) -> str | None:
    """The absolute path of dotted ``names``, if ``statement`` imports the first."""
    if isinstance(statement, ast.Import):
        for alias in statement.names:
            if alias.asname == names[0]:
                return ".".join([alias.name, *names[1:]])
            if alias.asname is None and alias.name.partition(".")[0] == names[0]:
                return ".".join(names)
    if isinstance(statement, ast.ImportFrom):
        for alias in statement.names:
            if (alias.asname or alias.name) == names[0]:
                parent = absolute_name(module.name, statement)
                return ".".join([parent, alias.name, *names[1:]])
    return None


def _assigns(statement: ast.stmt, name: str) -> bool:
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    if isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    return any(isinstance(target, ast.Name) and target.id == name for target in targets)


def _dotted(expression: ast.expr) -> list[str]:
    names: list[str] = []
    while isinstance(expression, ast.Attribute):
        names.insert(0, expression.attr)
        expression = expression.value
    return [expression.id, *names] if isinstance(expression, ast.Name) else []


def _flatten(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        yield statement
        if isinstance(statement, ast.If | ast.Try | ast.With):
            yield from _flatten(statement.body)
            yield from _flatten(getattr(statement, "orelse", []))
            for handler in getattr(statement, "handlers", []):
                yield from _flatten(handler.body)


@functools.cache
def read_module(name: str) -> Module:
    """Parse a module's source. Raises LookupError where it does not exist."""
    path = _find_source(name)
    tree = ast.parse(path.read_text("utf-8"), filename=str(path))
    return Module(name, tuple(tree.body))


def absolute_name(here: str, statement: ast.ImportFrom) -> str:
    """The absolute name of the module that a statement in module ``here`` imports from."""
    if not statement.level:
        return statement.module or ""
    is_package = _find_source(here).name == "__init__.py"
    parts = here.split(".")
    parts = parts[: len(parts) - statement.level + (1 if is_package else 0)]
    return ".".join([*parts, *([statement.module] if statement.module else [])])


def _find_source(name: str) -> Path:
    """Find the file of a module. Python looks up the top-level package only: none is imported."""
    top, *rest = name.split(".")
    spec = importlib.util.find_spec(top) if top else None
    if spec is None:
        raise LookupError(f"no package named {top!r}")
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    if not folders:
        if rest or spec.origin is None:
            raise LookupError(f"{top!r} has no module {'.'.join(rest)!r}")
        return _source_file(Path(spec.origin))
    for folder in folders:
        base = folder.joinpath(*rest)
        for path in (base / "__init__.py", base.with_name(base.name + ".py")):
            if path.is_file():
                return path
        if any(path.suffix in _COMPILED for path in base.parent.glob(f"{base.name}.*")):
            raise NotInSource(name)
    raise LookupError(f"no module named {name!r}")


def _source_file(path: Path) -> Path:
    if path.suffix != ".py":
        raise NotInSource(path.stem)
    return path
