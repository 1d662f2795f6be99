"""Compile kernels to LLVM's intermediate representation: the only module that runs numba."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
from numba.core import compiler, types
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target

from lmlab.tokenizer.kernels import llvm_ir
from lmlab.tokenizer.kernels.language import TYPES
from lmlab.tokenizer.kernels.llvm_ir import Program

_C_TYPES = {"i64": "i64"}  # all others are pointers


def build(group: str) -> Program:
    """Compile every kernel of a group to a C function, with the numba settings of this process."""
    kernels = _kernels(group)
    signatures = {name: value.__lmlab_kernel__ for name, value in kernels.items()}
    module = llvm.parse_assembly("")
    for name, function in kernels.items():
        module.link_in(llvm.parse_assembly(_compile(name, function, signatures[name])))
    for value in [*module.functions, *module.global_variables]:
        if not value.is_declaration and value.name not in kernels:
            value.linkage = llvm.Linkage.internal
    module.verify()
    return Program(signatures, _for_every_llvm(str(module)))


def _for_every_llvm(text: str) -> str:
    """Remove the target, and hints that LLVM 20 reads differently or not at all."""
    lines = [
        line
        for line in text.splitlines()
        if not line.startswith(("target ", "; ModuleID")) and "@llvm.lifetime." not in line
    ]
    return "\n".join(lines).replace("nocreateundeforpoison ", "")


def groups() -> list[str]:
    """The modules of this package that define kernels."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("*.py"))
    written = [name for name in names if name not in ("__init__", "compile_ir", "language")]
    return [name for name in written if _kernels(name)]


def _kernels(group: str) -> dict[str, Any]:
    module = importlib.import_module(f"lmlab.tokenizer.kernels.{group}")
    return {
        name: value for name, value in vars(module).items() if hasattr(value, "__lmlab_kernel__")
    }


def _compile(name: str, function: Any, signature: list[str]) -> str:
    """The LLVM IR of a kernel, optimized by numba, and of a C function that calls it."""
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
        found.library.finalize()  # links callees and optimizes
    return found.library.get_llvm_str() + _c_function(name, found.fndesc.mangled_name, signature)


def _c_function(name: str, target: str, signature: list[str]) -> str:
    """Wrap a numba function, which returns a status and stores its result through a pointer."""
    declared = [f"{_C_TYPES.get(word, 'ptr')} %a{index}" for index, word in enumerate(signature)]
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


def main() -> None:
    """Update the intermediate representation in the package, or check or print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="check whether it is up to date")
    parser.add_argument("--print", metavar="GROUP", help="print a group to stdout")
    options = parser.parse_args()
    if options.print:
        print(json.dumps(build(options.print)._asdict()))
        return
    for group in groups():
        program = llvm_ir.written(group)
        unchanged = llvm_ir.shipped(group) == program
        if options.check and not unchanged:
            raise SystemExit(f"{group}: not up to date with its sources; run without --check")
        if not unchanged:
            llvm_ir.ship(group, program)
        print(f"{group}: {'unchanged' if unchanged else 'written'}")


if __name__ == "__main__":
    main()
