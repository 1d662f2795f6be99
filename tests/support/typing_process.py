"""Runs a command as a page of the documentation shows it."""

from __future__ import annotations

import shlex
from pathlib import Path

from warm import run_code, run_command


def type_command(command: str, folder: Path, environment: dict[str, str]) -> str:
    """Run a command of lmlab, or Python code, and return its output.

    Args:
        command: ``lmlab ...``, ``python -m lmlab...``, or Python code.
        folder: its working directory.
        environment: its complete environment.

    Raises:
        AssertionError: the exit code is not 0; the message holds the output.
    """
    if command.startswith("python -m lmlab."):
        _, _, module, *arguments = shlex.split(command)
        name = module.removeprefix("lmlab.")
    elif command.startswith("lmlab "):
        name, arguments = "", shlex.split(command)[1:]
    else:
        code, output = run_code(command, folder, environment)
        assert code == 0, f"{command}\n{output}"
        return output
    done = run_command(name, *arguments, cwd=folder, env=environment)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr
