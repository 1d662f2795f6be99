"""The command line of ``python -m lmlab.train``: Hydra's, with lmlab's overrides and errors."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hydra
from omegaconf import OmegaConf

from lmlab.config.command_flags import CommandLine, read_command_line
from lmlab.config.compose import freeze, register
from lmlab.config.config_loader import compose_files
from lmlab.config.group_selection import rewrite, rewrite_all
from lmlab.config.hydra_errors import translate_hydra_errors
from lmlab.config.hydra_parser import use_in_hydra_main
from lmlab.config.hydra_program import HydraProgram, start_hydra
from lmlab.config.interpolation import reading_hydra, with_custom_resolvers
from lmlab.config.override_file import naming_the_file
from lmlab.config.paths import conf_folder
from lmlab.config.run_config import RunConfig
from lmlab.config.run_length import LENGTHS
from lmlab.config.started_runs import started_runs
from lmlab.config.sweep_axes import parse, require_separate_axes
from lmlab.config.user_settings import search_path
from lmlab.config.zip_arguments import is_zip, rewrite_zip
from lmlab.console.command_line import INTERRUPTED_EXIT_CODE
from lmlab.errors import ConfigError, UserError
from lmlab.runtime.launch_env import print_error


def main(arguments: Sequence[str], run: Callable[[RunConfig], int]) -> int:
    """Compose the configuration that the arguments describe, and run it.

    Args:
        arguments: those after the program's name.
        run: called with the frozen configuration of a single run; returns the exit code. The
            launcher runs the jobs of a multirun instead.

    Returns:
        The exit code; 2 and a message on stderr for a :class:`UserError`.
    """
    try:
        return _compose_and_run(list(arguments), run)
    except UserError as error:
        print_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        print("\ninterrupted; rerun the command to resume", file=sys.stderr)
        return INTERRUPTED_EXIT_CODE


def _compose_and_run(arguments: list[str], run: Callable[[RunConfig], int]) -> int:
    register()
    given = read_command_line(arguments)
    with naming_the_file(given.files):
        return _execute(given, run)


def _execute(given: CommandLine, run: Callable[[RunConfig], int]) -> int:
    options, flags = given.options, given.flags
    folders = [conf_folder(), *search_path()]
    folders += [Path(options.config_dir)] if options.config_dir else []
    zipped = [
        rewrite_zip(text, functools.partial(rewrite, folders=folders))
        for text in options.overrides
        if is_zip(text)
    ]
    typed = [text for text in options.overrides if not is_zip(text)]
    overrides = rewrite_all(typed, folders)
    if not _is_query(options):
        if options.multirun:
            with translate_hydra_errors(typed, folders[0]):
                require_separate_axes(parse([rewrite(text, folders) for text in typed], None))
        config_path = Path(options.config_path).resolve() if options.config_path else folders[0]
        with (
            translate_hydra_errors(overrides, folders[0]),
            start_hydra(config_path, options.config_dir) as program,
        ):
            return HydraProgram(program, options, flags, overrides, typed, zipped).execute(run)
    return _query(options, flags, overrides, folders[0])


def _is_query(options: Namespace) -> bool:
    """Whether a command line asks Hydra to print something."""
    names = ("help", "hydra_help", "cfg", "info", "shell_completion")
    return any(getattr(options, name) for name in names)


def _query(options: Namespace, flags: list[str], overrides: list[str], folder: Path) -> int:
    """Let Hydra print what the command line asks for."""
    # Without this, Hydra prints errors itself, with advice on its own variable, and exits with 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv = [sys.argv[0], *flags, *overrides]  # -m may come anywhere
    use_in_hydra_main()
    program = hydra.main(config_path=str(folder), config_name="train", version_base="1.3")
    with translate_hydra_errors(overrides, folder):
        if options.cfg and _check_and_print(options, overrides):
            return 0
        if "--resolve" in flags:
            print(with_custom_resolvers(lambda: _printed(program(lambda config: None))), end="")
        else:
            program(lambda config: None)()
    return 0


def _check_and_print(options: Namespace, overrides: list[str]) -> bool:
    """Check the configuration of ``--cfg``, unless required settings are missing.

    Print it for ``--cfg job``, for which Hydra would compose it again, and for ``--cfg all
    --resolve``, for which Hydra calls OmegaConf: this refuses lists that a resolver returns.

    Returns:
        Whether it was printed.

    Raises:
        ConfigError: a run would refuse the configuration, or it has no part ``--package``.
    """
    folder = Path(options.config_path or conf_folder()).resolve()
    name = options.config_name or "train"
    config, hydra_node = compose_files(folder, name, overrides, options.config_dir)
    with reading_hydra(hydra_node):
        lengths: dict[str, Any] = {}
        if not OmegaConf.missing_keys(config):
            lengths = _lengths(freeze(config, overrides))
        if options.cfg == "hydra" or (options.cfg == "all" and not options.resolve):
            return False
        content: Any = with_custom_resolvers(
            lambda: OmegaConf.to_container(config, resolve=bool(options.resolve))
        )
        content["training"] |= lengths  # the steps that a budget gives
        if options.cfg == "all":
            rest = OmegaConf.create({"hydra": hydra_node})
            OmegaConf.resolve(rest)  # leaves what only a job has as ???
            content = {"hydra": OmegaConf.to_container(rest.hydra), **content}
    package = "" if options.package in (None, "_global_") else str(options.package)
    for part in filter(None, package.split(".")):
        if not isinstance(content, dict) or part not in content:
            raise ConfigError(f"--package {package}: no such part of the configuration")
        content = content[part]
    if package and isinstance(content, dict):
        print(f"# @package {package}")
    text = OmegaConf.to_yaml(OmegaConf.create(content)) if isinstance(content, dict) else content
    print(str(text).rstrip("\n"))
    return True


def _lengths(config: RunConfig) -> dict[str, Any]:
    """The length of a run as settings; measured steps are those of the run, if it has begun."""
    lengths = {name: getattr(config.training, name) for name in LENGTHS}
    if config.training.minutes is not None:
        known = (steps for _, steps in started_runs(config))
        lengths["steps"] = next(known, config.training.steps)
    return lengths


def _printed(function: Callable[[], object]) -> str:
    """Return what ``function`` prints, so that a second attempt prints nothing twice."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        function()
    return printed.getvalue()
