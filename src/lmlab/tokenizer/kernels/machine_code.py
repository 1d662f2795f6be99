"""From LLVM's intermediate representation to functions of this processor."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

Kernel = Callable[..., int]

_engines: list[Any] = []  # keep the machine code mapped


def emit(ir: str) -> bytes:
    """An object file of ``ir``, optimized for this processor.

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


def link(signatures: dict[str, list[str]], code: bytes) -> dict[str, Kernel]:
    """The functions in an object file by name."""
    import llvmlite.binding as llvm

    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target_machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)
    kernels: dict[str, Kernel] = {}
    for name, signature in signatures.items():
        kinds = [ctypes.c_int64 if word == "i64" else ctypes.c_void_p for word in signature]
        kernels[name] = ctypes.CFUNCTYPE(ctypes.c_int64, *kinds)(engine.get_function_address(name))
    return kernels


@functools.cache
def processor() -> tuple[str, ...]:
    """What :func:`emit` depends on besides its input."""
    import llvmlite
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features().flatten()
    triple = llvm.get_default_triple()
    return llvmlite.__version__, triple, llvm.get_host_cpu_name(), features


def _target_machine() -> Any:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    _, triple, name, features = processor()
    return llvm.Target.from_triple(triple).create_target_machine(
        cpu=name, features=features, opt=3, reloc="pic", codemodel="jitdefault", jit=True
    )
