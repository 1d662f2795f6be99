"""Loading kernels: from the cache of machine code, or by compiling them once."""

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
_CACHE_VERSION = "2"  # of the files, so that versions of lmlab do not overwrite each other's
_lock = threading.Lock()
_loaded: dict[str, dict[str, Kernel] | None] = {}


def load(group: str) -> dict[str, Kernel] | None:
    """The kernels of a group by name; None where this machine cannot compile them.

    Pointer arguments are addresses; see :func:`lmlab.tokenizer.buffers.address`.
    """
    with _lock:
        if group not in _loaded:
            _loaded[group] = _load(group)
        return _loaded[group]


def is_cached(group: str) -> bool:
    """Whether :func:`load` is fast: nothing needs compiling, or nothing can be compiled."""
    return group in _loaded or bool(_missing()) or user_cache.exists(_KIND, _name(group))


def _load(group: str) -> dict[str, Kernel] | None:
    if _missing():
        _warn_slow(_missing())
        return None
    with contextlib.suppress(OSError):  # a system that no longer loads libraries from memory
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
        user_cache.write(_KIND, _name(group), {"kind": kind, "signatures": signatures}, code)
    except DiskError as error:
        print(f"lmlab: cannot cache the compiled kernels: {error}", file=sys.stderr)
    return machine_code.link(kind, signatures, code)


def _is_installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


@functools.cache
def _missing() -> str:
    """What this machine lacks, or an empty string."""
    if not _is_installed("llvmlite"):
        return "llvmlite not installed"
    is_supported = sys.byteorder == "little" and ctypes.sizeof(ctypes.c_void_p) == 8
    return "" if is_supported else "not a little-endian 64-bit machine"


def _name(group: str) -> str:
    return f"{group}-{_key()}.kernels"


@functools.cache
def _warn_slow(reason: str) -> None:
    print(f"lmlab: tokenizing in pure Python, many times slower ({reason})", file=sys.stderr)


@functools.cache
def _key() -> str:
    """Hash of everything that the machine code depends on."""
    parts = [_CACHE_VERSION, *machine_code.made_by(), llvm_ir.sources()]
    return hashlib.sha256("\n".join(parts).encode("utf-8")).hexdigest()[:20]


def _build(group: str) -> tuple[dict[str, list[str]], bytes] | None:
    """Signatures and object code of a group; None if numba is needed and missing."""
    program = llvm_ir.shipped(group)
    if program is not None:
        # An older llvmlite may not read the IR of a newer one.
        with contextlib.suppress(RuntimeError), _report_compilation(group):
            return program.signatures, machine_code.emit(program.ir)
    if not _is_installed("numba"):
        _warn_slow("numba not installed")
        return None
    with _report_compilation(group):
        program = llvm_ir.written(group)
        return program.signatures, machine_code.emit(program.ir)


@contextlib.contextmanager
def _report_compilation(group: str) -> Iterator[None]:
    message = f"lmlab: compiling the tokenizer's kernels ({group}), once per machine ..."
    print(message, end="", file=sys.stderr, flush=True)
    start = time.perf_counter()
    try:
        yield
    finally:
        print(f" {time.perf_counter() - start:.1f} s", file=sys.stderr)
