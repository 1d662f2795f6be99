"""Runs of a model small enough to train in about a second."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from training_process import run_to_end
from warm import Process, call

pytest_plugins = ["fake_slurm", "study_fixtures", "sweep_fixtures"]

STORY = "The cat sat on the mat. A dog ran to the hill and saw the sun.\n<|endoftext|>\n"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the slow tests first, so that no core waits for one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_collection_finish() -> None:
    """Exempt the tests and what they import from garbage collection, which each run asks for."""
    gc.freeze()


@pytest.fixture(autouse=True)
def _restore_torch() -> Iterator[None]:
    """Undo the process-wide settings of torch that a run in the process of the tests applies."""
    if "torch" not in sys.modules:
        yield
        return
    import torch

    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    precision = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(precision)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(strict)


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A training and a validation text of a few kilobytes."""
    folder = tmp_path_factory.mktemp("texts")
    train, valid = folder / "train.txt", folder / "valid.txt"
    train.write_text("".join(f"Story {number}. {STORY}" for number in range(300)))
    valid.write_text("".join(f"Tale {number}. {STORY}" for number in range(20)))
    return train, valid


@pytest.fixture
def overrides(tmp_path: Path, texts: tuple[Path, Path]) -> list[str]:
    """A configuration whose run takes about a second."""
    return [
        f"output_root={tmp_path / 'outputs'}",
        "data=text",
        f"data.train={texts[0]}",
        f"data.valid={texts[1]}",
        "model.vocab_size=280",
        "model.context_length=16",
        "model.d_model=16",
        "model.num_layers=2",
        "model.num_heads=2",
        "training.steps=20",
        "training.batch_size=4",
        "training.log_every=5",
        "schedule.warmup_steps=2",
        "validation.every_steps=10",
        "checkpoint.every_steps=5",
        "samples.max_new_tokens=8",
        "runtime.device=cpu",
        "runtime.threads=1",
        "runtime.policy=exact",
        "logger=none",
    ]


@pytest.fixture
def start() -> Callable[..., Process]:
    """Start a run in a process of its own, which does not need to import torch.

    That process calls ``prepare`` before the run.
    """

    def start_run(overrides: list[str], prepare: Callable[[], None] | None = None) -> Process:
        return call(run_to_end, overrides, prepare)

    return start_run


@pytest.fixture
def train(start: Callable[..., Process]) -> Callable[..., int]:
    """Execute a run in a process of its own; return the exit code."""

    def execute_run(overrides: list[str], prepare: Callable[[], None] | None = None) -> int:
        return start(overrides, prepare).wait()

    return execute_run
