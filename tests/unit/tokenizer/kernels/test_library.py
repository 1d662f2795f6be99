"""Kernels are compiled once per machine, and a damaged cache is repaired."""

from __future__ import annotations

from pathlib import Path

import pytest
from kernel_package import HIDE, LINKS, PROGRAM, copy_package, run

from lmlab.tokenizer.kernels import library


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return copy_package(tmp_path)


@pytest.mark.parametrize("compiler", ["", "none-of-that-name", "/bin/false"])
def test_kernels_are_compiled_once_then_loaded_without_numba(
    package: Path, tmp_path: Path, compiler: str
) -> None:
    """With a linker, the second process needs no LLVM either."""
    more = {"CXX": compiler} if compiler else {}
    links = LINKS and not compiler
    output, errors = run(package, tmp_path / "cache", **more)
    assert output == {"cached": "False", "loaded": "42", "numba": "False", "llvmlite": "True"}
    assert "compiling the tokenizer's kernels (sums), once per machine" in errors
    output, errors = run(package, tmp_path / "cache", **more)
    loaded = {"cached": "True", "loaded": "42", "numba": "False", "llvmlite": str(not links)}
    assert output == loaded
    assert errors == ""


@pytest.mark.long
@pytest.mark.parametrize("keep", [0, 20, -100])
def test_a_damaged_cache_file_is_compiled_again(package: Path, tmp_path: Path, keep: int) -> None:
    run(package, tmp_path / "cache")
    (file,) = (tmp_path / "cache").rglob("*.kernels")
    file.write_bytes(file.read_bytes()[:keep])
    output, errors = run(package, tmp_path / "cache")
    assert output["loaded"] == "42"
    assert "compiling" in errors
    output, errors = run(package, tmp_path / "cache")
    assert (output["loaded"], errors) == ("42", "")


def test_a_cache_that_cannot_be_written_is_reported(package: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.write_text("a file where a folder is needed")
    output, errors = run(package, cache)
    assert output["loaded"] == "42"
    assert "cannot cache the compiled kernels" in errors


def test_shipped_groups_need_no_numba(tmp_path: Path) -> None:
    program = HIDE.format(name="numba") + PROGRAM.replace("sums", "merges").replace("add", "none")
    program = program.replace('found["none"](40, 2)', "len(found) > 0")
    source = Path(library.__file__).parents[3]
    output, errors = run(source, tmp_path / "cache", program)
    assert output == {"cached": "False", "loaded": "True", "numba": "False", "llvmlite": "True"}
    assert "compiling the tokenizer's kernels (merges)" in errors


@pytest.mark.parametrize("name", ["numba", "llvmlite"])
def test_without_a_compiler_one_line_says_that_python_is_used(
    package: Path, tmp_path: Path, name: str
) -> None:
    program = HIDE.format(name=name) + PROGRAM + "library.load('others')\n"
    output, errors = run(package, tmp_path / "cache", program)
    assert output["loaded"] == "False"
    (line,) = errors.splitlines()
    assert "pure Python, many times slower" in line
    assert f"{name} not installed" in line
