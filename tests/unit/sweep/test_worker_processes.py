"""Worker processes: their environment, their log, their end with the parent."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lmlab.config.compose import compose, to_yaml
from lmlab.sweep import worker_processes
from lmlab.sweep.slots import Slot
from lmlab.sweep.worker_processes import describe_exit


@pytest.mark.parametrize(
    ("code", "description"),
    [
        (3, "exited with code 3 before the run was done"),
        (0, "exited with code 0 before the run was done"),
        (-15, "killed by signal 15 (SIGTERM)"),
        (-9, "killed by signal 9 (SIGKILL), possibly out of memory"),
    ],
)
def test_the_description_of_an_exit_code(code: int, description: str) -> None:
    assert describe_exit(code) == description


def test_a_worker_runs_a_configuration_and_logs_its_error(tmp_path: Path) -> None:
    config_file, log = tmp_path / "0.yaml", tmp_path / "0.log"
    config_file.write_text("model: {}\n")
    context = worker_processes.make_context()
    process = worker_processes.start(context, [config_file], log, Slot("cpu"))
    process.join(60)
    assert process.exitcode == 2
    assert "error: " in log.read_text()


PROGRAM = """
import sys
from pathlib import Path
from lmlab.sweep import worker_processes
from lmlab.sweep.slots import Slot

process = worker_processes.start(
    worker_processes.make_context(), [Path(sys.argv[1])], Path(sys.argv[2]), Slot("cpu")
)
process.join()
"""


@pytest.mark.long
def test_a_run_saves_and_stops_when_its_parent_is_killed(
    tmp_path: Path, overrides: list[str]
) -> None:
    config_file, log = tmp_path / "0.yaml", tmp_path / "0.log"
    config = compose([*overrides, "training.steps=1000000", "runtime.preflight=off",
                      "validation.every_steps=1000000"])  # fmt: skip
    config_file.write_text(to_yaml(config))
    parent = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(config_file), str(log)],
        cwd=tmp_path,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while "step 0: validation" not in (log.read_text() if log.exists() else ""):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    (status,) = (tmp_path / "outputs").glob("*/*/seed*/status.json")
    while '"interrupted"' not in status.read_text():
        assert time.monotonic() < deadline, "the worker outlives its parent"
        time.sleep(0.05)
    assert list(status.parent.glob("checkpoints/step_*")), "it saved"
