"""A user's functions that observe the model during training, and may not change it."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import numbers
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from lmlab.console.logging import TRACEBACK_TO_FILE
from lmlab.distributed.fsdp import unsharded
from lmlab.errors import ConfigError
from lmlab.runtime.random_streams import RandomStreams, preserved_generators
from lmlab.training.fingerprint import fingerprint
from lmlab.training.state import TrainState

log = logging.getLogger(__name__)

RESERVED = ("kind", "step", "tokens", "seconds", "name", "nonfinite")  # keys of every row


@dataclasses.dataclass(frozen=True)
class Callback:
    """A function that is called every few steps.

    Attributes:
        name: its key in ``callbacks``.
        every_steps: it is called after each update whose number is a multiple.
        function: called with ``model`` and ``step``; returns numbers by name, or None.
    """

    name: str
    every_steps: int
    function: Callable[..., Mapping[str, Any] | None]


class Callbacks:
    """Calls functions of the user, and verifies that they only read.

    A function that raises is reported and not called again: what it computes is no part of the run.

    Args:
        callbacks: in the order in which they are called.
    """

    def __init__(self, callbacks: Sequence[Callback] = ()) -> None:
        self.callbacks = callbacks
        self._failed: set[str] = set()

    def are_due(self, step: int) -> bool:
        """Whether one of them is to be called after ``step`` updates."""
        return any(step % callback.every_steps == 0 for callback in self.callbacks)

    def call(self, state: TrainState, streams: RandomStreams) -> list[tuple[str, dict[str, float]]]:
        """Call those that are due. All ranks call this, each with the full weights.

        A function sees the model in evaluation mode, without recording gradients. It may draw
        random numbers, which are the same on all ranks and follow from the seed, the name and the
        step; the generators are restored.

        Returns:
            The name and the numbers of each function that returned some.

        Raises:
            ConfigError: a function changed the state of the run; no checkpoint has the change.
        """
        step, results = state.progress.step, []
        before: dict[str, int] = {}
        with unsharded(state.model), evaluating(state.model):
            for callback in self.callbacks:
                if step % callback.every_steps or callback.name in self._failed:
                    continue
                before = before or fingerprint(state)  # the same for all: none may change it
                with preserved_generators(), torch.no_grad():
                    streams.begin(f"callback {callback.name}", step, same_on_all_ranks=True)
                    numbers_by_name = self._numbers_of(callback, state.model, step)
                after = fingerprint(state)
                changed = [part for part, checksum in before.items() if after[part] != checksum]
                if changed:
                    raise ConfigError(
                        f"callbacks.{callback.name}: changed {' and '.join(changed)} at step {step}"
                        "; expected a function that only reads",
                        "work on copy.deepcopy(model), and rerun: the run resumes from its last "
                        "checkpoint, which is not affected",
                    )
                if numbers_by_name:
                    results.append((callback.name, numbers_by_name))
        return results

    def _numbers_of(self, callback: Callback, model: nn.Module, step: int) -> dict[str, float]:
        try:
            return _plain_numbers(callback.function(model=model, step=step))
        except Exception as error:
            self._failed.add(callback.name)
            text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            log.warning(
                "callbacks.%s failed at step %d (%s; see train.log); it is not called again in "
                "this session, and training continues",
                callback.name,
                step,
                text,
                exc_info=error,
                extra={TRACEBACK_TO_FILE: True},
            )
            return {}


def _plain_numbers(returned: Any) -> dict[str, float]:
    """Return the numbers of a callback as Python numbers. Raises TypeError or ValueError."""
    if returned is None:
        return {}
    if not isinstance(returned, Mapping):
        kind = type(returned).__name__
        raise TypeError(f"expected a dictionary of numbers or None to be returned, found {kind}")
    found: dict[str, float] = {}
    for name, value in returned.items():
        if not isinstance(name, str) or name in RESERVED:
            raise ValueError(f"expected names other than {', '.join(RESERVED)}, found {name!r}")
        if isinstance(value, torch.Tensor) or hasattr(value, "dtype"):
            value = value.item()
        if not isinstance(value, numbers.Real):
            raise TypeError(f"expected a number for {name!r}, found {type(value).__name__}")
        found[name] = int(value) if isinstance(value, numbers.Integral) else float(value)
    return found


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put the model in evaluation mode, and restore the mode of each module afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
