"""Signatures of classes and functions, read from their source without importing them.

Importing ``lmlab.nn`` would import torch, which takes seconds; mistakes in settings are reported
at once. Only what source code does not show is imported.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re

from lmlab.config.source_lookup import (
    Definition,
    NotInSource,
    find_definition,
    find_expression,
    read_module,
)

_FIELD_DECORATORS = re.compile(r"dataclass|define|frozen|mutable|attr\.s|attrs")
# Base classes from outside a package, whose constructors take nothing.
_WITHOUT_CONSTRUCTOR = ("object", "Protocol", "typing.Protocol", "Generic", "ABC", "abc.ABC")


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


def read_signature(target: str) -> Signature | None:
    """Read the keyword signature of the dotted ``target``.

    Where source code does not show what the target is, import it: the caller trusts its package.

    Returns:
        None where a base class does not show which parameters it takes.

    Raises:
        LookupError: the module or the name does not exist; the message says which.
    """
    module, _, name = target.rpartition(".")
    try:
        found = find_definition(module, name)
    except NotInSource:
        return _imported_signature(module, name)
    return signature_of(found)


def read_definition(target: str) -> Definition | None:
    """Find the definition of the dotted ``target``; None where source code does not show it."""
    module, _, name = target.rpartition(".")
    try:
        return find_definition(module, name)
    except (LookupError, NotInSource):
        return None


def read_docstring(target: str) -> str:
    """Read the docstring of the dotted ``target``; empty where it has none."""
    found = read_definition(target)
    return "" if found is None else ast.get_docstring(found.node) or ""


def names_in(module: str) -> list[str]:
    """List the public classes and functions of a module; empty where it does not exist."""
    try:
        return read_module(module).public_names()
    except (LookupError, NotInSource):
        return []


def signature_of(found: Definition) -> Signature | None:
    """Return the signature of a definition; see :func:`read_signature`."""
    if isinstance(found.node, ast.FunctionDef):
        return of_arguments(found.node.args, skip=0)
    if found.path == "torch.nn.modules.module.Module":
        return Signature({}, takes_any=False)  # it refuses its **kwargs
    constructor = constructor_of(found.node)
    if constructor is not None:
        return of_arguments(constructor.args, skip=1)
    try:
        base = constructing_base(found)
        inherited = signature_of(base) if base else Signature({}, takes_any=False)
    except (LookupError, NotInSource):
        inherited = None
    if _has_fields(found.node):
        known = inherited.parameters if inherited else {}
        return Signature(known | _fields(found.node), takes_any=False)
    return inherited


def constructing_base(found: Definition) -> Definition | None:
    """Return the base class whose constructor a class inherits; None where no base has one.

    Raises:
        LookupError: a base class does not exist.
        NotInSource: source code does not show a base class.
    """
    for expression in found.node.bases if isinstance(found.node, ast.ClassDef) else ():
        if ast.unparse(expression).partition("[")[0] in _WITHOUT_CONSTRUCTOR:
            continue
        base = find_expression(found.module, expression)
        if isinstance(base.node, ast.FunctionDef) or constructor_of(base.node):
            return base
        if _has_fields(base.node) or constructing_base(base) is not None:
            return base
    return None


def _has_fields(found: ast.ClassDef) -> bool:
    """Whether a decorator makes the constructor from the fields of the class."""
    return any(_FIELD_DECORATORS.search(ast.unparse(each)) for each in found.decorator_list)


def constructor_of(found: ast.ClassDef) -> ast.FunctionDef | None:
    """Return the ``__init__`` that a class itself defines."""
    for statement in found.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            return statement
    return None


def _fields(found: ast.ClassDef) -> dict[str, Parameter]:
    """The parameters of a dataclass, from its fields."""
    fields: dict[str, Parameter] = {}
    for field in found.body:
        if not isinstance(field, ast.AnnAssign):
            continue
        name, annotation = ast.unparse(field.target), ast.unparse(field.annotation)
        value = "" if field.value is None else ast.unparse(field.value)
        if "ClassVar" in annotation or "KW_ONLY" in annotation or "init=False" in value:
            continue
        is_required = value.endswith(")") and "field(" in value and "default" not in value
        fields[name] = Parameter(name, bool(value) and not is_required, annotation)
    return fields


def of_arguments(arguments: ast.arguments, skip: int) -> Signature:
    """Return the signature of a function's arguments, without the first ``skip``."""
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


def _imported_signature(module: str, name: str) -> Signature | None:
    try:
        found = getattr(importlib.import_module(module), name)
    except AttributeError:
        raise LookupError(f"module {module!r} has no class or function {name!r}") from None
    except ImportError as error:
        raise LookupError(f"cannot import {module!r}: {error}") from None
    try:
        parameters = inspect.signature(found).parameters.values()
    except (TypeError, ValueError):
        return None
    named = [p for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    return Signature(
        {p.name: Parameter(p.name, p.default is not p.empty, _annotation(p)) for p in named},
        takes_any=any(p.kind is p.VAR_KEYWORD for p in parameters),
    )


def _annotation(parameter: inspect.Parameter) -> str | None:
    """The text of an annotation; None where it is no expression."""
    if parameter.annotation is parameter.empty:
        return None
    written = parameter.annotation
    text = written if isinstance(written, str) else inspect.formatannotation(written)
    try:
        ast.parse(text, mode="eval")
    except SyntaxError:
        return None
    return text
