"""Commands and their options, typed as ``--key value``, ``--key=value`` or ``key=value``.

A command declares a dataclass of options (:mod:`lmlab.console.options`). :class:`Command` builds
from it the parser, the range checks, and ``--help``.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, NoReturn, TypeVar

from lmlab.console.formatting import format_count
from lmlab.console.options import Option, options_of
from lmlab.errors import ConfigError, UserError, suggestion
from lmlab.runtime.launch_env import print_error

T = TypeVar("T")

INTERRUPTED_EXIT_CODE = 130  # as shells report SIGINT
_HELP_FLAGS = ("-h", "--help")
_LIKE_AN_OPTION = re.compile(r"[a-z_]+=")


class _Parser(argparse.ArgumentParser):
    """Raises mistakes instead of printing them."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message, f"run {self.prog} --help to list the options")


@dataclasses.dataclass(frozen=True)
class Command(Generic[T]):
    """A command of lmlab.

    Attributes:
        name: as in ``python -m lmlab.NAME``, then the subcommand if it is one.
        options: a dataclass of ``option()`` and ``argument()`` fields.
        act: carries the command out; returns its exit code, None for 0.
        description: what it does.
        examples: what can be typed after the command's name.
        notes: further paragraphs of the help.
        when_interrupted: printed after Ctrl-C.
        allow_abbrev: whether ``--voc`` may stand for ``--vocab-size``.
        one_required: keys of options of which exactly one is required, for the usage line.
    """

    name: str
    options: type[T]
    act: Callable[[T], int | None]
    description: str
    examples: Sequence[str] = ()
    notes: str = ""
    when_interrupted: str = "interrupted"
    allow_abbrev: bool = False
    one_required: Sequence[str] = ()

    @property
    def program(self) -> str:
        """The command as typed: ``lmlab NAME`` or ``python -m lmlab.NAME``."""
        return program(self.name)

    def named(self) -> list[Option]:
        """Its options that are given by key, without positional arguments."""
        return [option for option in options_of(self.options) if not option.is_positional]

    def help(self) -> str:
        """The text of ``--help``."""
        return self._parser().format_help().rstrip() + "\n"

    def read(self, arguments: Sequence[str]) -> T:
        """Read a command line.

        Raises:
            ConfigError: an argument is unknown, missing, of the wrong type or out of range.
        """
        normalized = list(self._normalize(arguments))
        namespace, unknown = self._parser(reads=True).parse_known_intermixed_args(normalized)
        if unknown:
            raise self._unknown(unknown[0])
        given = {option.key: getattr(namespace, option.key) or [] for option in self._all()}
        self._place(namespace.positional, given)
        missing = [o for o in self._all() if o.is_required and not given[o.key]]
        if missing:
            raise self._missing(missing)
        values: dict[str, Any] = {}
        for option in self._all():
            texts = given[option.key]
            if option.is_tuple and (texts or getattr(namespace, option.key) is not None):
                values[option.key] = tuple(map(option.convert, texts))
            elif texts:
                self._check_repeated(option, texts)
                values[option.key] = texts[-1] if option.is_flag else option.convert(texts[-1])
        return self.options(**values)

    def _all(self) -> list[Option]:
        return list(options_of(self.options))

    def _place(self, positional: Sequence[str], given: dict[str, list[Any]]) -> None:
        """Give the values without a key to the options that are given by position, in order."""
        rest = list(positional)
        for option in self._all():
            if option.takes_rest:
                given[option.key], rest = rest, []
            elif option.spec.by_position and rest and (option.is_tuple or not given[option.key]):
                taken = rest if option.is_tuple else rest[:1]
                rest = rest[len(taken) :]
                for value in [] if option.is_positional else taken:
                    if _LIKE_AN_OPTION.match(value) and not os.path.exists(value):
                        raise self._unknown(value)
                given[option.key] = [*given[option.key], *taken]
        if rest:
            raise self._unknown(rest[0])

    def _check_repeated(self, option: Option, values: Sequence[Any]) -> None:
        """Refuse several values of an option; of a flag and its negation, the last counts."""
        if option.is_flag or len(set(values)) == 1:
            return
        shown = " ".join(f"{option.key}={value}" for value in values)
        raise ConfigError(f"{shown}: expected {option.key} once", "run the command once for each")

    def run(self, arguments: Sequence[str]) -> int:
        """Print the help, or read the options and act. Returns the exit code."""
        if set(_HELP_FLAGS) & set(arguments):
            print(self.help(), end="")
            return 0
        try:
            return self.act(self.read(arguments)) or 0
        except UserError as error:
            print_error(error)
            return error.exit_code
        except KeyboardInterrupt:
            print(f"\n{self.when_interrupted}", file=sys.stderr)
            return INTERRUPTED_EXIT_CODE

    def _parser(self, reads: bool = False) -> _Parser:
        """Build the parser: to print the help, or to read every value into a list."""
        known = self._all()
        parser = _Parser(
            prog=self.program,
            usage=" ".join([self.program, *_usage(known, self.one_required)]),
            description=self.description,
            epilog=_epilog(self.notes, self.program, self.examples, known),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=self.allow_abbrev,
        )
        if reads:
            parser.add_argument("positional", nargs="*")
        for option in known:
            _add(parser, option, reads)
        return parser

    def _normalize(self, arguments: Sequence[str]) -> Iterator[str]:
        """Write ``key=value`` and ``--some_key`` as argparse reads them; leave values alone."""
        waiting = ""  # the option whose value follows
        has_many = False  # whether values of an option with nargs follow
        for index, argument in enumerate(arguments):
            has_dashes = argument.startswith("--")
            if waiting and not has_dashes:
                yield f"{waiting}={argument}"
                waiting = ""
                continue
            if waiting:
                yield waiting  # without a value, which argparse reports
                waiting = ""
            if argument == "--":
                yield from arguments[index:]
                return
            if has_many and not has_dashes:
                yield argument
                continue
            name, equals, value = argument.removeprefix("--").partition("=")
            option = self._find(name.replace("-", "_"), has_dashes)
            if option is None or not (has_dashes or equals):
                yield argument
                continue
            if option.takes_rest:  # by position, which keeps the order of several
                if equals:
                    yield value
                continue
            has_many = bool(option.spec.nargs and not equals)
            if option.is_flag and equals:
                if value not in ("true", "false"):
                    raise ConfigError(f"{option.key}={value}: expected true or false")
                yield option.name if value == "true" else option.negated_name
            elif equals:
                yield f"{option.name}={value}"
            elif option.is_flag or has_many:
                yield option.name
            else:
                waiting = option.name
        if waiting:
            yield waiting

    def _find(self, key: str, has_dashes: bool) -> Option | None:
        found = [option for option in self._all() if option.is_called(key)]
        if not found and has_dashes and self.allow_abbrev:
            found = [option for option in self.named() if option.key.startswith(key)]
        return found[0] if len(found) == 1 else None

    def _unknown(self, argument: str) -> ConfigError:
        keys = [option.key for option in self.named()]
        if not argument.startswith("-") and "=" not in argument:
            positional = sum(option.spec.by_position for option in self._all())
            count = format_count(positional, "positional argument")
            expected = f"at most {count}" if positional else "key=value"
            return ConfigError(f"{argument}: expected {expected}", f"run {self.program} --help")
        key = argument.lstrip("-").partition("=")[0].replace("-", "_")
        help = suggestion(key, keys) or f"run {self.program} --help to list the options"
        return ConfigError(f"{argument}: expected one of the options {', '.join(keys)}", help)

    def _missing(self, options: Sequence[Option]) -> ConfigError:
        arguments = [option.metavar for option in options if option.is_positional]
        named = [f"{option.key}={option.metavar}" for option in options if not option.is_positional]
        lists = [
            f"{noun}{'s' if len(names) > 1 else ''} {', '.join(names)}"
            for noun, names in (("argument", arguments), ("option", named))
            if names
        ]
        return ConfigError(
            f"missing required {' and '.join(lists)}",
            f"run {self.program} --help to list the options",
        )


@dataclasses.dataclass(frozen=True)
class CommandGroup:
    """A command of several subcommands.

    Attributes:
        name: as in ``python -m lmlab.NAME``.
        description: what it is for.
        commands: by the name of the subcommand.
        default: the subcommand of a command line that names none; None: one must be named.
    """

    name: str
    description: str
    commands: Mapping[str, Command[Any]]
    default: str | None = None

    def help(self) -> str:
        """The text of ``--help``."""
        names = "|".join(self.commands)
        usage = f"[{names}]" if self.default else names
        lines = [f"usage: {program(self.name)} {usage} [options]", "", self.description, ""]
        width = max(map(len, self.commands))
        for name, command in self.commands.items():
            suffix = " (default)" if name == self.default else ""
            lines.append(f"  {name:<{width}}  {command.description.splitlines()[0]}{suffix}")
        lines += ["", "examples:"]
        for command in self.commands.values():
            lines += [f"  {command.program} {example}".rstrip() for example in command.examples]
        lines += ["", f"{program(self.name)} COMMAND --help lists the options of a command."]
        return "\n".join(lines) + "\n"

    def run(self, arguments: Sequence[str]) -> int:
        """Run the subcommand that ``arguments`` begin with. Returns the exit code."""
        if arguments and arguments[0] in _HELP_FLAGS:
            print(self.help(), end="")
            return 0
        try:
            name, rest = self._choose(arguments)
        except ConfigError as error:
            print_error(error)
            return error.exit_code
        return self.commands[name].run(rest)

    def _choose(self, arguments: Sequence[str]) -> tuple[str, Sequence[str]]:
        if arguments and arguments[0] in self.commands:
            return arguments[0], arguments[1:]
        first = arguments[0] if arguments else ""
        if self.default is not None and (not first or first.startswith("-") or "=" in first):
            return self.default, arguments
        raise ConfigError(
            f"{first or 'missing subcommand'}: expected one of {', '.join(self.commands)}",
            suggestion(first, self.commands) or f"run {program(self.name)} --help",
        )


def program(name: str) -> str:
    """A command as it was started: ``lmlab NAME`` or ``python -m lmlab.NAME``."""
    return f"lmlab {name}" if sys.argv[0].startswith("lmlab ") else f"python -m lmlab.{name}"


def _add(parser: argparse.ArgumentParser, option: Option, reads: bool) -> None:
    text = option.help_text().replace("%", "%%")
    how: dict[str, Any] = {"metavar": option.metavar, "help": text}
    if option.is_positional and not reads:
        parser.add_argument(option.key, nargs="*" if option.is_tuple else "?", **how)
    elif option.is_flag:
        how = {"action": "append_const", "dest": option.key, "default": None}
        parser.add_argument(option.name, const=True, help=text, **how)
        parser.add_argument(option.negated_name, const=False, help=argparse.SUPPRESS, **how)
    else:
        action = "extend" if option.spec.nargs else "append"
        parser.add_argument(option.name, action=action, nargs=option.spec.nargs, **how)


def _usage(known: Sequence[Option], one_required: Sequence[str]) -> Iterator[str]:
    for option in known:
        if option.is_positional:
            repeated = f"{option.metavar} ..." if option.is_tuple else option.metavar
            yield repeated if option.is_required else f"[{repeated}]"
    yield from (f"{option.name} {option.metavar}" for option in known
                if option.is_required and not option.is_positional)  # fmt: skip
    alternatives = [o for o in known if o.key in one_required]
    if alternatives:
        yield f"({' | '.join(f'{o.name} {o.metavar}' for o in alternatives)})"
    if any(not option.is_required and not option.is_positional for option in known):
        yield "[options]"


def _epilog(notes: str, program: str, examples: Sequence[str], known: Sequence[Option]) -> str:
    parts = [notes.strip()] if notes else []
    named = [option for option in known if not option.is_positional]
    if named:
        first = next((option for option in named if not option.is_flag), named[0])
        value = "true" if first.is_flag else first.metavar
        parts.append(
            f"Every option can also be written as key=value, for example {first.key}={value}."
        )
    by_position = [o for o in known if o.spec.by_position and not o.is_positional]
    if by_position:
        first = by_position[0]
        parts.append(f"{first.metavar} of {first.name} may also be given without {first.name}.")
    if examples:
        typed = (f"  {program} {example}".rstrip() for example in examples)
        parts.append("\n".join(["examples:", *typed]))
    return "\n\n".join(parts)
