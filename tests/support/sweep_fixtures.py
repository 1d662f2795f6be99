"""Run sweeps through the command line, in separate processes."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from warm import Process, start_command

FAULTS = '''"""A feed-forward layer that fails in various ways, for tests."""

import os
import signal
import sys
import time

import torch

from lmlab.nn.ffn import SiLU


passes = 0  # not in the layer, whose state has to be part of checkpoints


class Faulty(SiLU):
    """Fails at the tenth forward pass of training in its process."""

    def __init__(self, *, d_model, d_ff, what):
        super().__init__(d_model=d_model, d_ff=d_ff)
        self.what = what

    def forward(self, x):
        global passes
        passes += self.training
        if passes == 20:
            if self.what == "raises":
                raise ValueError("a fault of the test")
            if self.what == "exits":
                sys.exit(3)
            if self.what == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.what == "memory":
                torch.empty(1 << 50)  # more than any machine has
        if self.what == "slow":
            time.sleep(0.02)
        return super().forward(x)
'''


FAULTY = "model.ffn._target_=faults_for_test.Faulty"


class Sweeps:
    """Runs sweeps in a folder, from the command line."""

    def __init__(self, folder: Path, overrides: list[str]) -> None:
        self.folder, self.overrides = folder, overrides
        self.outputs = folder / "outputs"
        (folder / "packages").mkdir()
        (folder / "packages" / "faults_for_test.py").write_text(FAULTS)
        settings = folder / "settings" / "lmlab"
        settings.mkdir(parents=True)
        (settings / "config.yaml").write_text("trusted_packages: [faults_for_test]\n")

    def start(self, *arguments: str) -> Process:
        """Start ``python -m lmlab.train`` in a new process group."""
        environment = os.environ | {
            "PYTHONPATH": str(self.folder / "packages"),
            "XDG_CONFIG_HOME": str(self.folder / "settings"),
        }
        return start_command(
            "train", *self.overrides, *arguments, cwd=self.folder, env=environment,
            together=True, session=True,
        )  # fmt: skip

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run a sweep to its end; return what it printed."""
        process = self.start(*arguments)
        printed, _ = process.communicate(timeout=300)
        assert process.returncode == code, printed
        return printed

    def runs(self, study: str = "runs") -> dict[str, dict[str, Any]]:
        """Return the status of each run of a study, by arm and seed."""
        return {
            "/".join(path.parent.parts[-2:]): json.loads(path.read_text())
            for path in sorted((self.outputs / study).glob("*/seed*/status.json"))
        }

    def sessions(self, study: str = "runs") -> dict[str, int]:
        """Return the number of sessions of each run."""
        return {
            "/".join(path.parent.parts[-2:]): len(json.loads(path.read_text())["sessions"])
            for path in sorted((self.outputs / study).glob("*/seed*/meta.json"))
        }

    def stacked(self, study: str = "runs") -> list[tuple[int, ...]]:
        """Return, for each run, with how many runs each of its sessions trained as one."""
        return [
            tuple(session["stacked"] for session in json.loads(path.read_text())["sessions"])
            for path in sorted((self.outputs / study).glob("*/seed*/meta.json"))
        ]

    def weights(self, study: str = "runs") -> dict[str, bytes]:
        """Return the last saved weights of each run."""
        found = {}
        for path in sorted((self.outputs / study).glob("*/seed*/checkpoints")):
            last = sorted(path.glob("step_*"))[-1]
            found["/".join(path.parent.parts[-2:])] = (last / "model.safetensors").read_bytes()
        return found


@pytest.fixture
def sweeps(tmp_path: Path, overrides: list[str]) -> Sweeps:
    return Sweeps(tmp_path, [*overrides, f"output_root={tmp_path / 'outputs'}"])


@pytest.fixture
def wait_for() -> Iterator[Callable[[Callable[[], bool]], None]]:
    def wait(condition: Callable[[], bool], seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "the condition was never met"
            time.sleep(0.02)

    yield wait
