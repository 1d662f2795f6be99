"""The wandb worker: a process that passes the rows of a run to wandb.

An error is reported to the run in one line and ends the tracking, not the run. Every exception is
caught, since those of wandb are many and undocumented.
"""

from __future__ import annotations

import os
import select
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lmlab.storage.io import read_json, write_json
from lmlab.storage.json_text import load_json
from lmlab.tracking.wandb_server import find_key, find_problem

ORPHAN_SECONDS = 60.0
_AXES = ("step", "tokens", "seconds")


def main(session: str, reporting: str, failed_online: str = "") -> int:
    """Serve one run until it sends ``finish``; without it, the wandb run counts as failed.

    Args:
        session: file of :class:`lmlab.tracking.wandb_process.WandbTracker` with the settings.
        reporting: file descriptor for messages to the run.
        failed_online: why an earlier attempt to go online failed; empty for the first.
    """
    settings = read_json(Path(session))
    threading.Thread(target=_exit_after, args=(settings["parent"],), daemon=True).start()
    # Importing wandb occupies a core for a second, so wait until the run sends its first row.
    select.select([sys.stdin], [], [])
    try:
        run = _start(settings, int(reporting), failed_online)
        _record_folder(run, Path(session).parent)
        for row in settings["earlier_rows"]:
            _log(run, row)
    except Exception as error:
        _report(
            int(reporting),
            f"cannot start ({_summary_of(error)}); metrics are in metrics.jsonl only",
        )
        return 1
    exit_code, has_failed = 1, False
    for line in sys.stdin:
        if not line.endswith("\n"):
            break  # the run was killed while it wrote
        kind, value = load_json(line)
        if kind == "finish":
            exit_code = value
            break
        try:
            if not has_failed:
                _HANDLERS[kind](run, value)
        except Exception as error:
            has_failed = True
            _report(
                int(reporting), f"stopped ({_summary_of(error)}); metrics are in metrics.jsonl only"
            )
    run.finish(exit_code=exit_code)
    import wandb

    wandb.teardown(exit_code)
    # Everything is stored. A normal exit would wait for wandb's telemetry, 15 s without a server.
    os._exit(1 if has_failed else 0)


def _start(settings: dict[str, Any], reporting: int, failed_online: str) -> Any:
    import wandb

    problem = failed_online or _find_problem(settings["mode"], wandb.setup().settings.base_url)
    if problem is None:
        try:
            return _init(wandb, settings["init"], online=True)
        except Exception as error:
            # wandb keeps the failed run, so only a new process can record it offline. It finds all
            # rows on stdin, since nothing was read yet.
            arguments = [*sys.orig_argv[:6], f"wandb cannot go online ({_summary_of(error)})"]
            variables = {key: value for key, value in os.environ.items() if key != "WANDB_SERVICE"}
            os.execve(sys.executable, arguments, variables)
    run = _init(wandb, settings["init"], online=False)
    if problem:
        _report(reporting, f"{problem}; recording offline (run wandb sync to upload)")
    return run


def _record_folder(run: Any, folder: Path) -> None:
    """Record the folder in which wandb keeps the run, and remove those of earlier sessions.

    Each session contains the complete history, so ``wandb sync`` would upload a run of several
    sessions several times.
    """
    current = Path(run.dir).parent
    for old in current.parent.glob(f"offline-run-*-{run.id}"):
        if old != current:
            shutil.rmtree(old, ignore_errors=True)
    write_json(folder / "place.json", {"folder": str(current)})


def _find_problem(mode: str, base_url: str) -> str | None:
    """Why this run cannot be online; empty where it need not be reported, None where it can."""
    if mode == "offline":
        return ""
    key = find_key(base_url)
    if key is None:
        return "no API key is set (run wandb login)" if mode == "online" else ""
    return find_problem(base_url, key)


def _init(wandb: Any, arguments: dict[str, Any], *, online: bool) -> Any:
    settings = wandb.Settings(
        silent=True,
        console="off",
        disable_git=True,
        disable_code=True,
        x_disable_stats=not online,
        x_stats_pid=os.getppid(),
        init_timeout=10,
    )
    run = wandb.init(mode="online" if online else "offline", settings=settings, **arguments)
    for axis in _AXES:
        run.define_metric(axis, hidden=True)
    for metrics in (
        "train/*", "validation/*", "tasks/*", "probes/*", "callback/*", "diagnostics/*", "samples",
    ):  # fmt: skip
        run.define_metric(metrics, step_metric="step")
    # The losses again, plotted against the other two axes.
    for axis in _AXES[1:]:
        run.define_metric(f"by_{axis}/*", step_metric=axis)
    return run


def _log(run: Any, row: dict[str, Any]) -> None:
    kind = "/".join(row[key] for key in ("kind", "name") if key in row)
    shared = {axis: row[axis] for axis in _AXES if axis in row}
    names = (*_AXES, "kind", "name")
    metrics = {f"{kind}/{key}": value for key, value in row.items() if key not in names}
    has_loss = "loss" in row and "name" not in row
    by_axis = {f"by_{axis}/{kind}_loss": row["loss"] for axis in _AXES[1:] if has_loss}
    run.log(shared | metrics | by_axis)


def _samples(run: Any, rows: list[dict[str, Any]]) -> None:
    import wandb

    data = [[row["prompt"], row["text"], row.get("step")] for row in rows]
    table = wandb.Table(columns=["prompt", "text", "step"], data=data)
    step = {"step": rows[0]["step"]} if rows and "step" in rows[0] else {}
    run.log({"samples": table} | step)


def _summary(run: Any, values: dict[str, Any]) -> None:
    run.summary.update({f"final/{key}": value for key, value in values.items()})


_HANDLERS: dict[str, Callable[[Any, Any], None]] = {
    "log": _log,
    "samples": _samples,
    "summary": _summary,
}


def _exit_after(parent: int) -> None:
    """End this process ``ORPHAN_SECONDS`` after that of the run."""
    while os.getppid() == parent:
        time.sleep(1)
    time.sleep(ORPHAN_SECONDS)
    os._exit(1)


def _report(reporting: int, text: str) -> None:
    os.write(reporting, f"{text}\n".encode())


def _summary_of(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:300]
