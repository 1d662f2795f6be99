"""Several optimizers of disjoint parameters of one model, as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from typing import Any

import torch

from lmlab.distributed.exact_load import full_state, load_exactly
from lmlab.optim.modes import has_modes

_GROUPS, _STATE, _PARTS = "param_groups", "state", "parts"


class JointOptimizer(torch.optim.Optimizer):
    """The parameter groups and the state of several optimizers, each of which does its own update.

    The groups are those of the parts, in their order: what is set in one is set for the part.
    Checkpoints hold what each part saves of itself, and each loads it in its own way.

    Args:
        parts: at least one; no parameter is in two of them.
    """

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        super().__init__([group for part in parts for group in part.param_groups], defaults={})
        self.parts = list(parts)
        self._share()

    def _share(self) -> None:
        self.param_groups = [group for part in self.parts for group in part.param_groups]
        self.state = _JointState(self.parts)  # type: ignore[assignment]

    @property
    def has_modes(self) -> bool:
        """Whether a part evaluates other weights than it trains."""
        return any(has_modes(part) for part in self.parts)

    def train(self) -> None:
        """Put the parts that have modes in training mode."""
        for part in self._modal():
            part.train()

    def eval(self) -> None:
        """Put the parts that have modes in evaluation mode."""
        for part in self._modal():
            part.eval()

    def _modal(self) -> Iterator[Any]:
        return (part for part in self.parts if has_modes(part))

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update all parts. Closures are not supported."""
        assert closure is None, "closures are not supported"
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the groups and states of all parts, and what else each part saves of itself."""
        groups: list[dict[str, Any]] = []
        state: dict[int, Any] = {}
        further: list[dict[str, Any]] = []
        first = 0
        for part in self.parts:
            saved = full_state(part)
            for group in saved.pop(_GROUPS):
                groups.append(group | {"params": [first + index for index in group["params"]]})
            of_part = saved.pop(_STATE)
            state |= {first + k: value for k, value in of_part.items() if isinstance(k, int)}
            others = {k: value for k, value in of_part.items() if not isinstance(k, int)}
            further.append(saved | ({_STATE: others} if others else {}))
            first += _size(part)
        return {_STATE: state, _GROUPS: groups} | ({_PARTS: further} if any(further) else {})

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Give each part what it saved of itself."""
        further = state_dict.get(_PARTS) or [{} for _ in self.parts]
        groups, first = list(state_dict[_GROUPS]), 0
        for part, saved in zip(self.parts, further, strict=True):
            count, end = len(part.param_groups), first + _size(part)
            own = [
                group | {"params": [index - first for index in group["params"]]}
                for group in groups[:count]
            ]
            state = {
                index - first: values
                for index, values in state_dict[_STATE].items()
                if isinstance(index, int) and first <= index < end
            }
            load_exactly(part, saved | {_GROUPS: own, _STATE: state | saved.get(_STATE, {})})
            groups, first = groups[count:], end
        self._share()


class _JointState(MutableMapping[torch.Tensor, dict[str, Any]]):
    """The state of each parameter, in the optimizer that updates it."""

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        self._parts = parts
        self._owners = {
            id(parameter): part
            for part in parts
            for group in part.param_groups
            for parameter in group["params"]
        }

    def __getitem__(self, parameter: torch.Tensor) -> dict[str, Any]:
        state: dict[torch.Tensor, dict[str, Any]] = self._owners[id(parameter)].state
        return state[parameter]

    def __setitem__(self, parameter: torch.Tensor, values: dict[str, Any]) -> None:
        self._owners[id(parameter)].state[parameter] = values

    def __delitem__(self, parameter: torch.Tensor) -> None:
        del self._owners[id(parameter)].state[parameter]

    def __contains__(self, parameter: object) -> bool:
        owner = self._owners.get(id(parameter))
        return owner is not None and parameter in owner.state

    def __iter__(self) -> Iterator[torch.Tensor]:
        return (parameter for part in self._parts for parameter in part.state)

    def __len__(self) -> int:
        return sum(len(part.state) for part in self._parts)


def _size(optimizer: torch.optim.Optimizer) -> int:
    return sum(len(group["params"]) for group in optimizer.param_groups)
