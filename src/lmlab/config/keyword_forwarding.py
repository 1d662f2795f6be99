"""Which names a ``**kwargs`` takes: those of the callables that it is passed on to."""

from __future__ import annotations

import ast
import dataclasses
import re

from lmlab.config.signatures import (
    Parameter,
    Signature,
    constructing_base,
    constructor_of,
    read_definition,
    signature_of,
)
from lmlab.config.source_lookup import Definition, NotInSource, find_expression


@dataclasses.dataclass(frozen=True)
class KeywordNames:
    """The names that a callable takes beyond its explicit parameters.

    Attributes:
        names: that are known.
        is_complete: whether no other name has an effect.
    """

    names: frozenset[str]
    is_complete: bool


NOTHING_KNOWN = KeywordNames(frozenset(), is_complete=False)
NO_NAMES = KeywordNames(frozenset(), is_complete=True)


def names_of_kwargs(target: str) -> KeywordNames:
    """Find the names that the ``**kwargs`` of the dotted ``target`` takes.

    These are the parameters of what it is passed on to (``super().__init__(**kwargs)``), the keys
    that the body reads, the fields of ``Unpack[...]``, and the arguments that the docstring lists.
    """
    found = read_definition(target)
    return NOTHING_KNOWN if found is None else _names(found, 0)


def _names(found: Definition, depth: int) -> KeywordNames:
    if depth > 8:
        return NOTHING_KNOWN
    function = found.node if isinstance(found.node, ast.FunctionDef) else constructor_of(found.node)
    if function is None:
        try:
            base = constructing_base(found)
        except (LookupError, NotInSource):
            return NOTHING_KNOWN
        return NO_NAMES if base is None else _names(base, depth + 1)
    if function.args.kwarg is None:
        return NO_NAMES
    names = set(_documented(found.node) | _documented(function))
    if function.args.kwarg.annotation is not None:
        fields = _unpacked(found, function.args.kwarg.annotation)
        if fields is not None:
            return KeywordNames(frozenset(fields), is_complete=True)
    uses = _Uses(function.args.kwarg.arg)
    for statement in function.body:
        uses.visit(statement)
    is_complete = not uses.others
    for call in uses.calls:
        passed = [keyword.arg for keyword in call.keywords if keyword.arg]
        called = _called(found, call.func, function)
        if called is None:
            is_complete = False
            continue
        signature = signature_of(called)
        further = _names(called, depth + 1)
        names |= set(signature.parameters if signature else ()) - set(passed)
        names |= further.names - set(passed)
        is_complete &= signature is not None and (not signature.takes_any or further.is_complete)
    return KeywordNames(frozenset(names | uses.read), is_complete)


def _called(found: Definition, callee: ast.expr, function: ast.FunctionDef) -> Definition | None:
    """The definition that a call with ``**kwargs`` calls; None where it is not known."""
    if isinstance(callee, ast.Attribute) and callee.attr == "__init__":
        callee = callee.value
    try:
        if re.fullmatch(r"super\(.*\)", ast.unparse(callee)):
            return constructing_base(found)
        return find_expression(found.module, callee, function.body)
    except (LookupError, NotInSource):
        return None


class _Uses(ast.NodeVisitor):
    """The uses of ``**kwargs`` in a function's body."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls: list[ast.Call] = []
        self.read: set[str] = set()
        self.others = 0

    def visit_Call(self, node: ast.Call) -> None:
        """Collect calls that pass it on, and reads by ``pop`` and ``get``."""
        passed = [each for each in node.keywords if each.arg is None and self._is_it(each.value)]
        if passed:
            self.calls.append(node)
        function = node.func
        is_read = (
            isinstance(function, ast.Attribute)
            and self._is_it(function.value)
            and function.attr in ("pop", "get", "setdefault")
            and bool(node.args)
            and isinstance(node.args[0], ast.Constant)
        )
        if is_read:
            self.read.add(str(node.args[0].value))  # type: ignore[attr-defined]
        rest = [each for each in node.keywords if each not in passed]
        for child in (*node.args, *rest, *(() if is_read else (function,))):
            self.visit(child)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        """Collect reads by key."""
        if self._is_it(node.value) and isinstance(node.slice, ast.Constant):
            self.read.add(str(node.slice.value))
        else:
            self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        """Collect tests for a key."""
        if isinstance(node.left, ast.Constant) and all(map(self._is_it, node.comparators)):
            self.read.add(str(node.left.value))
        else:
            self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        """Count every other use."""
        self.others += node.id == self.name

    def _is_it(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and node.id == self.name


def _unpacked(found: Definition, annotation: ast.expr) -> list[str] | None:
    """The fields of the class in ``**kwargs: Unpack[Class]``."""
    if not isinstance(annotation, ast.Subscript) or "Unpack" not in ast.unparse(annotation.value):
        return None
    try:
        fields = find_expression(found.module, annotation.slice)
    except (LookupError, NotInSource):
        return None
    return [
        ast.unparse(each.target) for each in fields.node.body if isinstance(each, ast.AnnAssign)
    ]


def _documented(node: ast.ClassDef | ast.FunctionDef) -> set[str]:
    """The names that an ``Args:`` or ``Keyword Args:`` section, or ``:param:``, lists."""
    text = ast.get_docstring(node) or ""
    found = set(re.findall(r":param (?:\w+ )?(\w+):", text))
    for section in re.findall(r"^(?:\w+ )?Arg(?:ument)?s:\n((?:[ \t]+.*\n?|\n)+)", text, re.M):
        found |= set(re.findall(r"^ {2,4}(\w+)(?: ?\([^)]*\))?:", section, re.M))
    return found


def with_names(signature: Signature, names: KeywordNames) -> Signature:
    """Return a signature whose ``**kwargs`` is replaced by the names that it takes."""
    more = sorted(names.names - signature.parameters.keys())
    parameters = signature.parameters | {name: Parameter(name, True, None) for name in more}
    return Signature(parameters, takes_any=not names.is_complete)
