"""Start several ranks, make one of them act at a step, and read what they leave behind."""

from __future__ import annotations

import dataclasses
import functools
import multiprocessing
import os
import re
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from training_process import PRELOADED, rank_to_end

from lmlab.config.compose import compose, to_yaml
from lmlab.run_folder import RunFolder

Prepare = Callable[[], None]
STEPS = 50


@dataclasses.dataclass
class Trained:
    """What several ranks leave behind: exit codes, run folder and output."""

    codes: list[int]
    run: RunFolder
    printed: str

    @property
    def errors(self) -> list[str]:
        return re.findall(r"^.*error: .*$", self.printed, flags=re.M)


class Launcher:
    """Starts ranks from a fork server that has already imported torch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(PRELOADED)
        self.number = 0

    def __call__(
        self,
        overrides: list[str],
        size: int,
        prepare: dict[int, Prepare] | None = None,
        variables: Callable[[int, int], dict[str, str]] = lambda rank, size: {
            "RANK": str(rank),
            "WORLD_SIZE": str(size),
            "LOCAL_RANK": str(rank),
        },
    ) -> Trained:
        self.number += 1
        config_file = self.folder / f"frozen{self.number}.yaml"
        config = compose(overrides)
        config_file.write_text(to_yaml(config))
        log = self.folder / f"printed{self.number}.txt"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
        ranks = [
            self.context.Process(
                target=rank_to_end,
                args=(
                    str(config_file),
                    variables(rank, size) | address,
                    str(log),
                    (prepare or {}).get(rank),
                ),
            )
            for rank in range(size)
        ]
        for process in ranks:
            process.start()
        for process in ranks:
            process.join(60)
            assert process.exitcode is not None, f"a rank hangs\n{log.read_text()}"
        run = RunFolder(Path(config.output_root) / config.study / config.arm / "seed0")
        codes = [process.exitcode or 0 for process in ranks]
        return Trained(codes, run, log.read_text())


def at_step(step: int, act: Callable[[], Any]) -> None:
    """Make this process call ``act`` when it fetches the batch of update number ``step``.

    The preflight fetches batches too, as many as the machine is fast: switch it off.
    """
    from lmlab.data.batches import Batches

    fetch = Batches.batch

    def fetch_and_act(self: Batches, number: int) -> Any:
        if number == step:
            act()
        return fetch(self, number)

    Batches.batch = fetch_and_act  # type: ignore[method-assign]


def hold_at(step: int) -> None:
    """Make this process wait at update number ``step``, until the test kills it."""
    at_step(step, functools.partial(time.sleep, 60))


def kill_at(step: int, output_root: Path) -> None:
    """Make this process kill itself at update number ``step``, once a checkpoint is complete."""

    def kill() -> None:
        deadline = time.monotonic() + 60
        # Checkpoints are written in the background.
        while not any(output_root.glob("*/*/seed*/checkpoints/step_*")):
            assert time.monotonic() < deadline, "no checkpoint was written"
            time.sleep(0.01)
        send(signal.SIGKILL)

    at_step(step, kill)


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def break_down() -> None:
    raise RuntimeError("a bug")


def signal_at(step: int, number: signal.Signals) -> Prepare:
    return functools.partial(at_step, step, functools.partial(send, number))


def losses(run: RunFolder) -> list[tuple[str, int, float]]:
    return [(row["kind"], row["step"], row["loss"]) for row in run.rows() if "loss" in row]


def assert_same_curve(run: RunFolder, reference: RunFolder) -> None:
    assert run.status()["status"] == "done"
    ours, theirs = losses(run), losses(reference)
    assert [row[:2] for row in ours] == [row[:2] for row in theirs]
    assert max(abs(a[2] - b[2]) for a, b in zip(ours, theirs, strict=True)) < 1e-4
    # Norms per layer are those of the full batch and the full weights.
    for a, b in zip(run.rows("diagnostics"), reference.rows("diagnostics"), strict=True):
        norms = [key for key in b if "/" in key]
        assert a["step"] == b["step"] and norms
        assert max(abs(a[key] / b[key] - 1) for key in norms) < 1e-3


def last_weights(run: RunFolder) -> bytes:
    return (run.checkpoints / f"step_{STEPS:08d}" / "model.safetensors").read_bytes()


def print_num_elements() -> None:
    """Print how many weights, gradients and moments this rank stores when its loop ends."""
    from lmlab.training.trainer import Trainer

    train = Trainer.train

    def num_local(tensor):  # type: ignore[no-untyped-def]
        return tensor.to_local().numel() if hasattr(tensor, "to_local") else tensor.numel()

    def train_and_print(self: Trainer) -> str:
        ended = train(self)
        parameters = list(self.state.model.parameters())
        moments = [t for one in self.state.optimizer.state.values() for t in one.values()]
        gradients = [one.grad for one in parameters if one.grad is not None]
        kinds = parameters, gradients, moments
        print("elements", *(sum(map(num_local, kind)) for kind in kinds), flush=True)
        return ended

    Trainer.train = train_and_print  # type: ignore[method-assign]


def num_elements_per_rank(trained: Trained) -> list[list[int]]:
    """Return the number of weights, gradients and moments that each rank stores."""
    return [
        [int(number) for number in line.split()]
        for line in re.findall(r"elements (\d+ \d+ \d+)", trained.printed)
    ]
