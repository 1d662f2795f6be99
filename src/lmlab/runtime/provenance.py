"""The provenance of a run: code, versions, machine and command."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import lmlab
from lmlab.storage.fields import FLAG, TEXT, or_null, read_fields

LMLAB_VERSION = lmlab.__version__
_PACKAGES = ("torch", "numpy", "hydra-core", "omegaconf", "regex", "safetensors", "wandb")
_MAX_DIFF_CHARACTERS = 200_000
_CODE = {"commit": or_null(TEXT), "changed": FLAG, "diff": TEXT, "diff_is_whole": FLAG}
SNAPSHOT_FILE = "lmlab-code.json"  # next to a copy of the package: the version of its code


def provenance() -> dict[str, Any]:
    """Return commit and diff of the code, versions, host, command and time, for ``meta.json``."""
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": _command(),
        "folder": os.getcwd(),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": {"lmlab": LMLAB_VERSION} | _versions(),
        "code": code_version(Path(lmlab.__file__).parent),
    }


def _command() -> list[str]:
    """Return the command line, without the folders of the interpreter and of the program."""
    arguments = sys.orig_argv[1:]
    if arguments and Path(arguments[0]).name == "lmlab":
        return ["lmlab", *arguments[1:]]
    return [Path(sys.executable).name, *arguments]


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    if "torch" in sys.modules:  # states the CUDA build, which the package's metadata leaves out
        found["torch"] = sys.modules["torch"].__version__
    return found


def code_version(package: Path) -> dict[str, Any]:
    """Return the commit that the package runs from, and the uncommitted changes.

    Args:
        package: folder of the package; a copy has its version in :data:`SNAPSHOT_FILE` next to it.
    """
    snapshot = package.resolve().parent / SNAPSHOT_FILE
    if snapshot.exists():
        return {"commit": None} | read_fields(snapshot, _CODE)
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return {"commit": None}
    diff = _git("diff", "HEAD") or ""
    return {
        "commit": commit.strip(),
        "changed": bool(_git("status", "--porcelain")),
        "diff": diff[:_MAX_DIFF_CHARACTERS],
        "diff_is_whole": len(diff) <= _MAX_DIFF_CHARACTERS,
    }


def _git(*arguments: str) -> str | None:
    """Return the output of a git command in lmlab's checkout; None if there is no checkout."""
    checkout = Path(lmlab.__file__).resolve().parents[2]
    if not (checkout / ".git").exists():
        return None  # installed from a wheel: the folders above are unrelated
    try:
        done = subprocess.run(
            ["git", "-C", str(checkout), *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
