"""wandb's side of a run: a process that reads what the run sends and hands it to wandb.

Whatever goes wrong here is told to the run in one line and ends the tracking, not the run. This is
the one place where every exception is caught: wandb's are many and undocumented.
"""

from __future__ import annotations

import json
import os
import select
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lmlab.tracking.wandb_server import find_key, find_problem

ORPHAN_SECONDS = 60.0
_AXES = ("step", "tokens", "seconds")


def main(session: str, reporting: str, failed_online: str = "") -> int:
    """Serve one run until it says ``finish`` or is gone; then the wandb run counts as failed.

    Args:
        session: file of :class:`lmlab.tracking.wandb_process.WandbTracker` with the settings.
        reporting: file descriptor for one line to the run.
        failed_online: why an earlier attempt to go online failed; empty for the first.
    """
    order = json.loads(Path(session).read_text("utf-8"))
    threading.Thread(target=_leave_with, args=(order["parent"],), daemon=True).start()
    # wandb's import alone takes a processor for a second: the run says when it can spare one.
    select.select([sys.stdin], [], [])
    try:
        run = _start(order, int(reporting), failed_online)
    except Exception as error:
        _tell(int(reporting), f"cannot start ({_brief(error)}); metrics.jsonl has everything")
        return 1
    exit_code, is_well = 1, True
    for line in sys.stdin:
        if not line.endswith("\n"):
            break  # the run was killed while it wrote
        kind, value = json.loads(line)
        if kind == "finish":
            exit_code = value
            break
        try:
            if is_well:
                _HANDLERS[kind](run, value)
        except Exception as error:
            is_well = False
            _tell(int(reporting), f"stopped ({_brief(error)}); metrics.jsonl has everything")
    run.finish(exit_code=exit_code)
    import wandb

    wandb.teardown(exit_code)
    # All is stored. An ordinary exit would wait for wandb's own telemetry, 15 s where no server
    # answers.
    os._exit(0)


def _start(order: dict[str, Any], reporting: int, failed_online: str) -> Any:
    import wandb

    problem = failed_online or _find_problem(order["mode"], wandb.setup().settings.base_url)
    if problem is None:
        try:
            return _init(wandb, order["init"], online=True)
        except Exception as error:
            # wandb holds on to the failed run, so only a new process can record it offline. Nothing
            # of stdin was read yet: the new one finds all rows there.
            again = [*sys.orig_argv[:6], f"it cannot go online ({_brief(error)})"]
            own = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
            os.execve(sys.executable, again, own)
    run = _init(wandb, order["init"], online=False)
    if problem:
        _tell(reporting, f"{problem}, so this run is recorded offline (wandb sync sends it)")
    return run


def _find_problem(mode: str, base_url: str) -> str | None:
    """Why this run cannot be online; empty where that needs no word, None where it can."""
    if mode == "offline":
        return ""
    key = find_key(base_url)
    if key is None:
        return "there is no API key (wandb login sets one)" if mode == "online" else ""
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
    for kind in ("train", "validation"):
        run.define_metric(f"{kind}/*", step_metric="step")
    # The same losses once more, drawn against the other two axes.
    for axis in _AXES[1:]:
        run.define_metric(f"by_{axis}/*", step_metric=axis)
    return run


def _log(run: Any, row: dict[str, Any]) -> None:
    kind = row["kind"]
    shared = {axis: row[axis] for axis in _AXES}
    own = {f"{kind}/{key}": value for key, value in row.items() if key not in (*_AXES, "kind")}
    again = {f"by_{axis}/{kind}_loss": row["loss"] for axis in _AXES[1:]}
    run.log(shared | own | again)


def _samples(run: Any, rows: list[dict[str, str]]) -> None:
    import wandb

    data = [[row["prompt"], row["text"]] for row in rows]
    run.log({"samples": wandb.Table(columns=["prompt", "text"], data=data)})


def _summary(run: Any, values: dict[str, Any]) -> None:
    run.summary.update({f"final/{key}": value for key, value in values.items()})


_HANDLERS: dict[str, Callable[[Any, Any], None]] = {
    "log": _log,
    "samples": _samples,
    "summary": _summary,
}


def _leave_with(parent: int) -> None:
    """End this process a minute after the run's, whatever it is waiting for."""
    while os.getppid() == parent:
        time.sleep(1)
    time.sleep(ORPHAN_SECONDS)
    os._exit(1)


def _tell(reporting: int, text: str) -> None:
    os.write(reporting, f"{text}\n".encode())


def _brief(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:300]
