"""Prints the table of a benchmark with a header that names its machine, and saves it to a file."""

from __future__ import annotations

import platform
import shlex
import sys
import time
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from lmlab.runtime.processor import cpu_name, usable_cores

CORES = usable_cores()


class ResultsFile:
    """Prints lines and appends them to a file, so that an interrupted benchmark keeps its rows.

    Args:
        path: file to write; None to print only. An existing file is replaced.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")

    def write_line(self, text: str = "") -> None:
        """Print a line and append it to the file."""
        print(text, flush=True)
        if self._path is not None:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(text + "\n")

    def write_header(self, packages: Iterable[str], device: str = "cpu") -> None:
        """Write command, date, machine and versions of ``packages``."""
        self.write_line(f"# {command()}")
        self.write_line()
        versions = ", ".join(f"{name} {version(name)}" for name in packages)
        self.write_line(
            f"{time.strftime('%Y-%m-%d')}; {machine(device)}; "
            f"Python {platform.python_version()}; {versions}"
        )
        self.write_line()


def command() -> str:
    """Return the command line, with absolute paths reduced to file names."""
    arguments = [
        Path(argument).name if argument.startswith("/") else argument for argument in sys.argv[1:]
    ]
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *arguments])


def machine(device: str = "cpu") -> str:
    """Describe the machine without its host name: GPU if used, CPU, cores, system."""
    description = f"{cpu_name()}, {CORES} usable cores, {platform.system()}"
    if device.startswith("cuda"):
        import torch

        description = f"{torch.cuda.get_device_name()}; {description}"
    return description


def version(name: str) -> str:
    """Return the version of an installed package, or ``not installed``."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
