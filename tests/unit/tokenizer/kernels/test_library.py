"""Kernels are compiled once on a machine, and whatever is wrong with the cache is put right."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from array import array
from pathlib import Path

import pytest

from lmlab.runtime.cpp_extension import find_compiler
from lmlab.tokenizer.buffers import Memory, address
from lmlab.tokenizer.kernels import library, llvm_ir, machine_code

# A group of one small kernel that the package does not hold: numba writes it within seconds.
PROGRAM = """
import sys
from lmlab.tokenizer.kernels import library
print("cached", library.is_cached("sums"))
found = library.load("sums")
print("loaded", found is not None and found["add"](40, 2))
print("numba", "numba" in sys.modules)
print("llvmlite", "llvmlite" in sys.modules)
"""
KERNEL = """
from lmlab.tokenizer.kernels.language import kernel

@kernel("i64 i64")
def add(left, right):
    return left + right
"""


NEEDED = ("__init__.py", "errors.py", "runtime", "storage", "tokenizer")
LINKS = sys.platform == "linux" and find_compiler() is not None


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package with the group ``sums``."""
    source = Path(library.__file__).parents[2]
    copy = tmp_path / "src" / "lmlab"
    for path in source.rglob("*.py"):
        if path.relative_to(source).parts[0] in NEEDED:
            target = copy / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    (copy / "tokenizer" / "kernels" / "sums.py").write_text(KERNEL)
    return tmp_path / "src"


def run(
    package: Path, cache: Path, program: str = PROGRAM, **more: str
) -> tuple[dict[str, str], str]:
    environment = dict(os.environ) | {
        "PYTHONPATH": str(package),
        "XDG_CACHE_HOME": str(cache),
        "HOME": str(cache),
        **more,
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return dict(line.split(" ", 1) for line in done.stdout.splitlines()), done.stderr


@pytest.mark.parametrize("compiler", ["", "none-of-that-name", "/bin/false"])
def test_compiled_once_and_told_then_loaded_without_numba(
    package: Path, tmp_path: Path, compiler: str
) -> None:
    """And without LLVM, where a compiler's linker has made a library of the object."""
    more = {"CXX": compiler} if compiler else {}
    links = LINKS and not compiler
    told, errors = run(package, tmp_path / "cache", **more)
    assert told == {"cached": "False", "loaded": "42", "numba": "False", "llvmlite": "True"}
    assert "compiling the tokenizer's kernels (sums), once per machine" in errors
    told, errors = run(package, tmp_path / "cache", **more)
    loaded = {"cached": "True", "loaded": "42", "numba": "False", "llvmlite": str(not links)}
    assert told == loaded
    assert errors == ""


REFUSE = """
import ctypes
plain = ctypes.CDLL
def refuse(name, *rest):
    if str(name).startswith("/proc"):
        raise OSError("no code from memory here")
    return plain(name, *rest)
ctypes.CDLL = refuse
"""


@pytest.mark.skipif(not LINKS, reason="no compiler here whose linker makes libraries")
@pytest.mark.parametrize("since", ["always", "now"])
def test_where_no_library_is_loaded_llvm_loads_the_object(
    package: Path, tmp_path: Path, since: str
) -> None:
    if since == "now":
        run(package, tmp_path / "cache")
    for number in range(2):
        told, errors = run(package, tmp_path / "cache", REFUSE + PROGRAM)
        assert (told["loaded"], told["llvmlite"]) == ("42", "True")
        assert ("compiling" in errors) == (number == 0)


def test_a_change_of_the_sources_compiles_anew(package: Path, tmp_path: Path) -> None:
    run(package, tmp_path / "cache")
    source = package / "lmlab" / "tokenizer" / "kernels" / "sums.py"
    source.write_text(KERNEL.replace("left + right", "left + right + 1"))
    told, _ = run(package, tmp_path / "cache")
    assert told["loaded"] == "43"


@pytest.mark.parametrize("keep", [0, 20, -100])
def test_a_damaged_file_is_made_again(package: Path, tmp_path: Path, keep: int) -> None:
    run(package, tmp_path / "cache")
    (file,) = (tmp_path / "cache").rglob("*.kernels")
    file.write_bytes(file.read_bytes()[:keep])
    told, errors = run(package, tmp_path / "cache")
    assert told["loaded"] == "42"
    assert "compiling" in errors
    told, errors = run(package, tmp_path / "cache")
    assert (told["loaded"], errors) == ("42", "")


def test_a_cache_that_cannot_be_written_is_told(package: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.write_text("a file where a folder is needed")
    told, errors = run(package, cache)
    assert told["loaded"] == "42"
    assert "cannot cache the compiled kernels" in errors


def test_the_package_holds_what_numba_makes_of_the_sources() -> None:
    """``python -m lmlab.tokenizer.kernels.compile_ir`` writes it anew."""
    command = [sys.executable, "-m", "lmlab.tokenizer.kernels.compile_ir", "--check"]
    environment = dict(os.environ) | llvm_ir.SETTINGS
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    told = dict(line.split(": ") for line in done.stdout.splitlines())
    assert set(told) >= {"counting", "encoding", "merges"}
    assert set(told.values()) == {"unchanged"}


HIDE = """
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda wanted, *rest: None if wanted == "{name}" else real(wanted, *rest)
"""


def test_a_group_that_the_package_holds_needs_no_numba(tmp_path: Path) -> None:
    program = HIDE.format(name="numba") + PROGRAM.replace("sums", "merges").replace("add", "none")
    program = program.replace('found["none"](40, 2)', "len(found) > 0")
    source = Path(library.__file__).parents[3]
    told, errors = run(source, tmp_path / "cache", program)
    assert told == {"cached": "False", "loaded": "True", "numba": "False", "llvmlite": "True"}
    assert "compiling the tokenizer's kernels (merges)" in errors


def test_what_this_llvm_cannot_read_is_written_anew(package: Path, tmp_path: Path) -> None:
    """As where llvmlite is older than the one that wrote it."""
    copy = package / "lmlab" / "tokenizer" / "kernels"
    shutil.copytree(Path(library.__file__).parent / "ir", copy / "ir")
    spoil = """
from lmlab.tokenizer.kernels import llvm_ir
found = llvm_ir.Program({"add": ["i64", "i64"]}, "define i64 @add(strange")
llvm_ir.ship("sums", found)
"""
    told, errors = run(package, tmp_path / "cache", spoil + PROGRAM)
    assert told["loaded"] == "42"
    told, errors = run(package, tmp_path / "other", HIDE.format(name="numba") + PROGRAM)
    assert told["loaded"] == "False"
    assert "numba not installed" in errors.splitlines()[-1]


@pytest.mark.parametrize("name", ["numba", "llvmlite"])
def test_without_the_compiler_there_are_none_and_one_line_says_so(
    package: Path, tmp_path: Path, name: str
) -> None:
    program = HIDE.format(name=name) + PROGRAM + "library.load('others')\n"
    told, errors = run(package, tmp_path / "cache", program)
    assert told["loaded"] == "False"
    (line,) = errors.splitlines()
    assert "pure Python, many times slower" in line
    assert f"{name} not installed" in line


def test_kernels_need_nothing_but_the_c_library() -> None:
    """No kernel calls into numba or Python, whose functions are not there when it is loaded."""
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
def test_a_library_computes_what_the_object_does() -> None:
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
