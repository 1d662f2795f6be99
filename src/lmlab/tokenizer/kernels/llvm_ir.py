"""The kernels in LLVM's intermediate representation: what numba wrote, of no one machine.

It is part of the package (``ir/GROUP.json.xz``), so that no user waits for numba. Where the sources
have changed since it was written, numba writes it anew, in a process of its own;

    python -m lmlab.tokenizer.kernels.compile_ir

puts that in its place (``--check`` only tells whether it is the same).
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
# For every processor alike: what is special to one is made of it later, see machine_code.
SETTINGS = {
    "NUMBA_CPU_NAME": "generic",
    "NUMBA_CPU_FEATURES": "",
    "NUMBA_LOOP_VECTORIZE": "0",
    "NUMBA_SLP_VECTORIZE": "0",
}


class Program(NamedTuple):
    """A group of kernels.

    Attributes:
        signatures: the types of each kernel's arguments, of ``language.TYPES``.
        ir: LLVM's text for them, without a target.
    """

    signatures: dict[str, list[str]]
    ir: str


def sources() -> str:
    """Hash of everything that kernels are made of."""
    digest = hashlib.sha256()
    for source in sorted(_HERE.glob("*.py")):
        if source.name not in _NOT_SOURCES:
            digest.update(source.read_bytes())
    return digest.hexdigest()


def shipped(group: str) -> Program | None:
    """What the package holds; None where it holds nothing, or the sources are others by now."""
    import lzma  # here and below: not for a process that finds machine code in the cache

    try:
        content = json.loads(lzma.decompress(_path(group).read_bytes()))
    except OSError:
        return None
    if content.pop("sources") != sources():
        return None
    return Program(**content)


def written(group: str) -> Program:
    """What numba makes of the sources, in some seconds."""
    import subprocess

    command = [sys.executable, "-m", "lmlab.tokenizer.kernels.compile_ir", "--print", group]
    done = subprocess.run(command, env=os.environ | SETTINGS, stdout=subprocess.PIPE, check=True)
    return Program(**json.loads(done.stdout))


def ship(group: str, program: Program) -> None:
    """Make ``program`` a part of the package."""
    import lzma

    content = json.dumps({"sources": sources(), **program._asdict()}).encode("utf-8")
    _path(group).parent.mkdir(exist_ok=True)
    atomic_write_bytes(_path(group), lzma.compress(content, preset=9))


def _path(group: str) -> Path:
    return _HERE / "ir" / f"{group}.json.xz"
