"""Why a run failed, in one line."""

from __future__ import annotations

from pathlib import Path

from lmlab.sweep.executor import JobResult
from lmlab.sweep.scheduled_run import ScheduledRun

_MAX_LENGTH = 300
_USER_ERROR_EXIT_CODE = 2


def find_failure_reason(run: ScheduledRun, result: JobResult) -> str:
    """Return the reason that the run folder, the job's output or the executor gives.

    If the run folder has the reason, ``run.log`` becomes the log of the run, which holds the
    traceback.
    """
    status = run.folder.status()
    lines = str(status.get("reason", "")).strip().splitlines()
    if lines and status.get("status") == "failed":
        if run.folder.log.exists():
            run.log = run.folder.log
        return _last_message(lines)[:_MAX_LENGTH]
    if lines and result.exit_code == 0:  # its process ended well, but its result cannot be read
        return _last_message(lines)[:_MAX_LENGTH]
    last_line = _last_line(run.log)
    if result.exit_code == _USER_ERROR_EXIT_CODE and last_line:
        return last_line
    if result.exit_code is not None and result.exit_code > 0 and last_line:
        return f"{result.reason}; its log ends: {last_line[:_MAX_LENGTH]}"
    return result.reason


def _last_line(log: Path) -> str:
    lines = log.read_text("utf-8", errors="replace").strip().splitlines() if log.exists() else []
    return _last_message(lines).removeprefix("error: ")


def _last_message(lines: list[str]) -> str:
    """Return the last line; if it is the help of an error, the error and its help in one line."""
    if len(lines) > 1 and lines[-1].startswith("help: "):
        return f"{lines[-2]}; {lines[-1].removeprefix('help: ')}"
    return lines[-1] if lines else ""
