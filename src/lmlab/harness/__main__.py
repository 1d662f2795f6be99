"""``python -m lmlab.harness``: lm-evaluation-harness with the models of lmlab.

This is the command line of the harness itself, in which the model ``lmlab`` is registered. The
harness finds models by name in a registry that only imported modules enter, so its own command
``lm_eval`` knows no model of another package.
"""

from __future__ import annotations

import importlib
import sys

from lmlab.console.command_line import print_error
from lmlab.console.stdout import run_main
from lmlab.errors import ConfigError, UserError

_EXAMPLE = "python -m lmlab.harness --model_args run=FOLDER --tasks NAME"


def main(argv: list[str]) -> int:
    """Run the command line of the harness; return its exit code.

    Args:
        argv: its arguments; the model is ``lmlab`` unless they name another.
    """
    try:
        _run(argv)
    except UserError as error:
        print_error(error)
        return error.exit_code
    return 0


def _run(argv: list[str]) -> None:
    importlib.import_module("lmlab.harness.model")  # registers the model, or says what to install
    from lm_eval.__main__ import cli_evaluate

    arguments = list(argv)
    names = {argument.partition("=")[0] for argument in arguments}
    if _is_evaluation(arguments) and not names & {"--model", "-M", "--config", "-C"}:
        if not names & {"--model_args", "-a"}:
            raise ConfigError("--model_args: expected the folder of a run", _EXAMPLE)
        arguments += ["--model", "lmlab"]
    before = sys.argv
    sys.argv = ["lm_eval", *arguments]
    try:
        cli_evaluate()
    finally:
        sys.argv = before


def _is_evaluation(arguments: list[str]) -> bool:
    """Whether the harness takes arguments as those of an evaluation, and not for help or a list."""
    if {"-h", "--help"} & set(arguments):
        return False
    return not arguments or arguments[0] == "run" or arguments[0].startswith("-")


if __name__ == "__main__":
    run_main(main)
