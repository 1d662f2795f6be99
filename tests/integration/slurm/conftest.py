"""A private Slurm for the whole session, and a command line that submits studies to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from cluster import Cluster, missing

FAULTS = '''"""A feed-forward layer that fails at its tenth forward pass of training, for tests."""

from lmlab.nn.ffn import SiLU


class Faulty(SiLU):
    def __init__(self, *, d_model, d_ff):
        super().__init__(d_model=d_model, d_ff=d_ff)
        self.passes = 0

    def forward(self, x):
        self.passes += self.training
        if self.passes == 10:
            raise ValueError("a fault of the test")
        return super().forward(x)
'''


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    reason = missing()
    if reason:
        pytest.skip(reason)
    one = Cluster(tmp_path_factory.mktemp("cluster"))
    before = dict(os.environ)
    os.environ.update(one.environment)
    try:
        one.start()
        yield one
    finally:
        one.stop()
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(autouse=True)
def _no_jobs_left(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "cluster" in request.fixturenames:
        one: Cluster = request.getfixturevalue("cluster")
        one.clear()


class Studies:
    """Runs studies from the command line, in a folder whose name needs quoting."""

    def __init__(self, folder: Path, texts: tuple[Path, Path], cluster: Cluster) -> None:
        self.cluster = cluster
        self.folder = folder / "a folder, 'quoted' \"twice\" ü #1; $HOME & more"
        self.outputs = self.folder / "outputs"
        self.pending_since: dict[str, float] = {}  # start of waiting, by job
        self.folder.mkdir()
        (self.folder / "packages").mkdir()
        (self.folder / "packages" / "faults_for_slurm.py").write_text(FAULTS)
        settings = self.folder / "settings" / "lmlab"
        settings.mkdir(parents=True)
        (settings / "config.yaml").write_text("trusted_packages: [faults_for_slurm]\n")
        self.overrides = [
            "data=text",
            f"data.train={texts[0]}",
            f"data.valid={texts[1]}",
            "model.vocab_size=280",
            "model.context_length=16",
            "model.d_model=16",
            "model.num_layers=1",
            "model.num_heads=2",
            "training.batch_size=4",
            "training.log_every=50",
            "schedule.warmup_steps=2",
            "validation.every_steps=100000",
            "checkpoint.every_steps=100000",
            'samples.prompts=["it\'s \\"so\\" ü"]',
            "samples.max_new_tokens=4",
            "runtime.threads=1",
            "runtime.policy=exact",  # weights of runs with separate caches are compared bit for bit
            "runtime.preflight=off",
            "logger=none",
        ]

    def start(
        self,
        *arguments: str,
        slurm: bool = True,
        variables: Mapping[str, str] = MappingProxyType({}),
        within: Sequence[str] = (),
    ) -> subprocess.Popen[str]:
        """Start ``python -m lmlab.train -m``, under Slurm or locally.

        Args:
            arguments: overrides.
            slurm: whether jobs run under Slurm.
            variables: further environment variables.
            within: a command that starts the command, such as srun.
        """
        environment = (
            os.environ
            | variables
            | {
                "PYTHONPATH": str(self.folder / "packages"),
                "XDG_CONFIG_HOME": str(self.folder / "settings"),
            }
        )
        launcher = ["hydra/launcher=slurm", "hydra.launcher.poll_seconds=0.5"] if slurm else []
        return subprocess.Popen(
            [*within, sys.executable, "-m", "lmlab.train", "-m", *self.overrides, *launcher,
             *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )  # fmt: skip

    def run(self, *arguments: str, code: int = 0, **how: Any) -> str:
        """Run a study to its end; return what it printed."""
        process = self.start(*arguments, **how)
        printed, _ = process.communicate(timeout=200)
        assert process.returncode == code, printed
        return printed

    def command(self, name: str, *arguments: str) -> str:
        """Return what ``python -m lmlab.<name>`` prints."""
        done = subprocess.run(
            [sys.executable, "-m", f"lmlab.{name}", *arguments],
            cwd=self.folder, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout

    def statuses(self, study: str = "runs", key: str = "status") -> dict[str, Any]:
        """Return a key of each run's status, by arm and seed."""
        return {
            "/".join(path.parent.parts[-2:]): json.loads(path.read_text()).get(key)
            for path in sorted((self.outputs / study).glob("*/seed*/status.json"))
        }

    def sessions(self, study: str = "runs") -> dict[str, int]:
        """Return the number of sessions of each run."""
        return {
            "/".join(path.parent.parts[-2:]): len(json.loads(path.read_text())["sessions"])
            for path in sorted((self.outputs / study).glob("*/seed*/meta.json"))
        }

    def weights(self, study: str = "runs", root: str = "outputs") -> dict[str, bytes]:
        """Return the last saved weights of each run."""
        found = {}
        for path in sorted((self.folder / root / study).glob("*/seed*/checkpoints")):
            last = sorted(path.glob("step_*"))[-1]
            found["/".join(path.parent.parts[-2:])] = (last / "model.safetensors").read_bytes()
        return found

    def submissions(self) -> list[dict[str, Any]]:
        """Return the records of all submissions."""
        found = self.outputs.glob("*/sweeps/*/slurm/*/submission.json")
        return [json.loads(path.read_text()) for path in found]

    def queue(self) -> list[str]:
        """Return the state of each job that has not ended."""
        return self.cluster.ask("squeue", "-h", "-r", "-o", "%T").split()


@pytest.fixture
def studies(tmp_path: Path, texts: tuple[Path, Path], cluster: Cluster) -> Studies:
    return Studies(tmp_path, texts, cluster)


@pytest.fixture
def wait_for() -> Callable[..., None]:
    def wait(condition: Callable[[], bool], seconds: float = 240) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "the condition was never met"
            time.sleep(0.1)

    return wait
