"""The command line of ``python -m lmlab.train``: Hydra's, with lmlab's words and errors."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser
from omegaconf import DictConfig

from lmlab.config.compose import freeze, register
from lmlab.config.group_selection import rewrite_all
from lmlab.config.hydra_errors import translate_hydra_errors
from lmlab.config.paths import conf_folder
from lmlab.config.run_config import RunConfig
from lmlab.config.user_settings import search_path
from lmlab.errors import UserError
from lmlab.runtime.launch_env import print_error


def main(argv: Sequence[str], run: Callable[[RunConfig], int]) -> int:
    """Compose what ``argv`` asks for and run it.

    Args:
        argv: the words after the program's name.
        run: called with the frozen configuration of a single run; returns the exit code. The jobs
            of a multirun go through the launcher instead.

    Returns:
        The exit code: 2 with one message on stderr for a mistake of the user's.
    """
    try:
        return _main(list(argv), run)
    except UserError as error:
        print_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on from here", file=sys.stderr)
        return 128 + signal.SIGINT


def _main(argv: list[str], run: Callable[[RunConfig], int]) -> int:
    register()
    arguments = get_args_parser().parse_intermixed_args(argv)
    flags = list(argv)
    for word in arguments.overrides:
        flags.remove(word)
    folders = [conf_folder(), *search_path()]
    folders += [Path(arguments.config_dir)] if arguments.config_dir else []
    overrides = rewrite_all(arguments.overrides, folders)

    composed: list[DictConfig] = []
    # Hydra would print the errors itself, with a hint at its own variable, and exit with code 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv = [sys.argv[0], *flags, *overrides]  # -m may stand anywhere
    program = hydra.main(config_path=str(folders[0]), config_name="train", version_base="1.3")
    with translate_hydra_errors(overrides, folders[0]):
        program(composed.append)()
    # Nothing is composed by --help or --cfg, nor by a multirun, whose jobs the launcher ran.
    return run(freeze(composed[0], arguments.overrides)) if composed else 0
