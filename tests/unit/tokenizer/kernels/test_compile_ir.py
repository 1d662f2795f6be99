"""The shipped intermediate representation is that of the sources."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from lmlab.tokenizer.kernels import llvm_ir


@pytest.mark.long
@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="numba compiles Python's bytecode: the IR is 3.11's"
)
def test_the_shipped_ir_is_compiled_from_the_sources() -> None:
    """``python -m lmlab.tokenizer.kernels.compile_ir`` updates it."""
    command = [sys.executable, "-m", "lmlab.tokenizer.kernels.compile_ir", "--check"]
    environment = dict(os.environ) | llvm_ir.SETTINGS
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    output = dict(line.split(": ") for line in done.stdout.splitlines())
    assert set(output) >= {"counting", "encoding", "merges"}
    assert set(output.values()) == {"unchanged"}
