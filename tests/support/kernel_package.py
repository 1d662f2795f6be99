"""A copy of the package with a small group of kernels, and processes that load it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lmlab.runtime.cpp_extension import find_compiler
from lmlab.tokenizer.kernels import library

# Loads a group of one small kernel that is not shipped: numba compiles it within seconds.
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


def copy_package(tmp_path: Path) -> Path:
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


HIDE = """
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda wanted, *rest: None if wanted == "{name}" else real(wanted, *rest)
"""
