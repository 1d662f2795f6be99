"""Types a command as it stands on a page: with its own folder, environment and words."""

from __future__ import annotations

import shlex
from pathlib import Path

from warm import run_code, run_head


def type_command(command: str, folder: Path, environment: dict[str, str]) -> str:
    """Run ``python -m lmlab....`` or, where it begins otherwise, Python code; what it printed.

    Raises:
        AssertionError: it ended with another exit code than 0; with all that it printed.
    """
    if command.startswith("python -m lmlab."):
        _, _, module, *words = shlex.split(command)
        done = run_head(module.removeprefix("lmlab."), *words, cwd=folder, env=environment)
        code, printed = done.returncode, done.stdout + done.stderr
    else:
        code, printed = run_code(command, folder, environment)
    assert code == 0, f"{command}\n{printed}"
    return printed
