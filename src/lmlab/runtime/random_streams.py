"""Randomness that a run's seed determines: torch's default generators, NumPy's and Python's.

A layer of your own may draw from any of them, as dropout does. Each part of a step draws from a
stream of its own, whose seed is a hash of the run's seed, the part, the step and the rank.
Evaluations and saves between two steps therefore cannot move the stream of the next one, and every
rank of a resumed run draws the numbers of an uninterrupted one. Checkpoints also hold the states of
the generators, for code that draws between the steps.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch


class RandomStreams:
    """The random streams of one process of a run.

    Args:
        seed: seed of the run.
        device: device of the model.
        rank: rank of the process; each rank draws its own numbers.
    """

    def __init__(self, seed: int, device: torch.device, rank: int = 0) -> None:
        self.seed, self.device, self.rank = seed, device, rank

    def begin(self, part: str, step: int, *, same_on_all_ranks: bool = False) -> None:
        """Start the stream of one part of a step.

        Args:
            part: what draws the numbers, such as ``gradients``.
            step: number of the step.
            same_on_all_ranks: whether all ranks draw the same numbers, as an update of replicated
                weights must.
        """
        rank = 0 if same_on_all_ranks else self.rank
        seed_generators(derive_seed(self.seed, part, step, rank), self.device)


def derive_seed(*keys: object) -> int:
    """Return a seed of 63 bits, by SHA-256 of the keys."""
    digest = hashlib.sha256(":".join(map(str, keys)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def seed_generators(seed: int, device: torch.device) -> None:
    """Seed torch's default generators of the CPU and of ``device``, NumPy's and Python's."""
    # torch.manual_seed() would format a stack trace at each call while CUDA is not in use.
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.init()
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)  # an array of more bits would take 30 microseconds
    random.seed(seed)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the generators of the host and of the GPU in use; restore their states afterwards."""
    device = torch.device("cuda" if torch.cuda.is_initialized() else "cpu")
    with preserved_generators():
        seed_generators(seed, device)
        yield


@contextlib.contextmanager
def preserved_generators() -> Iterator[None]:
    """Restore the states of all default generators in use afterwards."""
    before = generator_states()
    try:
        yield
    finally:
        restore_generators(before)


def generator_states() -> dict[str, torch.Tensor]:
    """Return the states of all default generators in use, by name."""
    numpy_state: Any = np.random.get_state(legacy=False)
    _, words, gauss = random.getstate()
    host = torch.device("cpu")  # the caller may have set another default device
    states = {
        "random.cpu": torch.get_rng_state(),
        "random.numpy": torch.from_numpy(numpy_state["state"]["key"].astype(np.int64)),
        "random.numpy_position": torch.tensor(
            [numpy_state["state"]["pos"], numpy_state["has_gauss"], numpy_state["gauss"]],
            dtype=torch.float64,
            device=host,
        ),
        "random.python": torch.tensor(words, dtype=torch.int64, device=host),
        "random.python_gauss": torch.tensor(
            [] if gauss is None else [gauss], dtype=torch.float64, device=host
        ),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        states["random.cuda"] = torch.cuda.get_rng_state()
    return states


def restore_generators(states: Mapping[str, torch.Tensor]) -> None:
    """Restore what :func:`generator_states` returned; generators without a state stay as they are.

    Checkpoints of earlier builds hold the states of torch only.
    """
    if "random.cpu" in states:
        torch.set_rng_state(states["random.cpu"])
    if "random.cuda" in states and torch.cuda.is_available():
        with contextlib.suppress(RuntimeError):  # the state of another kind of GPU
            torch.cuda.set_rng_state(states["random.cuda"])
    if "random.numpy" in states:
        position, has_gauss, gauss = states["random.numpy_position"].tolist()
        key = states["random.numpy"].numpy().astype(np.uint32)
        np.random.set_state(("MT19937", key, int(position), int(has_gauss), gauss))
    if "random.python" in states:
        gauss = [*states["random.python_gauss"].tolist(), None][0]
        random.setstate((3, tuple(states["random.python"].tolist()), gauss))


def host_positions() -> tuple[Any, ...]:
    """Return the positions of the host's generators in their streams, which every draw changes."""
    _, words, *numpy_position = np.random.get_state()
    _, python_words, gauss = random.getstate()
    torch_state = torch.get_rng_state().numpy().tobytes()
    return torch_state, words[0], numpy_position, python_words[-2:], gauss
