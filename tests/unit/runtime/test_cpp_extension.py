"""Compiling a source of ours: once for a machine, and in the user's words when it fails."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from lmlab.errors import ConfigError
from lmlab.runtime import cpp_extension
from lmlab.runtime.cpp_extension import build_library, find_compiler

needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler here")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "twice.cpp"
    path.write_text('extern "C" int twice(int x) { return x * FACTOR; }')
    return path


@needs_compiler
def test_a_source_is_compiled_once_for_each_of_its_settings(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kernels"
    assert build_library(source, folder, {"FACTOR": 2}).twice(21) == 42
    (made,) = folder.iterdir()
    before = made.stat()
    assert build_library(source, folder, {"FACTOR": 2}).twice(4) == 8
    after = made.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert build_library(source, folder, {"FACTOR": 3}).twice(21) == 63
    source.write_text('extern "C" int twice(int x) { return x + FACTOR; }')
    assert build_library(source, folder, {"FACTOR": 3}).twice(21) == 24
    assert len(list(folder.iterdir())) == 3


@needs_compiler
def test_each_kind_of_processor_has_its_own(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Machines of a cluster share a folder, and not always an instruction set."""
    for kind in ({"flags": "avx2"}, {"flags": "avx2 avx512f"}):
        monkeypatch.setattr(cpp_extension, "cpu_info", lambda kind=kind: kind)
        build_library(source, tmp_path / "kernels", {"FACTOR": 2})
    assert len(list((tmp_path / "kernels").iterdir())) == 2


@needs_compiler
def test_many_processes_may_ask_for_it_at_once(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kernels"
    code = (
        "import sys; from pathlib import Path; from lmlab.runtime.cpp_extension import build_library;"
        "print(build_library(Path(sys.argv[1]), Path(sys.argv[2]), {'FACTOR': 2}).twice(4))"
    )
    command = [sys.executable, "-c", code, str(source), str(folder)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [process.communicate()[0].strip() for process in processes] == ["8"] * 4
    (made,) = folder.iterdir()
    assert ctypes.CDLL(str(made)).twice(1) == 2


@needs_compiler
def test_what_does_not_compile_is_told(source: Path, tmp_path: Path) -> None:
    source.write_text("this is no C++")
    with pytest.raises(ConfigError, match=r"runtime\.compile=true: `.* failed.*false"):
        build_library(source, tmp_path / "kernels", {})
    assert not list((tmp_path / "kernels").iterdir())


def test_a_missing_compiler_is_told(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match=r"needs a C\+\+ compiler.*runtime\.compile=false"):
        build_library(source, tmp_path, {"FACTOR": 2})


@needs_compiler
def test_headers_are_a_part_of_a_source(source: Path, tmp_path: Path) -> None:
    source.write_text('#include "factor.h"\nextern "C" int twice(int x) { return x * FACTOR; }')
    for factor in (2, 3):
        (tmp_path / "factor.h").write_text(f"#define FACTOR {factor}")
        assert build_library(source, tmp_path / "kernels", {}).twice(5) == 5 * factor


def test_only_linux_is_supported() -> None:
    assert cpp_extension.is_supported() == (sys.platform == "linux")
