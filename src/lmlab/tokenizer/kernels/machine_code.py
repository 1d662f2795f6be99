"""From LLVM's intermediate representation to callable functions for this CPU.

Machine code is stored as an object, which LLVM loads. On Linux with a C++ compiler, whose linker is
needed, it is stored as a shared library, which the system loads in a tenth of the time.
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
_engines: list[Any] = []  # references that keep the machine code mapped


def emit(ir: str) -> bytes:
    """Compile ``ir`` to an object, optimized for this CPU.

    Raises:
        RuntimeError: this version of llvmlite cannot read it.
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
    """Link an object to a shared library; None where this machine cannot make or load one."""
    import subprocess  # like LLVM, not needed to load cached code
    import tempfile

    from lmlab.runtime.cpp_extension import find_compiler

    compiler = find_compiler()
    if compiler is None or not hasattr(os, "memfd_create"):
        return None
    try:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "kernels.o", Path(folder) / "kernels.so"
            source.write_bytes(code)
            command = [compiler, "-shared", "-o", str(target), str(source)]
            if subprocess.run(command, capture_output=True, check=False).returncode:
                return None
            library = target.read_bytes()
            _open(library)
            return library
    except OSError:  # no such compiler, disk full, or a system that runs no code from memory
        return None


def link(kind: str, signatures: dict[str, list[str]], code: bytes) -> dict[str, Kernel]:
    """Load the functions, by name.

    Args:
        kind: of ``code``: ``OBJECT`` or ``LIBRARY``.
        signatures: the types of each function's arguments, from ``language.TYPES``.
        code: the result of :func:`emit` or :func:`as_library`.

    Raises:
        OSError: this system does not load the library.
    """
    address_of = _load_library(code) if kind == LIBRARY else _load_object(code)
    kernels: dict[str, Kernel] = {}
    for name, signature in signatures.items():
        types = [ctypes.c_int64 if type == "i64" else ctypes.c_void_p for type in signature]
        kernels[name] = ctypes.CFUNCTYPE(ctypes.c_int64, *types)(address_of(name))
    return kernels


def _load_library(code: bytes) -> Callable[[str], int]:
    library = _open(code)
    return lambda name: ctypes.cast(library[name], ctypes.c_void_p).value or 0


def _open(library: bytes) -> ctypes.CDLL:
    # From memory: the loaded bytes are those that were checked, even where $HOME is mounted noexec.
    descriptor = os.memfd_create("lmlab-kernels")
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(library)
        # A unique name: for a second library of the same name, the system returns the first.
        return ctypes.CDLL(f"/proc/self/{'./' * next(_names)}fd/{descriptor}")
    finally:
        os.close(descriptor)


def _load_object(code: bytes) -> Callable[[str], int]:
    import llvmlite.binding as llvm

    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target_machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)
    address_of: Callable[[str], int] = engine.get_function_address
    return address_of


@functools.cache
def made_by() -> tuple[str, ...]:
    """What :func:`emit` depends on apart from its input: the version of LLVM and the CPU."""
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
