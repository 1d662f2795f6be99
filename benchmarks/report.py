"""What every kept table begins with, and how it is kept."""

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


class Report:
    """Lines that are printed, and kept in a file at once."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")

    def line(self, text: str = "") -> None:
        """Print a line and keep it."""
        print(text, flush=True)
        if self._path is not None:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(text + "\n")

    def head(self, packages: Iterable[str], device: str = "cpu") -> None:
        """Tell command, date, machine and versions."""
        self.line(f"# {command()}")
        self.line()
        versions = ", ".join(f"{name} {version(name)}" for name in packages)
        self.line(
            f"{time.strftime('%Y-%m-%d')}; {machine(device)}; "
            f"Python {platform.python_version()}; {versions}"
        )
        self.line()


def command() -> str:
    """What was typed, paths without their folders."""
    words = [Path(word).name if word.startswith("/") else word for word in sys.argv[1:]]
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words])


def machine(device: str = "cpu") -> str:
    """GPU where there is one, processor, cores and system, without the machine's name."""
    told = f"{cpu_name()}, {CORES} usable cores, {platform.system()}"
    if device.startswith("cuda"):
        import torch

        told = f"{torch.cuda.get_device_name()}; {told}"
    return told


def version(name: str) -> str:
    """Of an installed package."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
