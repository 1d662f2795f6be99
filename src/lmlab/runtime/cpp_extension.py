"""Compiles a C++ source of ours for the machine that it runs on, once."""

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
    """Whether compilers here have the threads that it needs; Apple's does not come with them."""
    return sys.platform == "linux"


def find_compiler() -> str | None:
    """The C++ compiler: what the environment's ``CXX`` names, else one of the usual names."""
    named = os.environ.get("CXX")
    names = [named] if named else ["g++", "clang++", "c++"]
    return next(filter(None, map(shutil.which, names)), None)


def build_library(source: Path, folder: Path, macros: Mapping[str, int]) -> ctypes.CDLL:
    """Compile a source, or find what was compiled from it before, and load it.

    Args:
        source: C++17, with OpenMP where it likes, and with the headers beside it.
        folder: that keeps libraries, for all kinds of processors that share it.
        macros: that are defined for it.

    Raises:
        ConfigError: there is no compiler, or it does not compile this.
    """
    compiler = find_compiler()
    if compiler is None:
        raise ConfigError(
            "runtime.compile=true: it needs a C++ compiler, and none of CXX, g++, clang++, c++ is "
            "here; install one, or set runtime.compile=false"
        )
    command = [compiler, *FLAGS, *(f"-D{name}={value}" for name, value in macros.items())]
    texts = [path.read_text("utf-8") for path in (source, *sorted(source.parent.glob("*.h")))]
    made_from = [texts, command, _told_by(compiler), platform.machine(), cpu_info()]
    library = folder / f"{source.stem}-{hash_json(made_from)[:24]}.so"
    if not library.exists():
        make_folder(folder)
        with tempfile.TemporaryDirectory(dir=folder) as room:
            made = Path(room) / library.name
            _run([*command, str(source), "-o", str(made)])
            made.replace(library)  # at once, so that no other process loads a part of it
    return ctypes.CDLL(str(library))


def _run(command: list[str]) -> None:
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    if told.returncode:
        raise ConfigError(
            f"runtime.compile=true: `{' '.join(command)}` failed; install g++ 9 or newer, or set "
            f"runtime.compile=false\n{told.stderr[-2000:]}"
        )


def _told_by(compiler: str) -> str:
    return subprocess.run(
        [compiler, "--version"], capture_output=True, text=True, check=False
    ).stdout
