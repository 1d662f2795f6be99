"""Measure the overhead of data parallelism: one rank in a process group against no group.

    python benchmarks/ranks.py model=gpt2_small training.batch_size=16 data=toystories

The arguments are overrides of `python -m lmlab.train`. Both kinds take the trainer's updates on one
model in one process, in short turns, so that noise affects both alike. A group of one rank does
everything that a larger group does except waiting: it flattens gradients, reduces them, copies them
back, and agrees at each step whether to stop.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch

from lmlab.build import factory
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.data.batches import Batches
from lmlab.distributed.communicator import SINGLE_PROCESS, Communicator
from lmlab.distributed.data_parallel import DataParallelGradients
from lmlab.distributed.process_group import join
from lmlab.optim.clip import clip_gradients
from lmlab.runs import auto_settings
from lmlab.runtime.device import Device
from lmlab.runtime.launch_env import LaunchEnv
from lmlab.training.state import TrainState


def main() -> None:
    """Time both kinds and print their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("overrides", nargs="*", help="as of python -m lmlab.train")
    parser.add_argument("--turns", type=int, default=20, help="turns of each kind")
    parser.add_argument("--updates", type=int, default=10, help="updates per turn")
    arguments = parser.parse_args()
    config = compose(arguments.overrides)
    spec = resolve(config)
    device = auto_settings.choose_device(spec)
    with join("ddp", LaunchEnv()) as group:
        device = group.assign_device(device)
        device.apply()
        state = factory.build_state(spec, device)
        gradients = factory.build_gradients(spec, state.model, device)
        batches = Batches(
            np.random.default_rng(0).integers(0, config.model.vocab_size, 1 << 22, np.uint16),
            context_length=config.model.context_length,
            batch_size=config.training.batch_size,
            seed=0,
        )
        kinds: dict[str, Communicator] = {"no group": SINGLE_PROCESS, "one rank": group}
        took: dict[str, list[float]] = {name: [] for name in kinds}
        for turn in range(arguments.turns + 1):
            for name, comm in kinds.items():
                mean = DataParallelGradients(gradients, state.model, comm)
                seconds = timed(state, mean, comm, batches, device, arguments.updates)
                if turn:  # the first warms up
                    took[name].append(seconds)
    tokens = config.training.batch_size * config.model.context_length
    for name, seconds in took.items():
        print(
            f"{name}  median {tokens / statistics.median(seconds):12,.0f} tokens per second   "
            f"update {1e3 * min(seconds):.2f} to {1e3 * max(seconds):.2f} ms"
        )
    pairs = zip(took["one rank"], took["no group"], strict=True)
    ratios = sorted(with_group / without for with_group, without in pairs)
    quarter = len(ratios) // 4
    print(
        f"{device.name()}: an update of one rank in a group takes "
        f"{statistics.median(ratios):.4f} times that without a group "
        f"(middle half {ratios[quarter]:.4f} to {ratios[-1 - quarter]:.4f}, {len(ratios)} pairs)"
    )


def timed(
    state: TrainState,
    gradients: DataParallelGradients,
    comm: Communicator,
    batches: Batches,
    device: Device,
    updates: int,
) -> float:
    """Seconds per update, the device's work included."""
    wait(device)
    started = time.perf_counter()
    for step in range(updates):
        inputs, targets = (torch.from_numpy(side).to(device.device) for side in batches.batch(step))
        state.optimizer.zero_grad(set_to_none=True)
        gradients(inputs, targets)
        clip_gradients(state.model.parameters(), 1.0)
        state.optimizer.step()
        comm.all_reduce_max(0)
    wait(device)
    return (time.perf_counter() - started) / updates


def wait(device: Device) -> None:
    """Wait for the device to finish."""
    if device.device.type == "cuda":
        torch.cuda.synchronize(device.device)


if __name__ == "__main__":
    main()
