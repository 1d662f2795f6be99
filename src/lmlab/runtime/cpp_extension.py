"""Compiles C++ sources of this package for the CPU at hand and caches the libraries."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from lmlab.errors import ConfigError
from lmlab.runtime.processor import cpu_info
from lmlab.storage.io import hash_json, make_folder

FLAGS = ("-std=c++17", "-O3", "-march=native", "-fopenmp", "-shared", "-fPIC", "-Wno-psabi")


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
    if not library.exists():
        make_folder(folder)
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            compiled = Path(temporary) / library.name
            _run([*command, str(source), "-o", str(compiled)])
            compiled.replace(library)  # atomic: no other process loads an incomplete file
    return ctypes.CDLL(str(library))


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
