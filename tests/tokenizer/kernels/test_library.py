"""Kernels are compiled once on a machine, and whatever is wrong with the cache is put right."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lmlab import user_cache
from lmlab.tokenizer.kernels import intermediate, library

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


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package with the group ``sums``."""
    source = Path(library.__file__).parents[2]
    copy = tmp_path / "src" / "lmlab"
    for path in source.rglob("*.py"):
        if path.relative_to(source).parts[0] in (
            "__init__.py",
            "errors.py",
            "io.py",
            "tokenizer",
            "user_cache.py",
        ):
            target = copy / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    (copy / "tokenizer" / "kernels" / "sums.py").write_text(KERNEL)
    return tmp_path / "src"


def run(package: Path, cache: Path, program: str = PROGRAM) -> tuple[dict[str, str], str]:
    environment = dict(os.environ) | {
        "PYTHONPATH": str(package),
        "XDG_CACHE_HOME": str(cache),
        "HOME": str(cache),
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return dict(line.split(" ", 1) for line in done.stdout.splitlines()), done.stderr


def test_compiled_once_and_told_then_loaded_without_numba(package: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    told, errors = run(package, cache)
    assert told == {"cached": "False", "loaded": "42", "numba": "False", "llvmlite": "True"}
    assert "compiling the tokenizer's kernels (sums), once on this machine" in errors
    told, errors = run(package, cache)
    assert told == {"cached": "True", "loaded": "42", "numba": "False", "llvmlite": "True"}
    assert errors == ""


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
    assert "the compiled kernels cannot be kept" in errors


def test_the_package_holds_what_numba_makes_of_the_sources() -> None:
    """``python -m lmlab.tokenizer.kernels.building`` writes it anew."""
    command = [sys.executable, "-m", "lmlab.tokenizer.kernels.building", "--check"]
    environment = dict(os.environ) | intermediate.SETTINGS
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
from lmlab import user_cache
from lmlab.tokenizer.kernels import intermediate
found = intermediate.Program({"add": ["i64", "i64"]}, "define i64 @add(strange")
intermediate.ship("sums", found)
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
        assert library.load(group) is not None
        stored = user_cache.read(library._path(group))
        assert stored is not None
        target = llvm.ObjectFileRef.from_data(stored[1])
        assert any(section.is_text() for section in target.sections())
        for word in (b"NRT_", b"numba_", b"Py"):
            assert word not in stored[1], (group, word)
