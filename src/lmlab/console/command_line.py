"""The words of a command line: ``key=value`` read into a dataclass, and a head run on them."""

from __future__ import annotations

import dataclasses
import os
import select
import signal
import sys
import types
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from lmlab.errors import ConfigError, UserError, did_you_mean

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")

FOLDER = {"shown": "FOLDER"}
_STDOUT = 1


def read_options(kind: type[T], argv: list[str]) -> T:
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


def run_command(argv: list[str], help_text: str, act: Callable[[list[str]], None]) -> int:
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


def run_main(main: Callable[[list[str]], int]) -> NoReturn:
    """Run a head's ``main`` on the command line and end the process with its exit code.

    Where whoever reads the output has ended, as ``head`` does, the process ends without a word,
    with the code that shells give a program which that signal ended.
    """
    try:
        try:
            sys.exit(main(sys.argv[1:]))
        finally:
            print(end="", flush=True)
    except BrokenPipeError:
        if not _is_unread(_STDOUT):
            raise  # another pipe, to a process of our own
        # At its exit Python flushes once more, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), _STDOUT)
        sys.exit(128 + signal.SIGPIPE)


def _is_unread(descriptor: int) -> bool:
    """Whether the other end of a pipe is closed."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return bool(poll.poll(0))


def stdout_console(width: int) -> Console:
    """A console on stdout, as wide as the terminal; where there is none ``width`` characters."""
    from rich.console import Console

    class StdoutConsole(Console):
        def on_broken_pipe(self) -> None:
            raise  # called while BrokenPipeError is handled; rich would exit with 1

    return StdoutConsole(highlight=False, width=None if sys.stdout.isatty() else width)
