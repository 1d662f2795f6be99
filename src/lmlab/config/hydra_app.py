"""The command line of ``python -m lmlab.train``: Hydra's, with lmlab's overrides and errors."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

import hydra

from lmlab.config.command_flags import CommandLine, check_printed, print_resolved, read_command_line
from lmlab.config.compose import register
from lmlab.config.group_selection import rewrite, rewrite_all
from lmlab.config.hydra_errors import translate_hydra_errors
from lmlab.config.hydra_parser import use_in_hydra_main
from lmlab.config.hydra_program import HydraProgram, start_hydra
from lmlab.config.interpolation import with_custom_resolvers
from lmlab.config.open_mappings import open_mapping
from lmlab.config.override_file import naming_the_file
from lmlab.config.paths import conf_folder
from lmlab.config.run_config import RunConfig
from lmlab.config.sweep_axes import parse, require_separate_axes
from lmlab.config.user_settings import search_path
from lmlab.config.zip_arguments import is_zip, rewrite_zip
from lmlab.errors import UserError
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
        return 128 + signal.SIGINT


def _compose_and_run(arguments: list[str], run: Callable[[RunConfig], int]) -> int:
    register()
    given = read_command_line(arguments)
    with naming_the_file(given.files, given.typed):
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
    typed = [open_mapping(text) for text in options.overrides if not is_zip(text)]
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
    if options.cfg:
        check_printed(options, overrides)
    program = hydra.main(config_path=str(folder), config_name="train", version_base="1.3")
    with translate_hydra_errors(overrides, folder):
        if options.cfg == "job" and options.resolve:
            print_resolved(options, overrides)
        elif "--resolve" in flags:
            print(with_custom_resolvers(lambda: _printed(program(lambda config: None))), end="")
        else:
            program(lambda config: None)()
    return 0


def _printed(function: Callable[[], object]) -> str:
    """Return what ``function`` prints, so that a second attempt prints nothing twice."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        function()
    return printed.getvalue()
