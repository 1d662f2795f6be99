"""Outdated or unreadable intermediate representation is compiled again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from kernel_package import HIDE, KERNEL, PROGRAM, copy_package, run

from lmlab.tokenizer.kernels import library


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return copy_package(tmp_path)


def test_changed_sources_are_compiled_again(package: Path, tmp_path: Path) -> None:
    run(package, tmp_path / "cache")
    source = package / "lmlab" / "tokenizer" / "kernels" / "sums.py"
    source.write_text(KERNEL.replace("left + right", "left + right + 1"))
    output, _ = run(package, tmp_path / "cache")
    assert output["loaded"] == "43"


def test_ir_that_llvm_cannot_read_is_compiled_again(package: Path, tmp_path: Path) -> None:
    """As with an llvmlite older than the one that wrote it."""
    copy = package / "lmlab" / "tokenizer" / "kernels"
    shutil.copytree(Path(library.__file__).parent / "ir", copy / "ir")
    spoil = """
from lmlab.tokenizer.kernels import llvm_ir
found = llvm_ir.Program({"add": ["i64", "i64"]}, "define i64 @add(strange")
llvm_ir.ship("sums", found)
"""
    output, errors = run(package, tmp_path / "cache", spoil + PROGRAM)
    assert output["loaded"] == "42"
    output, errors = run(package, tmp_path / "other", HIDE.format(name="numba") + PROGRAM)
    assert output["loaded"] == "False"
    assert "numba not installed" in errors.splitlines()[-1]
