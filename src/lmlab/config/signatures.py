"""Signatures of classes and functions, read from their source without importing them.

Importing ``lmlab.nn`` would import torch, which takes seconds; mistakes in settings are reported
at once.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib.util
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One parameter of a callable: its name, whether it is optional, and its annotation."""

    name: str
    has_default: bool
    annotation: str | None


@dataclasses.dataclass(frozen=True)
class Signature:
    """The keyword parameters of a callable.

    Attributes:
        parameters: by name, in order.
        takes_any: whether it has ``**kwargs``.
    """

    parameters: dict[str, Parameter]
    takes_any: bool


@dataclasses.dataclass(frozen=True)
class _Module:
    """A module's source file, parsed."""

    name: str
    body: tuple[ast.stmt, ...]

    def definition(self, name: str) -> ast.stmt | None:
        """The class or function called ``name``, or the statement that imports it."""
        found: ast.stmt | None = None
        for statement in self.body:
            if isinstance(statement, ast.ClassDef | ast.FunctionDef) and statement.name == name:
                found = statement
            if isinstance(statement, ast.ImportFrom) and any(
                (alias.asname or alias.name) == name for alias in statement.names
            ):
                found = statement
        return found

    def public_names(self) -> list[str]:
        """The names of its public classes and functions."""
        kinds = (ast.ClassDef, ast.FunctionDef)
        return [
            statement.name
            for statement in self.body
            if isinstance(statement, kinds) and not statement.name.startswith("_")
        ]


def read_signature(target: str) -> Signature | None:
    """Read the keyword signature of the dotted ``target``; None where its source does not show it.

    Raises:
        LookupError: the module or the name does not exist; the message says which.
    """
    module, _, name = target.rpartition(".")
    return _signature_of(_read_module(module), name)


def read_docstring(target: str) -> str:
    """Read the docstring of the dotted ``target``; empty where it has none."""
    module, _, name = target.rpartition(".")
    found = _read_module(module).definition(name)
    if isinstance(found, ast.ImportFrom):
        original = next(a.name for a in found.names if (a.asname or a.name) == name)
        return read_docstring(f"{_absolute(module, found)}.{original}")
    if not isinstance(found, ast.ClassDef | ast.FunctionDef):
        return ""
    return ast.get_docstring(found) or ""


def names_in(module: str) -> list[str]:
    """List the public classes and functions of a module; empty where it does not exist."""
    try:
        return _read_module(module).public_names()
    except LookupError:
        return []


@functools.cache
def _read_module(name: str) -> _Module:
    path = _find_source(name)
    tree = ast.parse(path.read_text("utf-8"), filename=str(path))
    return _Module(name, tuple(tree.body))


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
        return Path(spec.origin)
    for folder in folders:
        base = folder.joinpath(*rest)
        for path in (base / "__init__.py", base.with_name(base.name + ".py")):
            if path.is_file():
                return path
    raise LookupError(f"no module named {name!r}")


def _signature_of(module: _Module, name: str) -> Signature | None:
    found = module.definition(name)
    if found is None:
        raise LookupError(f"module {module.name!r} has no class or function {name!r}")
    if isinstance(found, ast.FunctionDef):
        return _of_arguments(found.args, skip=0)
    if isinstance(found, ast.ImportFrom):
        original = next(a.name for a in found.names if (a.asname or a.name) == name)
        return _signature_of(_read_module(_absolute(module.name, found)), original)
    assert isinstance(found, ast.ClassDef)
    return _of_class(module, found)


def _absolute(here: str, statement: ast.ImportFrom) -> str:
    if not statement.level:
        return statement.module or ""
    is_package = _find_source(here).name == "__init__.py"
    parts = here.split(".")
    parts = parts[: len(parts) - statement.level + (1 if is_package else 0)]
    return ".".join([*parts, *([statement.module] if statement.module else [])])


def _of_class(module: _Module, found: ast.ClassDef) -> Signature | None:
    for statement in found.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            return _of_arguments(statement.args, skip=1)
    if any("dataclass" in ast.unparse(decorator) for decorator in found.decorator_list):
        fields = [s for s in found.body if isinstance(s, ast.AnnAssign)]
        return Signature(
            {
                ast.unparse(field.target): Parameter(
                    ast.unparse(field.target),
                    field.value is not None,
                    ast.unparse(field.annotation),
                )
                for field in fields
            },
            takes_any=False,
        )
    for base in found.bases:
        name = ast.unparse(base)
        if module.definition(name) is not None:
            return _signature_of(module, name)
        if name not in ("object", "Protocol") and "." in name:
            return None  # a base class of another package may take any parameters
    return Signature({}, takes_any=False)


def _of_arguments(arguments: ast.arguments, skip: int) -> Signature:
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [False] * (len(positional) - len(arguments.defaults))
    defaults += [True] * len(arguments.defaults)
    pairs = list(zip(positional, defaults, strict=True))[skip:]
    keyword_defaults = [value is not None for value in arguments.kw_defaults]
    pairs += list(zip(arguments.kwonlyargs, keyword_defaults, strict=True))
    return Signature(
        {
            argument.arg: Parameter(
                argument.arg,
                has_default,
                None if argument.annotation is None else ast.unparse(argument.annotation),
            )
            for argument, has_default in pairs
        },
        takes_any=arguments.kwarg is not None,
    )
