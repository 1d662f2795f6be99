"""``lmlab COMMAND ...``: the same as ``python -m lmlab.COMMAND ...``."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

import lmlab
from lmlab.console.commands import COMMANDS, import_command
from lmlab.console.stdout import run_main
from lmlab.errors import UserError, suggestion


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "usage: lmlab COMMAND [argument ...]",
            "",
            "Train small language models, compare them in studies, and report the results.",
            "",
            *lines,
            "",
            "options:",
            f"  {'--help':<{width}}  show this help message and exit",
            f"  {'--version':<{width}}  show the version and exit",
            "",
            "lmlab COMMAND --help lists the options of a command.",
            "",
            "examples:",
            "  lmlab train model.norm=post",
            "  lmlab report outputs/ablations",
            "",
        ]
    )


def main(argv: list[str]) -> int:
    """Run the command that ``argv`` begins with; return its exit code."""
    if not argv or argv[0] in ("-h", "--help"):
        print(_help(), end="")
        return 0 if argv else 2
    name, *rest = argv
    if name == "--version":
        print(f"lmlab {lmlab.__version__}")
        return 0
    if name not in COMMANDS:
        help = suggestion(name, COMMANDS) or "run lmlab --help to list the commands"
        error = UserError(f"{name}: expected one of {', '.join(COMMANDS)}", help)
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    sys.argv = [f"lmlab {name}", *rest]
    code: int = import_command(name).main(rest)
    return code


def entry_point() -> None:
    """Run as the ``lmlab`` program.

    Like ``python -m``, import modules from the working directory first, unless Python runs with
    ``-P``: your own components are often there.
    """
    if not sys.flags.safe_path:
        with suppress(FileNotFoundError):  # the working directory was deleted
            sys.path.insert(0, os.getcwd())
    run_main(main)


if __name__ == "__main__":
    entry_point()
