"""The packages of others that an option of ``optim`` takes its optimizer from.

They are read from the imports of its module, without importing anything. A missing one is reported
before data is loaded, and the version of each is part of the identity of a run.
"""

from __future__ import annotations

import functools
import importlib.util
import sys

from lmlab.build.module_imports import find_module, read_imports
from lmlab.optim.optional_package import missing_package

_OPTIONS = "lmlab.optim."
_KNOWN = frozenset({"lmlab", "torch", "numpy"})


@functools.cache
def packages_of(target: str) -> frozenset[str]:
    """Return the packages that the module of an optimizer of lmlab imports; empty for others.

    Packages that lmlab always has, torch and NumPy, do not count.
    """
    module = find_module(target.rpartition(".")[0]) if target.startswith(_OPTIONS) else None
    if module is None:
        return frozenset()
    imported = {name.partition(".")[0] for name in read_imports(module).names}
    return frozenset(imported - _KNOWN - sys.stdlib_module_names)


def check_packages(target: str) -> None:
    """Raise :class:`lmlab.errors.ConfigError` if a package of an optimizer is not installed."""
    for package in sorted(packages_of(target)):
        if importlib.util.find_spec(package) is None:
            raise missing_package(target.rpartition(".")[2], package)
