"""Loading kernels: from the cache of object code, or by making that once."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import importlib.util
import sys
import threading
import time
from collections.abc import Iterator

from lmlab.errors import DiskError
from lmlab.storage import user_cache
from lmlab.tokenizer.kernels import llvm_ir, machine_code
from lmlab.tokenizer.kernels.machine_code import Kernel

_KIND = "kernels"
_lock = threading.Lock()
_loaded: dict[str, dict[str, Kernel] | None] = {}


def load(group: str) -> dict[str, Kernel] | None:
    """The kernels of a group by name; None where this machine cannot make them.

    Pointer arguments take the address itself, see :func:`lmlab.tokenizer.buffers.address`.
    """
    with _lock:
        if group not in _loaded:
            _loaded[group] = _load(group)
        return _loaded[group]


def is_cached(group: str) -> bool:
    """Whether :func:`load` would be quick: nothing to compile, or nothing that can be."""
    return group in _loaded or bool(_missing()) or user_cache.holds(_KIND, _name(group))


def _load(group: str) -> dict[str, Kernel] | None:
    if _missing():
        _tell_slow(_missing())
        return None
    with contextlib.suppress(OSError):  # of a system that has begun to refuse the library
        stored = user_cache.read(_KIND, _name(group))
        if stored is not None:
            return machine_code.link(**stored[0], code=stored[1])
    built = _build(group)
    if built is None:
        return None
    signatures, code = built
    library = machine_code.as_library(code)
    if library is not None:
        kind, code = machine_code.LIBRARY, library
    else:
        kind = machine_code.OBJECT
    try:
        user_cache.keep(_KIND, _name(group), {"kind": kind, "signatures": signatures}, code)
    except DiskError as error:
        print(f"lmlab: the compiled kernels cannot be kept: {error}", file=sys.stderr)
    return machine_code.link(kind, signatures, code)


def _is_installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


@functools.cache
def _missing() -> str:
    """What this machine lacks, or an empty string."""
    if not _is_installed("llvmlite"):
        return "llvmlite not installed"
    small = sys.byteorder != "little" or ctypes.sizeof(ctypes.c_void_p) != 8
    return "not a little-endian 64-bit machine" if small else ""


def _name(group: str) -> str:
    return f"{group}-{_key()}.kernels"


@functools.cache
def _tell_slow(reason: str) -> None:
    print(f"lmlab: tokenizing in pure Python, many times slower ({reason})", file=sys.stderr)


@functools.cache
def _key() -> str:
    """Hash of everything that the object code depends on."""
    parts = [*machine_code.made_by(), llvm_ir.sources()]
    return hashlib.sha256("\n".join(parts).encode("utf-8")).hexdigest()[:20]


def _build(group: str) -> tuple[dict[str, list[str]], bytes] | None:
    """Signatures and object code of a group; None where that takes numba and it is missing."""
    program = llvm_ir.shipped(group)
    if program is not None:
        # What a newer LLVM wrote may be more than this one reads.
        with contextlib.suppress(RuntimeError), _told(group):
            return program.signatures, machine_code.emit(program.ir)
    if not _is_installed("numba"):
        _tell_slow("numba not installed")
        return None
    with _told(group):
        program = llvm_ir.written(group)
        return program.signatures, machine_code.emit(program.ir)


@contextlib.contextmanager
def _told(group: str) -> Iterator[None]:
    told = f"lmlab: compiling the tokenizer's kernels ({group}), once on this machine ..."
    print(told, end="", file=sys.stderr, flush=True)
    start = time.perf_counter()
    try:
        yield
    finally:
        print(f" {time.perf_counter() - start:.1f} s", file=sys.stderr)
