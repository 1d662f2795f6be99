"""The options of ``python -m lmlab.train``: those of Hydra, and ``--config``.

Each takes effect or is refused. Hydra ignores some silently, and raises a traceback for others.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from lmlab.config.hydra_parser import hydra_parser
from lmlab.config.override_file import is_whole_configuration, read_override_files
from lmlab.config.paths import conf_folder
from lmlab.config.user_settings import search_path
from lmlab.errors import ConfigError, suggestion

log = logging.getLogger(__name__)

_HELP = "run python -m lmlab.train --help"
_PRINTING = ("cfg", "info", "shell_completion")
_FLAGS = {"cfg": "--cfg", "info": "--info", "shell_completion": "--shell-completion",
          "run": "--run", "multirun": "-m"}  # fmt: skip


class CommandLine(NamedTuple):
    """A command line that was read.

    Attributes:
        options: as Hydra's parser returns them; ``overrides`` are those of the files, then those
            of the command line.
        flags: everything but overrides, as typed.
        files: the overrides of each file that apply.
    """

    options: argparse.Namespace
    flags: list[str]
    files: dict[Path, list[str]]


def read_command_line(arguments: Sequence[str]) -> CommandLine:
    """Read the arguments after the program's name.

    Raises:
        ConfigError: an option is unknown, repeated, or has no effect; or a file of overrides cannot
            be read.
    """
    options = _parse(arguments)
    flags = list(arguments)
    for override in options.overrides:
        flags.remove(override)
    _check_flags(options)
    _warn_of_repeated(options.overrides)
    folders = [Path(options.config_dir)] if options.config_dir else []
    paths = [Path(path) for path in options.config or ()]
    named = _named_file(options, folders)
    if named is not None:
        paths.insert(0, named)
        options.config_name = None
        flags = _without(flags, "--config-name", "-cn")
    files = read_override_files(paths, options.overrides, folders)
    options.overrides = [text for given in files.values() for text in given] + options.overrides
    return CommandLine(options, flags, files)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = hydra_parser()

    def refuse(message: str) -> NoReturn:
        known = [name for action in parser._actions for name in action.option_strings]
        wrong = message.removeprefix("unrecognized arguments: ").split()[0]
        near = suggestion(wrong, known) if wrong.startswith("--") else None
        message = f"{wrong}: unknown option" if message.startswith("unrecognized") else message
        raise ConfigError(message, near or f"{_HELP} to list the options")

    parser.error = refuse  # type: ignore[method-assign]
    _refuse_repeated(parser, arguments)
    return parser.parse_intermixed_args(list(arguments))


def _refuse_repeated(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    for action in parser._actions:
        names = action.option_strings
        given = [each for each in arguments if each.partition("=")[0] in names]
        if len(given) > 1 and action.nargs != 0 and action.dest != "config":
            raise ConfigError(f"{names[0]}: given {len(given)} times", "give it once")


def _check_flags(options: argparse.Namespace) -> None:
    """Refuse flags that Hydra ignores, or for which it ends in a traceback."""
    if options.help or options.hydra_help:
        return
    if options.experimental_rerun is not None:
        raise ConfigError(
            f"--experimental-rerun {options.experimental_rerun}: not supported",
            "run python -m lmlab.run RUN/config.yaml to execute a saved configuration",
        )
    given = [name for name in (*_PRINTING, "run", "multirun") if getattr(options, name)]
    if len(given) > 1:
        first, second = (_FLAGS[name] for name in given[:2])
        listing = "; hydra.launcher.plan_only=true lists the runs" if "multirun" in given else ""
        raise ConfigError(
            f"{first} and {second}: expected one of them", f"remove {second}{listing}"
        )
    for name in ("resolve", "package"):
        if getattr(options, name) and not options.cfg:
            raise ConfigError(f"--{name}: has no effect without --cfg", "add --cfg job")
    subcommands = ("install=", "uninstall=", "query=")
    if options.shell_completion and not any(
        override.startswith(subcommands) for override in options.overrides
    ):
        raise ConfigError(
            "--shell-completion: expected install=SHELL, uninstall=SHELL or query=SHELL",
            "run lmlab completion bash for lmlab's own completion",
        )
    if options.config_path is not None and not (Path(options.config_path) / "train.yaml").is_file():
        raise ConfigError(
            f"--config-path {options.config_path}: expected a folder with a complete configuration",
            "add a folder of your own options with --config-dir",
        )
    if options.config_dir is not None and not Path(options.config_dir).is_dir():
        raise ConfigError(f"--config-dir {options.config_dir}: no such folder")


def _named_file(options: argparse.Namespace, folders: Sequence[Path]) -> Path | None:
    """The file of ``--config-name``, unless it is a whole configuration, which Hydra composes."""
    name = options.config_name
    if name is None:
        return None
    everywhere = [*folders, *search_path(), conf_folder()]
    if options.config_path is not None:
        everywhere.insert(0, Path(options.config_path))
    files = [folder / f"{name.removesuffix('.yaml')}.yaml" for folder in everywhere]
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        raise ConfigError(
            f"--config-name {name}: no such file in {', '.join(map(str, everywhere))}",
            "add its folder with --config-dir, or write --config FILE.yaml",
        )
    return None if is_whole_configuration(found) else found


def _without(flags: list[str], *names: str) -> list[str]:
    """Remove an option and its value."""
    kept: list[str] = []
    skip = False
    for flag in flags:
        if skip:
            skip = False
        elif flag in names:
            skip = True
        elif flag.partition("=")[0] not in names:
            kept.append(flag)
    return kept


def _warn_of_repeated(typed: Sequence[str]) -> None:
    """Log which value applies where a key is typed twice; mappings are merged instead."""
    last: dict[str, str] = {}
    for override in typed:
        key, _, value = override.partition("=")
        before = last.get(key.replace("/", "."))
        if before is not None and before != value and not value.startswith("{"):
            log.warning("%s is set twice; the last counts: %s", key, override)
        last[key.replace("/", ".")] = value
