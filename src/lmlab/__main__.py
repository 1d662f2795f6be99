"""``lmlab COMMAND ...``: the same as ``python -m lmlab.COMMAND ...``."""

from __future__ import annotations

import importlib
import sys

from lmlab.console.command_line import run_main
from lmlab.errors import suggestion

COMMANDS = {
    "train": "train a model, run a sweep or a study",
    "run": "run one frozen configuration",
    "generate": "generate text with a trained model",
    "evaluate": "measure the loss of a trained model on any text",
    "export": "export a model or a tokenizer",
    "tokenize": "train, use and inspect tokenizers",
    "account": "compute parameters, FLOPs and memory of a configuration",
    "status": "show the progress of a study",
    "report": "write the report of a study",
    "publish": "keep a study's records and report, small enough for git",
    "outputs": "list and remove runs and caches",
    "completion": "print a script for shell completion",
}
_PACKAGES = ("export", "outputs")


def _help() -> str:
    lines = [f"  {name:<12} {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "usage: lmlab COMMAND [OPTION ...]",
            "",
            *lines,
            "",
            "lmlab COMMAND --help shows its options",
        ]
    )


def main(argv: list[str]) -> int:
    """Run the command that ``argv`` begins with; return its exit code."""
    if not argv or argv[0] in ("-h", "--help"):
        print(_help())
        return 0 if argv else 2
    name, *rest = argv
    if name not in COMMANDS:
        print(f"error: {name}: expected one of {', '.join(COMMANDS)}", file=sys.stderr)
        print(f"help: {suggestion(name, COMMANDS) or 'lmlab --help'}", file=sys.stderr)
        return 2
    module = f"lmlab.{name}.__main__" if name in _PACKAGES else f"lmlab.{name}"
    sys.argv = [f"lmlab {name}", *rest]
    code: int = importlib.import_module(module).main(rest)
    return code


def entry_point() -> None:
    """Run as the ``lmlab`` program."""
    run_main(main)


if __name__ == "__main__":
    entry_point()
