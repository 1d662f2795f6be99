"""One small run, trained by one process and by two ranks, uninterrupted and killed."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from launching import STEPS, Launcher, Trained, assert_same_curve, signal_at

from lmlab.run_folder import RunFolder


@pytest.fixture
def launch(tmp_path: Path) -> Launcher:
    return Launcher(tmp_path)


@pytest.fixture(scope="session")
def settings(texts: tuple[Path, Path]) -> list[str]:
    """Overrides of a run on a CPU that takes about a second."""
    return [
        "data=text", f"data.train={texts[0]}", f"data.valid={texts[1]}", "model.vocab_size=280",
        "model.context_length=16", "model.d_model=16", "model.num_layers=2", "model.num_heads=2",
        "schedule.warmup_steps=2", "validation.every_steps=10", "checkpoint.every_steps=5",
        "runtime.device=cpu", "runtime.threads=1", "logger=none", "arm=x",
        "runtime.preflight='off'", f"training.steps={STEPS}", "training.batch_size=8",
        "training.micro_batch_size=2", "training.log_every=1", "validation.batch_size=4",
        "checkpoint.keep_last=1", "samples.count=0", "training.diagnose_every=25",
    ]  # fmt: skip


@pytest.fixture(scope="session")
def single(settings: list[str], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The run in one process."""
    root = tmp_path_factory.mktemp("single")
    trained = Launcher(root)([*settings, f"output_root={root / 'outputs'}"], 1)
    assert trained.codes == [0]
    return trained.run


@pytest.fixture(scope="session")
def two(settings: list[str], tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The run on two ranks."""
    root = tmp_path_factory.mktemp("two")
    return Launcher(root)([*settings, f"output_root={root / 'outputs'}"], 2)


@pytest.fixture(scope="session")
def killed(settings: list[str], tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The run on two ranks; the second is killed during its 24th update."""
    root = tmp_path_factory.mktemp("killed")
    kill = {1: signal_at(23, signal.SIGKILL)}
    return Launcher(root)([*settings, f"output_root={root / 'outputs'}"], 2, kill)


@pytest.fixture
def resume(
    settings: list[str], single: RunFolder, launch: Launcher, tmp_path: Path
) -> Callable[[Trained, int, str], RunFolder]:
    """Resume a copy of a run that was killed during its 24th update, on any number of ranks."""

    def resume_copy(killed: Trained, size: int, parallel: str) -> RunFolder:
        shutil.copytree(killed.run.path.parents[2], tmp_path / "outputs")
        where = f"output_root={tmp_path / 'outputs'}"
        resumed = launch([*settings, where, f"runtime.parallel={parallel}"], size)
        assert resumed.codes == [0] * size
        assert f"resuming {resumed.run.path} at step 20" in resumed.run.log.read_text()
        assert_same_curve(resumed.run, single)
        return resumed.run

    return resume_copy
