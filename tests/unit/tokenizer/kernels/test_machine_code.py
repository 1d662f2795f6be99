"""Objects and shared libraries of the same IR compute the same."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest
from kernel_package import LINKS, PROGRAM, copy_package, run

from lmlab.tokenizer.buffers import Memory, address
from lmlab.tokenizer.kernels import llvm_ir, machine_code


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return copy_package(tmp_path)


REFUSE = """
import ctypes
plain = ctypes.CDLL
def refuse(name, *rest):
    if str(name).startswith("/proc"):
        raise OSError("no code from memory here")
    return plain(name, *rest)
ctypes.CDLL = refuse
"""


@pytest.mark.long
@pytest.mark.skipif(not LINKS, reason="no compiler here whose linker makes libraries")
@pytest.mark.parametrize("since", ["always", "now"])
def test_systems_without_library_loading_use_the_object(
    package: Path, tmp_path: Path, since: str
) -> None:
    if since == "now":
        run(package, tmp_path / "cache")
    for number in range(2):
        output, errors = run(package, tmp_path / "cache", REFUSE + PROGRAM)
        assert (output["loaded"], output["llvmlite"]) == ("42", "True")
        assert ("compiling" in errors) == (number == 0)


def test_kernels_call_no_numba_or_python_function() -> None:
    """Their functions do not exist where a kernel is loaded."""
    import llvmlite.binding as llvm

    for group in ("encoding", "boundaries"):
        program = llvm_ir.shipped(group)
        assert program is not None
        code = machine_code.emit(program.ir)
        target = llvm.ObjectFileRef.from_data(code)
        assert any(section.is_text() for section in target.sections())
        for word in (b"NRT_", b"numba_", b"Py"):
            assert word not in code, (group, word)


@pytest.mark.skipif(not LINKS, reason="no compiler here whose linker makes libraries")
def test_a_library_computes_the_same_as_the_object() -> None:
    program = llvm_ir.shipped("encoding")
    assert program is not None
    code = machine_code.emit(program.ir)
    made = machine_code.as_library(code)
    assert made is not None
    found = []
    for kind, content in ((machine_code.OBJECT, code), (machine_code.LIBRARY, made)):
        fill = machine_code.link(kind, program.signatures, content)["fill_pairs"]
        rows, pairs = array("i", [97, 98, 256, 256, 99, 257]), Memory(16 * 8)
        assert fill(address(rows), 2, pairs.address, 7) == 0
        found.append(bytes(pairs.view))
    assert found[0] == found[1]
    assert any(byte not in (0, 255) for byte in found[0])
