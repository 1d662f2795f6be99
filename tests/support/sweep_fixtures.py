"""Sweeps through the real command line, in processes of their own."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from warm import Process, start_command

FAULTS = '''"""Feed-forward layers that end their process in one way or another, for tests."""

import os
import signal
import sys
import time

import torch

from lmlab.nn.ffn import SiLU


class Faulty(SiLU):
    """Does something at its tenth forward pass of training."""

    def __init__(self, *, d_model, d_ff, what):
        super().__init__(d_model=d_model, d_ff=d_ff)
        self.what, self.passes = what, 0

    def forward(self, x):
        self.passes += self.training
        if self.passes == 10:
            if self.what == "raises":
                raise ValueError("a fault of the test")
            if self.what == "exits":
                sys.exit(3)
            if self.what == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.what == "memory":
                torch.empty(1 << 50)  # bytes that no machine has
        if self.what == "slow":
            time.sleep(0.02)
        return super().forward(x)
'''


FAULTY = "model.ffn._target_=faults_for_test.Faulty"


class Sweeps:
    """Starts sweeps in a folder, as a person would."""

    def __init__(self, folder: Path, overrides: list[str]) -> None:
        self.folder, self.overrides = folder, overrides
        self.outputs = folder / "outputs"
        (folder / "packages").mkdir()
        (folder / "packages" / "faults_for_test.py").write_text(FAULTS)
        settings = folder / "settings" / "lmlab"
        settings.mkdir(parents=True)
        (settings / "config.yaml").write_text("trusted_packages: [faults_for_test]\n")

    def start(self, *words: str) -> Process:
        """Start ``python -m lmlab.train`` in a process group of its own."""
        environment = os.environ | {
            "PYTHONPATH": str(self.folder / "packages"),
            "XDG_CONFIG_HOME": str(self.folder / "settings"),
        }
        return start_command(
            "train", *self.overrides, *words, cwd=self.folder, env=environment,
            together=True, session=True,
        )  # fmt: skip

    def run(self, *words: str, code: int = 0) -> str:
        """Run a sweep to its end; what it printed."""
        process = self.start(*words)
        printed, _ = process.communicate(timeout=300)
        assert process.returncode == code, printed
        return printed

    def runs(self, study: str = "runs") -> dict[str, dict[str, Any]]:
        """The status of each run of a study, by arm and seed."""
        return {
            "/".join(path.parent.parts[-2:]): json.loads(path.read_text())
            for path in sorted((self.outputs / study).glob("*/seed*/status.json"))
        }

    def sessions(self, study: str = "runs") -> dict[str, int]:
        """How many processes worked on each run."""
        return {
            "/".join(path.parent.parts[-2:]): len(json.loads(path.read_text())["sessions"])
            for path in sorted((self.outputs / study).glob("*/seed*/meta.json"))
        }

    def weights(self, study: str = "runs") -> dict[str, bytes]:
        """The last saved weights of each run."""
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
            assert time.monotonic() < deadline, "it never happened"
            time.sleep(0.02)

    yield wait
