"""How the heads end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

UNREAD = 141  # 128 + SIGPIPE
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def run_unread(*words: str) -> subprocess.CompletedProcess[bytes]:
    """Run Python with a standard output that nobody reads any more."""
    read, write = os.pipe()
    os.close(read)
    try:
        return subprocess.run(
            [sys.executable, *words], stdout=write, stderr=subprocess.PIPE, env=BUFFERED
        )
    finally:
        os.close(write)


@pytest.mark.parametrize(
    "words",
    [
        ["-m", "lmlab.outputs", "--help"],  # fits into a buffer: written as Python ends
        ["-m", "lmlab.outputs", "--root", "."],
        ["-u", "-m", "lmlab.account"],
        ["-m", "lmlab.account", "--json"],
        ["-m", "lmlab.train", "--help"],
        ["-m", "lmlab.tokenize", "encode", "--help"],
        ["-u", "-m", "lmlab.train", "--cfg", "job"],
    ],
)
def test_a_head_whose_output_nobody_reads_ends_without_a_word(words: list[str]) -> None:
    ended = run_unread(*words)
    assert (ended.returncode, ended.stderr.decode()) == (UNREAD, "")


def test_a_closed_output_is_no_mistake() -> None:
    command = f"{sys.executable} -m lmlab.outputs --root . >&-"
    ended = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, env=BUFFERED)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_a_broken_pipe_of_our_own_is_told(tmp_path: Path) -> None:
    script = (
        "import sys; from lmlab.console.command_line import run_main\n"
        "def main(argv): raise BrokenPipeError('of a worker')\n"
        "run_main(main)"
    )
    with open(tmp_path / "out", "wb") as out:
        ended = subprocess.run([sys.executable, "-c", script], stdout=out, stderr=subprocess.PIPE)
    assert ended.returncode == 1 and b"of a worker" in ended.stderr
