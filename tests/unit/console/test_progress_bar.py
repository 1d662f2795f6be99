"""Progress is a bar on a terminal, and lines in a log."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios

SCRIPT = """
from lmlab.console.progress_bar import progress
with progress(total=3, desc="counting") as bar:
    bar.update()
    bar.update(2)
    bar.set_postfix_str("done")
print([item for item in progress(range(3), shown={shown})])
import sys
print("tqdm" in sys.modules)
"""


def run(error: int, shown: bool = True) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", SCRIPT.format(shown=shown)]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=error, check=True)


def test_a_log_shows_no_bar() -> None:
    done = run(subprocess.PIPE)
    assert done.stderr == b""
    assert done.stdout == b"[0, 1, 2]\nFalse\n"


def test_a_terminal_shows_a_bar() -> None:
    master, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    try:
        done = run(terminal, shown=False)
        os.set_blocking(master, False)
        output = os.read(master, 1 << 16)
    finally:
        os.close(master)
        os.close(terminal)
    assert done.stdout == b"[0, 1, 2]\nTrue\n"
    assert b"counting: 100%" in output
    assert b"3/3" in output
    assert b", done]" in output
    assert output.count(b"\n") == 1, "the second bar is not shown"
