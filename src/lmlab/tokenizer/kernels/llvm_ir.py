"""The kernels in LLVM's intermediate representation, compiled by numba for no specific machine.

It is part of the package (``ir/GROUP.json.xz``), so that users need not wait for numba. If the
sources have changed since, numba compiles them again, in a separate process.

    python -m lmlab.tokenizer.kernels.compile_ir

updates the package; ``--check`` only checks whether it is up to date.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

from lmlab.storage.io import atomic_write_bytes

_HERE = Path(__file__).parent
_NOT_SOURCES = {"__init__.py", "llvm_ir.py", "library.py", "machine_code.py"}
# Generic: machine_code optimizes for the CPU at hand later.
SETTINGS = {
    "NUMBA_CPU_NAME": "generic",
    "NUMBA_CPU_FEATURES": "",
    "NUMBA_LOOP_VECTORIZE": "0",
    "NUMBA_SLP_VECTORIZE": "0",
}


class Program(NamedTuple):
    """A group of kernels.

    Attributes:
        signatures: the types of each kernel's arguments, from ``language.TYPES``.
        ir: LLVM IR of the kernels, without a target.
    """

    signatures: dict[str, list[str]]
    ir: str


def sources() -> str:
    """Hash of all sources that kernels are compiled from."""
    digest = hashlib.sha256()
    for source in sorted(_HERE.glob("*.py")):
        if source.name not in _NOT_SOURCES:
            digest.update(source.read_bytes())
    return digest.hexdigest()


def shipped(group: str) -> Program | None:
    """The program in the package; None if there is none or the sources have changed since."""
    import lzma  # here and below: not needed to load cached machine code

    try:
        content = json.loads(lzma.decompress(_path(group).read_bytes()))
    except OSError:
        return None
    if content.pop("sources") != sources():
        return None
    return Program(**content)


def written(group: str) -> Program:
    """Compile the sources with numba, which takes some seconds."""
    import subprocess

    command = [sys.executable, "-m", "lmlab.tokenizer.kernels.compile_ir", "--print", group]
    done = subprocess.run(command, env=os.environ | SETTINGS, stdout=subprocess.PIPE, check=True)
    return Program(**json.loads(done.stdout))


def ship(group: str, program: Program) -> None:
    """Store ``program`` in the package."""
    import lzma

    content = json.dumps({"sources": sources(), **program._asdict()}).encode("utf-8")
    _path(group).parent.mkdir(exist_ok=True)
    atomic_write_bytes(_path(group), lzma.compress(content, preset=9))


def _path(group: str) -> Path:
    return _HERE / "ir" / f"{group}.json.xz"
