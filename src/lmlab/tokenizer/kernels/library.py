"""Loading kernels: from the cache of object code, or by compiling them once."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.util
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from lmlab.errors import DiskError
from lmlab.io import atomic_write_bytes

Kernel = Callable[..., int]

_NEEDED = ("llvmlite", "numba")
_lock = threading.Lock()
_loaded: dict[str, dict[str, Kernel] | None] = {}
_engines: list[Any] = []  # keep the machine code mapped


def load(group: str) -> dict[str, Kernel] | None:
    """The kernels of a group by name; None where this machine cannot make them.

    Pointer arguments take any object whose address :func:`address` gives, or the address itself.
    """
    with _lock:
        if group not in _loaded:
            _loaded[group] = _load(group)
        return _loaded[group]


def is_cached(group: str) -> bool:
    """Whether :func:`load` would be quick: nothing to compile, or nothing that can be."""
    return group in _loaded or bool(_missing()) or _path(group).is_file()


def address(array: Any) -> int:
    """Where a numpy array's data begins."""
    return int(array.__array_interface__["data"][0])


def cache_folder() -> Path:
    """Where this user's object code is kept."""
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "lmlab" / "kernels"


def _load(group: str) -> dict[str, Kernel] | None:
    missing = _missing()
    if missing:
        _tell_slow(missing)
        return None
    path = _path(group)
    stored = _read(path)
    if stored is None:
        stored = _build(group)
        _keep(path, *stored)
    signatures, code = stored
    return _link(signatures, code)


@functools.cache
def _missing() -> str:
    """What this machine lacks, or an empty string."""
    names = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if names:
        return f"{' and '.join(names)} not installed"
    small = sys.byteorder != "little" or ctypes.sizeof(ctypes.c_void_p) != 8
    return "not a little-endian 64-bit machine" if small else ""


def _path(group: str) -> Path:
    return cache_folder() / f"{group}-{_key()}.kernels"


@functools.cache
def _tell_slow(reason: str) -> None:
    print(f"lmlab: tokenizing in pure Python, many times slower ({reason})", file=sys.stderr)


@functools.cache
def _key() -> str:
    """Hash of everything that the object code depends on."""
    import llvmlite.binding as llvm

    parts = [f"{name} {metadata.version(name)}" for name in _NEEDED]
    parts += [llvm.get_default_triple(), llvm.get_host_cpu_name()]
    parts.append(llvm.get_host_cpu_features().flatten())
    digest = hashlib.sha256("\n".join(parts).encode("utf-8"))
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:20]


def _build(group: str) -> tuple[dict[str, list[str]], bytes]:
    print(
        f"lmlab: compiling the tokenizer's kernels ({group}), once on this machine ...",
        end="",
        file=sys.stderr,
        flush=True,
    )
    start = time.perf_counter()
    from lmlab.tokenizer.kernels.building import build

    built = build(group)
    print(f" {time.perf_counter() - start:.1f} s", file=sys.stderr)
    return built


# A stored group: the length of its signatures' JSON, a checksum of the rest, the JSON, the object.
_HEAD = 8 + 32


def _keep(path: Path, signatures: dict[str, list[str]], code: bytes) -> None:
    text = json.dumps(signatures).encode("utf-8")
    rest = text + code
    head = len(text).to_bytes(8, "little") + hashlib.sha256(rest).digest()
    try:
        atomic_write_bytes(path, head + rest)
    except DiskError as error:
        print(f"lmlab: the compiled kernels cannot be kept: {error}", file=sys.stderr)


def _read(path: Path) -> tuple[dict[str, list[str]], bytes] | None:
    try:
        data = path.read_bytes()
    except OSError:
        return None
    rest = data[_HEAD:]
    if hashlib.sha256(rest).digest() != data[8:_HEAD]:
        return None
    length = int.from_bytes(data[:8], "little")
    return json.loads(rest[:length]), rest[length:]


def _link(signatures: dict[str, list[str]], code: bytes) -> dict[str, Kernel]:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)
    kernels: dict[str, Kernel] = {}
    for name, signature in signatures.items():
        kinds = [ctypes.c_int64 if word == "i64" else ctypes.c_void_p for word in signature]
        kernels[name] = ctypes.CFUNCTYPE(ctypes.c_int64, *kinds)(engine.get_function_address(name))
    return kernels
