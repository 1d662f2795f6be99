"""The log of lmlab: on stderr, in a run's file, and above progress bars."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from lmlab.runtime.launch_env import read_launch_env

# An attribute of log records whose traceback is for the file only.
TRACEBACK_TO_FILE = "traceback_to_file"


class _TerminalFormatter(logging.Formatter):
    """Leaves out tracebacks that are for the file only."""

    def format(self, record: logging.LogRecord) -> str:
        if getattr(record, TRACEBACK_TO_FILE, False):
            return record.getMessage()
        return super().format(record)


def log_to_stderr() -> None:
    """Print the log on stderr; ranks other than rank 0 print warnings only."""
    logger = logging.getLogger("lmlab")
    logger.setLevel(logging.INFO if read_launch_env().is_rank0 else logging.WARNING)
    handler = logging.StreamHandler()
    handler.setFormatter(_TerminalFormatter())
    logger.addHandler(handler)


@contextlib.contextmanager
def log_to_file(path: Path) -> Iterator[None]:
    """Also write the log to ``path``."""
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
    """Print log lines above a progress bar instead of into it."""
    from tqdm.contrib.logging import logging_redirect_tqdm

    return logging_redirect_tqdm([logging.getLogger("lmlab")])
