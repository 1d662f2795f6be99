"""Compiles C++ sources of this package for the CPU at hand and caches the libraries."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from lmlab.errors import ConfigError, DiskError
from lmlab.runtime.processor import cpu_info
from lmlab.storage.io import (
    atomic_write_bytes,
    discard,
    fsync_folder,
    hash_json,
    translate_write_errors,
)

FLAGS = ("-std=c++17", "-O3", "-march=native", "-fopenmp", "-shared", "-fPIC", "-Wno-psabi")
_CHECKSUM_BYTES = 32

log = logging.getLogger(__name__)


def is_supported() -> bool:
    """Return whether compilers of this system support OpenMP; Apple's does not."""
    return sys.platform == "linux"


def find_compiler() -> str | None:
    """Return the path of the C++ compiler: ``CXX`` if set, otherwise g++, clang++ or c++."""
    cxx = os.environ.get("CXX")
    names = [cxx] if cxx else ["g++", "clang++", "c++"]
    return next(filter(None, map(shutil.which, names)), None)


def build_library(source: Path, folder: Path, macros: Mapping[str, int]) -> ctypes.CDLL:
    """Load the library of a source, compiling it unless it is in the cache.

    Args:
        source: C++17 with OpenMP; it may include the headers in its folder.
        folder: cache of libraries, which machines with different CPUs may share.
        macros: preprocessor macros to define.

    Raises:
        ConfigError: there is no compiler, or it fails.
    """
    compiler = find_compiler()
    if compiler is None:
        raise ConfigError(
            "runtime.compile=true: expected a C++ compiler (CXX, g++, clang++ or c++)",
            "install one, or set runtime.compile=false",
        )
    command = [compiler, *FLAGS, *(f"-D{name}={value}" for name, value in macros.items())]
    texts = [path.read_text("utf-8") for path in (source, *sorted(source.parent.glob("*.h")))]
    key = [texts, command, _compiler_version(compiler), platform.machine(), cpu_info()]
    library = folder / f"{source.stem}-{hash_json(key)[:24]}.so"
    problem = _problem(library)
    if problem is None:
        return ctypes.CDLL(str(library))
    if problem:
        log.warning("%s; compiling it again", problem)
    with tempfile.TemporaryDirectory() as temporary:
        compiled = Path(temporary) / library.name
        _run([*command, str(source), "-o", str(compiled)])
        content = compiled.read_bytes()
        try:
            discard(*([library] if problem else []))
            atomic_write_bytes(library, content + _checksum(library, content))
            with translate_write_errors(library):
                fsync_folder(folder)
        except DiskError as error:
            log.warning("%s; the next run compiles it again", error.message)
            return ctypes.CDLL(str(compiled))
    return ctypes.CDLL(str(library))


def _problem(library: Path) -> str | None:
    """Return None for a library as it was compiled, otherwise what is wrong; nothing if missing."""
    try:
        content = library.read_bytes()
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"{library}: cannot be read: {error.strerror}"
    size = max(0, len(content) - _CHECKSUM_BYTES)  # loaders ignore what follows the library
    if content[size:] == _checksum(library, content[:size]):
        return None
    return f"{library}: damaged, or of an earlier version"


def _checksum(library: Path, content: bytes) -> bytes:
    """Return the checksum that ends a cached library, which also holds for its name."""
    return hashlib.sha256(library.name.encode() + b"\0" + content).digest()


def _run(command: list[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise ConfigError(
            f"runtime.compile=true: `{' '.join(command)}` failed:\n{result.stderr[-2000:]}",
            "install g++ 9 or newer, or set runtime.compile=false",
        )


def _compiler_version(compiler: str) -> str:
    return subprocess.run(
        [compiler, "--version"], capture_output=True, text=True, check=False
    ).stdout
