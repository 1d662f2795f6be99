"""Results that depend on the content of files, made once for each state of these.

A state is device, inode, size, and the times of the last change of content and of inode. No
program can set the last one, so that an edit that keeps size and modification time, such as
``cp -p``, shows nevertheless.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lmlab.errors import DiskError
from lmlab.storage.io import file_state, is_settled
from lmlab.storage.sealed import read_sealed, write_sealed


def remembered(
    memo: Path, files: Sequence[Path], make: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Return what ``make`` returns, from ``memo`` if the files have the state that it had seen.

    Args:
        memo: a small file that keeps the result, where the disk allows it.
        files: what the result depends on, besides the name of ``memo``.
        make: reads the files.

    Raises:
        OSError: a file is missing.
    """
    states = _states(files)
    known = _read(memo, states)
    if known is not None:
        return known
    found = make()
    # A file that has just changed may change again without another state.
    if _states(files) == states and _are_settled(states, time.time_ns()):
        with contextlib.suppress(DiskError, OSError):
            write_sealed(memo, {"states": states, "result": found})
    return found


def _states(files: Sequence[Path]) -> list[list[int]]:
    return [list(file_state(path)) for path in files]


def _are_settled(states: list[list[int]], now_ns: int) -> bool:
    return all(is_settled(tuple(state), now_ns) for state in states)


def _read(memo: Path, states: list[list[int]]) -> dict[str, Any] | None:
    try:
        written_ns = os.stat(memo).st_mtime_ns  # by the clock of the file system
        record = read_sealed(memo)
        result = record["result"]
    except (OSError, ValueError, KeyError):
        return None
    is_known = record.get("states") == states and _are_settled(states, written_ns)
    return result if is_known and isinstance(result, dict) else None
