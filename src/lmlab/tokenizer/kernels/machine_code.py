"""From LLVM's intermediate representation to functions of this processor.

Machine code is an object, which LLVM loads, or where a machine with Linux has a C++ compiler, whose
linker is wanted, a shared library made of it, which the system loads in a tenth of the time.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lmlab.runtime.processor import cpu_info

Kernel = Callable[..., int]
OBJECT, LIBRARY = "object", "library"

_names = itertools.count()
_engines: list[Any] = []  # keep the machine code mapped


def emit(ir: str) -> bytes:
    """An object of ``ir``, optimized for this processor.

    Raises:
        RuntimeError: this llvmlite does not read it.
    """
    import llvmlite.binding as llvm

    machine = _target_machine()
    module = llvm.parse_assembly(ir)
    module.triple = llvm.get_default_triple()
    module.data_layout = str(machine.target_data)
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = options.slp_vectorization = True
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return machine.emit_object(module)


def as_library(code: bytes) -> bytes | None:
    """The shared library of an object; None where this machine makes or loads none."""
    import subprocess  # like LLVM: not for whoever finds what was made before
    import tempfile

    from lmlab.runtime.cpp_extension import find_compiler

    compiler = find_compiler()
    if compiler is None or not hasattr(os, "memfd_create"):
        return None
    try:
        with tempfile.TemporaryDirectory() as room:
            source, made = Path(room) / "kernels.o", Path(room) / "kernels.so"
            source.write_bytes(code)
            command = [compiler, "-shared", "-o", str(made), str(source)]
            if subprocess.run(command, capture_output=True, check=False).returncode:
                return None
            library = made.read_bytes()
            _open(library)
            return library
    except OSError:  # no such compiler, no room, or a system that runs no code from memory
        return None


def link(kind: str, signatures: dict[str, list[str]], code: bytes) -> dict[str, Kernel]:
    """The functions by name.

    Args:
        kind: of ``code``, ``OBJECT`` or ``LIBRARY``.
        signatures: the types of each function's arguments, of ``language.TYPES``.
        code: what :func:`emit` or :func:`as_library` made.

    Raises:
        OSError: this system does not load the library.
    """
    place = _place_in_library(code) if kind == LIBRARY else _place_in_object(code)
    kernels: dict[str, Kernel] = {}
    for name, signature in signatures.items():
        kinds = [ctypes.c_int64 if word == "i64" else ctypes.c_void_p for word in signature]
        kernels[name] = ctypes.CFUNCTYPE(ctypes.c_int64, *kinds)(place(name))
    return kernels


def _place_in_library(code: bytes) -> Callable[[str], int]:
    library = _open(code)
    return lambda name: ctypes.cast(library[name], ctypes.c_void_p).value or 0


def _open(library: bytes) -> ctypes.CDLL:
    # From memory, so that what is loaded is what was checked, and a home may forbid execution.
    descriptor = os.memfd_create("lmlab-kernels")
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(library)
        # A name of its own: of two libraries with one name, the system gives the first again.
        return ctypes.CDLL(f"/proc/self/{'./' * next(_names)}fd/{descriptor}")
    finally:
        os.close(descriptor)


def _place_in_object(code: bytes) -> Callable[[str], int]:
    import llvmlite.binding as llvm

    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target_machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)
    place: Callable[[str], int] = engine.get_function_address
    return place


@functools.cache
def made_by() -> tuple[str, ...]:
    """What :func:`emit` depends on besides its input: the processor, and LLVM's version."""
    found = importlib.util.find_spec("llvmlite")
    assert found is not None and found.origin is not None
    version = (Path(found.origin).parent / "_version.py").read_text("utf-8")
    # Linux describes the CPU without LLVM, which takes a while to load.
    described = tuple(f"{key}: {value}" for key, value in cpu_info().items())
    return version, *(described or _target())


def _target() -> tuple[str, ...]:
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features().flatten()
    return llvm.get_default_triple(), llvm.get_host_cpu_name(), features


def _target_machine() -> Any:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    triple, name, features = _target()
    return llvm.Target.from_triple(triple).create_target_machine(
        cpu=name, features=features, opt=3, reloc="pic", codemodel="jitdefault", jit=True
    )
