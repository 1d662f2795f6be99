"""Standard output of the commands: closed pipes, and the width of the terminal."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from rich.console import Console

_STDOUT = 1


def run_main(main: Callable[[list[str]], int]) -> NoReturn:
    """Run a command's ``main`` on the command line and exit with its exit code.

    When the reader of stdout has exited, as ``head`` does, exit silently with the code that shells
    report for SIGPIPE.
    """
    try:
        try:
            sys.exit(main(sys.argv[1:]))
        finally:
            print(end="", flush=True)
    except BrokenPipeError:
        if not _reader_has_closed(_STDOUT):
            raise  # another pipe, to a process of our own
        # Python flushes stdout again at exit, and would print an error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), _STDOUT)
        sys.exit(128 + signal.SIGPIPE)


def _reader_has_closed(descriptor: int) -> bool:
    """Whether the other end of a pipe is closed."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return bool(poll.poll(0))


def stdout_console(width: int) -> Console:
    """Return a rich console on stdout.

    Args:
        width: characters per line when stdout is not a terminal.
    """
    from rich.console import Console

    class StdoutConsole(Console):
        def on_broken_pipe(self) -> None:
            raise  # called while BrokenPipeError is handled; rich would exit with 1

    return StdoutConsole(
        highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else width
    )
