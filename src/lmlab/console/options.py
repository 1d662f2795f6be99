"""Options as dataclass fields: type, range, default, and help."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from lmlab.errors import Check, ConfigError, check_settings

_NULL = ("null", "none", "")
_TYPE_NAMES = {int: "an integer", float: "a number", bool: "true or false"}


class Valid(NamedTuple):
    """Which values an option takes.

    Attributes:
        check: whether a value is one of them.
        expected: which they are, as the rest of "expected ...".
    """

    check: Callable[[Any], bool]
    expected: str


def at_least(least: int, most: int | None = None) -> Valid:
    """Integers of ``least`` or more, and of ``most`` or less if given."""
    if most is None:
        return Valid(lambda value: value >= least, f"an integer of {least} or more")
    return Valid(lambda value: least <= value <= most, f"an integer from {least} to {most}")


def one_of(*choices: str) -> Valid:
    """A choice of several words."""
    return Valid(lambda value: value in choices, f"one of {', '.join(choices)}")


class _Spec(NamedTuple):
    """What a field says about its option; see :func:`option`."""

    help: str
    metavar: str | None
    valid: Valid | None
    nargs: str | None
    is_positional: bool
    by_position: bool = False
    aliases: tuple[str, ...] = ()


def option(
    default: Any = dataclasses.MISSING,
    *,
    help: str,
    metavar: str | None = None,
    valid: Valid | None = None,
    nargs: str | None = None,
    by_position: bool = False,
    aliases: tuple[str, ...] = (),
) -> Any:
    """Declare an option as a dataclass field.

    Its type is that of the field: ``str``, ``int``, ``float``, ``bool`` (a flag), ``Path``, one of
    them or None, or a tuple of them. A tuple collects the values of every time that the option is
    given; other options may be given once.

    Args:
        default: value of an option that is not given; without it the option is required.
        help: what it means, with its unit.
        metavar: name of the value in the help.
        valid: range of a value that is not None.
        nargs: of a tuple: ``*`` or ``+`` for several values after one ``--key``.
        by_position: whether the value may also be given without the key.
        aliases: other keys for it.
    """
    return _field(default, _Spec(help, metavar, valid, nargs, False, by_position, aliases))


def argument(
    default: Any = dataclasses.MISSING,
    *,
    help: str,
    metavar: str | None = None,
    valid: Valid | None = None,
    aliases: tuple[str, ...] = (),
) -> Any:
    """Declare a positional argument as a dataclass field; a tuple takes the remaining ones.

    It may also be given by its key, or by one of the ``aliases``; a tuple only if it has some.
    """
    return _field(default, _Spec(help, metavar, valid, None, True, True, aliases))


def _field(default: Any, spec: _Spec) -> Any:
    return dataclasses.field(default=default, metadata={"spec": spec}, kw_only=True)


class Option(NamedTuple):
    """A declared option.

    Attributes:
        key: name of its field.
        kind: type of one value.
        is_optional: whether it may be null.
        is_tuple: whether it collects several values.
        default: value of an option that is not given; ``dataclasses.MISSING`` if it is required.
        spec: the rest of its declaration.
    """

    key: str
    kind: type
    is_optional: bool
    is_tuple: bool
    default: Any
    spec: _Spec

    @property
    def is_flag(self) -> bool:
        """Whether it takes no value."""
        return self.kind is bool

    @property
    def is_positional(self) -> bool:
        """Whether it is given by position, without its key."""
        return self.spec.is_positional

    def is_called(self, key: str) -> bool:
        """Whether the option may be given by ``key``."""
        takes_any = self.takes_rest and not self.spec.aliases
        return not takes_any and key in (self.key, *self.spec.aliases)

    @property
    def takes_rest(self) -> bool:
        """Whether it takes the remaining positional arguments."""
        return self.is_positional and self.is_tuple

    @property
    def is_required(self) -> bool:
        """Whether it must be given."""
        return self.default is dataclasses.MISSING

    @property
    def name(self) -> str:
        """As in ``--vocab-size``."""
        return "--" + self.key.replace("_", "-")

    @property
    def negated_name(self) -> str:
        """What sets a flag to false."""
        return f"--no-{self.name.removeprefix('--')}"

    @property
    def metavar(self) -> str:
        """Name of its value in the help."""
        return self.spec.metavar or {int: "N", float: "X", Path: "PATH"}.get(self.kind, "TEXT")

    @property
    def expected(self) -> str:
        """Which values are valid; empty for any text."""
        expected = self.spec.valid.expected if self.spec.valid else _TYPE_NAMES.get(self.kind, "")
        return f"{expected}, or null" if expected and self.is_optional else expected

    def convert(self, text: str) -> Any:
        """Convert the text of a value; raise :class:`ConfigError` if it is not valid."""
        if self.is_optional and text in _NULL:
            return None
        try:
            value = self.kind(text)
        except ValueError:
            raise ConfigError(f"{self.key}={text}: expected {self.expected}") from None
        if self.spec.valid is not None:
            check_settings([Check(self.key, text, self.spec.valid.check(value), self.expected)])
        return value

    def help_text(self) -> str:
        """Its line in the help: meaning, range and default, if it has one."""
        facts = [self.expected] if self.expected and not self.is_flag else []
        if self.is_required:
            facts.append("required")
        elif not self.is_flag:
            default = " ".join(self.default) if self.is_tuple else self.default
            if default is None and "null" in f"{self.spec.help} {self.expected}":
                default = "null"
            if default not in (None, ""):
                facts.append(f"default: {default}")
        if self.is_tuple and not self.is_positional and not self.spec.nargs:
            facts.append("repeatable")
        return f"{self.spec.help} ({'; '.join(facts)})" if facts else self.spec.help


def options_of(kind: type) -> Iterator[Option]:
    """Read the options that a dataclass declares, in order."""
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        is_tuple = typing.get_origin(hint) is tuple
        alternatives = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        (inner,) = (one for one in alternatives if one is not types.NoneType)
        if is_tuple:
            inner = typing.get_args(hint)[0]
        spec: _Spec = field.metadata["spec"]
        yield Option(field.name, inner, len(alternatives) > 1, is_tuple, field.default, spec)
