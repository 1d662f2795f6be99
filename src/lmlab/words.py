"""``key=value`` words of a command line, read into a dataclass."""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Callable
from typing import Any, TypeVar

from lmlab.errors import ConfigError, UserError, did_you_mean

T = TypeVar("T")

FOLDER = {"shown": "FOLDER"}


def read_words(kind: type[T], argv: list[str]) -> T:
    """Make a ``kind``, a dataclass, of the words.

    A field that is a tuple of strings takes a word each time that its key is given; others take
    the last. Fields without default must be given; ``metadata["shown"]`` is how they are asked for.

    Raises:
        ConfigError: naming the key and the fix.
    """
    assert dataclasses.is_dataclass(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    hints = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    for word in argv:
        key, equals, text = word.partition("=")
        if not equals or key not in fields:
            raise ConfigError(
                f'"{word}": accepted are key=value words with the keys {", ".join(sorted(fields))}'
                f"{did_you_mean(key, fields)}"
            )
        if typing.get_origin(hints[key]) is tuple:
            values[key] = (*values.get(key, ()), text)
        else:
            values[key] = _convert(key, text, hints[key])
    for name, field in fields.items():
        if name not in values and field.default is dataclasses.MISSING:
            shown = field.metadata.get("shown", "...")
            raise ConfigError(f"{name}={shown} is missing. See --help")
    made: T = kind(**values)
    return made


def _convert(key: str, text: str, kind: object) -> object:
    choices = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    if type(None) in choices and text in ("null", "none", ""):
        return None
    (choice,) = (choice for choice in choices if choice is not type(None))
    if choice is str:
        return text
    try:
        return choice(text)
    except ValueError:
        name = {int: "a whole number", float: "a number"}[choice]
        raise ConfigError(f"{key}={text}: {key} is {name}, for example {key}=1") from None


def run_head(argv: list[str], help_text: str, act: Callable[[list[str]], None]) -> int:
    """Carry out a command; help, mistakes and Ctrl-C as everywhere. Returns the exit code."""
    if not argv or any(word in ("-h", "--help") for word in argv):
        print(help_text, end="")
        return 0 if argv else 2
    try:
        act(argv)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print()
        return 130
    return 0
