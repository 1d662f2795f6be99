"""Commands whose output is a closed pipe."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CLOSED_PIPE = 141  # 128 + SIGPIPE
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def run_with_closed_pipe(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run Python with a stdout whose reader has exited."""
    read, write = os.pipe()
    os.close(read)
    try:
        return subprocess.run(
            [sys.executable, *arguments], stdout=write, stderr=subprocess.PIPE, env=BUFFERED
        )
    finally:
        os.close(write)


@pytest.mark.parametrize(
    "arguments",
    [
        ["-m", "lmlab.outputs", "--help"],  # fits into a buffer: written when Python exits
        ["-m", "lmlab.outputs", "--root", "."],
        ["-u", "-m", "lmlab.account"],
        ["-m", "lmlab.account", "--json"],
        ["-m", "lmlab.train", "--help"],
        ["-m", "lmlab.tokenize", "encode", "--help"],
        ["-u", "-m", "lmlab.train", "--cfg", "job"],
    ],
)
def test_a_closed_pipe_ends_a_command_silently(arguments: list[str]) -> None:
    ended = run_with_closed_pipe(*arguments)
    assert (ended.returncode, ended.stderr.decode()) == (CLOSED_PIPE, "")


def test_a_closed_stdout_is_not_an_error() -> None:
    command = f"{sys.executable} -m lmlab.outputs --root . >&-"
    ended = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, env=BUFFERED)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_another_broken_pipe_is_reported(tmp_path: Path) -> None:
    script = (
        "import sys; from lmlab.console.stdout import run_main\n"
        "def main(argv): raise BrokenPipeError('of a worker')\n"
        "run_main(main)"
    )
    with open(tmp_path / "out", "wb") as out:
        ended = subprocess.run([sys.executable, "-c", script], stdout=out, stderr=subprocess.PIPE)
    assert ended.returncode == 1 and b"of a worker" in ended.stderr
