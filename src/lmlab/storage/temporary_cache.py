"""A folder for cached files while the cache folder cannot be written."""

from __future__ import annotations

import functools
import logging
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from lmlab.errors import DiskError

_Result = TypeVar("_Result")

log = logging.getLogger(__name__)


def make_in(folder: Path, make: Callable[[Path], _Result], num_bytes: int = 0) -> _Result:
    """Call ``make`` with a cache folder or, where that cannot be written, a temporary one.

    The temporary folder is removed when the process ends. A warning says that it is used.

    Args:
        folder: the cache folder.
        make: makes files in a folder.
        num_bytes: about how much it writes; with less space for temporary files, the error stays.

    Raises:
        DiskError: neither folder can be written.
    """
    try:
        return make(folder)
    except DiskError as error:
        try:
            base = Path(_folder().name)
            if shutil.disk_usage(base).free < 2 * num_bytes:
                raise error
            log.warning("%s; using a temporary folder for this process", error.message)
            return make(base / folder.name)
        except (OSError, DiskError):
            raise error from None


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="lmlab-cache-", ignore_cleanup_errors=True)
