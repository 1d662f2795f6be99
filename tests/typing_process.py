"""Types a command in a process forked from one that has torch imported already.

It is the command as it stands, with its own process, folder, environment and words; what
it is spared are the seconds in which torch is imported. A module, so that the process can
import it.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import shlex
import sys
import traceback
from pathlib import Path


def type_command(command: str, folder: Path, environment: dict[str, str]) -> str:
    """Run ``python -m lmlab....`` or, where it begins otherwise, Python code; what it printed.

    Raises:
        AssertionError: it ended with another exit code than 0; with all that it printed.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lmlab.run", "lmlab.loading"])
    printed = folder.parent / "printed.txt"
    process = context.Process(target=_work, args=(command, folder, environment, printed))
    process.start()
    process.join(600)
    if process.exitcode is None:
        process.kill()
        process.join()
    text = printed.read_text("utf-8")
    assert process.exitcode == 0, f"{command}\n{text}"
    return text


def _work(command: str, folder: Path, environment: dict[str, str], printed: Path) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    with open(printed, "wb") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    sys.path.insert(0, str(folder))
    code: object = 0
    try:
        if command.startswith("python -m lmlab."):
            _, _, module, *words = shlex.split(command)
            sys.argv = [module, *words]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        else:
            exec(compile(command, "<page>", "exec"), {"__name__": "__page__"})
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(code)  # type: ignore[arg-type]
