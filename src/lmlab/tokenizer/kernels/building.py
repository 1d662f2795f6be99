"""Compiling a group of kernels with numba; the only place that runs the compiler."""

from __future__ import annotations

import importlib
from typing import Any

import llvmlite.binding as llvm
from numba.core import compiler, types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target

from lmlab.tokenizer.kernels.language import TYPES

_C_TYPES = {"i64": "i64"}  # every other one is a pointer


def build(group: str) -> tuple[dict[str, list[str]], bytes]:
    """Compile every kernel of a group for this processor.

    Returns:
        The argument types of each kernel by its name, and an object file in which the kernels are
        C functions of those names.
    """
    module = importlib.import_module(f"lmlab.tokenizer.kernels.{group}")
    kernels = {
        name: value for name, value in vars(module).items() if hasattr(value, "__lmlab_kernel__")
    }
    signatures = {name: value.__lmlab_kernel__ for name, value in kernels.items()}
    whole = llvm.parse_assembly("")
    for name, function in kernels.items():
        whole.link_in(llvm.parse_assembly(_compile(name, function, signatures[name])))
    whole.verify()
    return signatures, _target_machine().emit_object(whole)


def _compile(name: str, function: Any, signature: list[str]) -> str:
    """LLVM's language for a kernel, optimized by numba, and a C function that calls it."""
    typing_context, target_context = cpu_target.typing_context, cpu_target.target_context
    typing_context.refresh()
    target_context.refresh()
    flags = compiler.Flags()
    flags.no_cpython_wrapper = True
    flags.no_cfunc_wrapper = True
    flags.no_compile = True
    flags.error_model = "numpy"
    arguments = tuple(TYPES[word] for word in signature)
    found = compiler.compile_extra(
        typing_context, target_context, function, arguments, types.int64, flags, {}
    )
    with global_compiler_lock:
        found.library.finalize()  # links what it calls, and optimizes
    return found.library.get_llvm_str() + _c_function(name, found.fndesc.mangled_name, signature)


def _c_function(name: str, target: str, signature: list[str]) -> str:
    """Numba's functions return a status and take a place for the result; C's return it."""
    declared = [f"{_C_TYPES.get(word, 'ptr')} %a{place}" for place, word in enumerate(signature)]
    passed = ["ptr %result", "ptr %error", *declared]
    return f"""
define i64 @{name}({", ".join(declared)}) {{
  %result = alloca i64
  %error = alloca ptr
  store i64 0, ptr %result
  %status = call i32 @"{target}"({", ".join(passed)})
  %value = load i64, ptr %result
  ret i64 %value
}}
"""


def _target_machine() -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        reloc="pic",
        codemodel="jitdefault",
        jit=True,
    )
