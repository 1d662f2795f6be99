"""lmlab's log: on stderr for a person, in a file for a run, clear of progress bars."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from lmlab.runtime.launch_env import read_launch_env


def log_to_stderr() -> None:
    """Let a person see lmlab's log on stderr; of the ranks besides rank 0 the warnings only."""
    logger = logging.getLogger("lmlab")
    logger.setLevel(logging.INFO if read_launch_env().is_rank0 else logging.WARNING)
    logger.addHandler(logging.StreamHandler())


@contextlib.contextmanager
def log_to_file(path: Path) -> Iterator[None]:
    """Send lmlab's log to ``path`` too."""
    logger = logging.getLogger("lmlab")
    level = logger.level
    logger.setLevel(logging.INFO)
    handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        handler.close()


def log_above_progress_bars() -> contextlib.AbstractContextManager[None]:
    """Keep what is logged clear of progress bars."""
    from tqdm.contrib.logging import logging_redirect_tqdm

    return logging_redirect_tqdm([logging.getLogger("lmlab")])
