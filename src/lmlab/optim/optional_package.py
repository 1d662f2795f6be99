"""Optimizers that come from packages of the extra ``lmlab[optimizers]``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from lmlab.errors import ConfigError


@contextlib.contextmanager
def optional_package(option: str, package: str) -> Iterator[None]:
    """Report a package that an option of ``optim`` imports inside and that is not installed.

    Raises:
        ConfigError: the package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise missing_package(option, package) from error


def missing_package(option: str, package: str) -> ConfigError:
    """Return the error for an option of ``optim`` whose package is not installed."""
    return ConfigError(
        f"optim={option}: the package {package} is not installed",
        "run pip install 'lmlab[optimizers]', or set optim=adamw",
    )
