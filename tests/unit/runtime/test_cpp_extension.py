"""C++ sources are compiled once per CPU, and failures name the fix."""

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
def test_a_source_is_compiled_once_per_set_of_macros(source: Path, tmp_path: Path) -> None:
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
def test_a_damaged_library_is_compiled_again(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "kernels"
    build_library(source, folder, {"FACTOR": 3})
    (other,) = folder.iterdir()
    build_library(source, folder, {"FACTOR": 2})
    (made,) = set(folder.iterdir()) - {other}
    intact = made.read_bytes()
    unchecked = intact[: -cpp_extension._CHECKSUM_BYTES]  # as an earlier version wrote it
    half, flipped = len(intact) // 2, bytearray(intact)
    flipped[half] ^= 1
    damages = [b"", bytes(len(intact)), intact[:half], intact + b"0", bytes(flipped), unchecked,
               other.read_bytes()]  # fmt: skip
    for number, content in enumerate(damages):
        caplog.clear()
        made.unlink()  # as another inode: this process has mapped the former one
        made.write_bytes(content)
        if content == other.read_bytes():
            assert ctypes.CDLL(str(other)).twice(5) == 15, "it is a library, but of another key"
        build_library(source, folder, {"FACTOR": 2})
        assert made.read_bytes() == intact, number
        assert len(caplog.records) == 1 and str(made) in caplog.text, number
    assert build_library(source, folder, {"FACTOR": 2}).twice(21) == 42


@needs_compiler
def test_without_a_writable_folder_the_library_is_compiled_for_this_process(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    assert build_library(source, tmp_path / "file" / "kernels", {"FACTOR": 2}).twice(21) == 42
    assert "the next run compiles it again" in caplog.text


@needs_compiler
def test_each_kind_of_cpu_has_its_own_library(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Machines of a cluster share a folder but may differ in their instruction sets."""
    for kind in ({"flags": "avx2"}, {"flags": "avx2 avx512f"}):
        monkeypatch.setattr(cpp_extension, "cpu_info", lambda kind=kind: kind)
        build_library(source, tmp_path / "kernels", {"FACTOR": 2})
    assert len(list((tmp_path / "kernels").iterdir())) == 2


@needs_compiler
def test_several_processes_may_compile_at_once(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kernels"
    code = (
        "import sys; from pathlib import Path\n"
        "from lmlab.runtime.cpp_extension import build_library\n"
        "print(build_library(Path(sys.argv[1]), Path(sys.argv[2]), {'FACTOR': 2}).twice(4))"
    )
    command = [sys.executable, "-c", code, str(source), str(folder)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [process.communicate()[0].strip() for process in processes] == ["8"] * 4
    (made,) = folder.iterdir()
    assert ctypes.CDLL(str(made)).twice(1) == 2


@needs_compiler
def test_a_source_that_does_not_compile_is_reported(source: Path, tmp_path: Path) -> None:
    source.write_text("this is not C++")
    with pytest.raises(
        ConfigError, match=r"runtime\.compile=true: `(?s:.*) failed:(?s:.*)\nhelp: install g\+\+ 9"
    ):
        build_library(source, tmp_path / "kernels", {})
    assert not list(tmp_path.glob("kernels/*"))


def test_a_missing_compiler_is_reported(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(
        ConfigError, match=r"expected a C\+\+ compiler.*\nhelp: .*runtime\.compile=false"
    ):
        build_library(source, tmp_path, {"FACTOR": 2})


@needs_compiler
def test_a_changed_header_is_compiled_again(source: Path, tmp_path: Path) -> None:
    source.write_text('#include "factor.h"\nextern "C" int twice(int x) { return x * FACTOR; }')
    for factor in (2, 3):
        (tmp_path / "factor.h").write_text(f"#define FACTOR {factor}")
        assert build_library(source, tmp_path / "kernels", {}).twice(5) == 5 * factor


def test_only_linux_is_supported() -> None:
    assert cpp_extension.is_supported() == (sys.platform == "linux")
