"""Muon for the hidden matrices, AdamW for everything else, as one optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from lmlab.errors import ConfigError
from lmlab.optim.groups import HIDDEN, group_kind
from lmlab.optim.update_unit import TENSOR


class MuonAdamW(torch.optim.Optimizer):
    """Orthogonalised momentum on matrices inside the blocks: Jordan et al. 2024 (Muon).

    :class:`torch.optim.Muon` updates the hidden matrices, AdamW the embeddings, head and vectors.
    Both share the groups and state of this object, so that schedules and checkpoints handle one
    optimizer.

    Args:
        params: groups of :func:`lmlab.optim.groups.parameter_groups`.
        lr: peak learning rate of Muon.
        momentum: momentum of Muon.
        nesterov: use Nesterov momentum in Muon.
        ns_steps: number of Newton-Schulz iterations.
        adjust_lr: ``match_rms_adamw`` scales updates to the typical size of AdamW's (Liu et al.
            2025, equation 4), ``original`` by sqrt(max(1, rows / columns)).
        adamw_lr: peak learning rate of AdamW.
        betas: decay rates of AdamW's moments.
        eps: epsilon of AdamW.
        weight_decay: decoupled weight decay of both; ``weight_decay`` in a group takes precedence.

    Raises:
        ConfigError: this version of torch has no Muon; it was added in torch 2.9.
    """

    update_unit = TENSOR  # excludes FSDP, where a rank holds only part of a matrix

    def __init__(
        self,
        params: Iterable[dict[str, Any]],
        *,
        lr: float,
        momentum: float,
        nesterov: bool,
        ns_steps: int,
        adjust_lr: str,
        adamw_lr: float,
        betas: Sequence[float],
        eps: float,
        weight_decay: float,
    ) -> None:
        if not hasattr(torch.optim, "Muon"):
            raise ConfigError(
                f"optim=muon: expected torch 2.9 or newer, found torch {torch.__version__}",
                "upgrade torch or choose optim=adamw",
            )
        groups = [dict(group) for group in params]
        for group in groups:
            is_hidden = group_kind(group) == HIDDEN
            group.setdefault("lr", lr if is_hidden else adamw_lr)
            group.setdefault("weight_decay", weight_decay)
        super().__init__(groups, defaults={})
        hidden = [group for group in self.param_groups if group_kind(group) == HIDDEN]
        rest = [group for group in self.param_groups if group_kind(group) != HIDDEN]
        self._optimizers: list[torch.optim.Optimizer] = []
        if hidden:
            self._optimizers.append(
                torch.optim.Muon(
                    hidden, lr=lr, momentum=momentum, nesterov=nesterov, ns_steps=ns_steps,
                    adjust_lr_fn=adjust_lr, weight_decay=weight_decay,
                )
            )  # fmt: skip
        if rest:
            first, second = betas
            self._optimizers.append(
                torch.optim.AdamW(
                    rest, lr=adamw_lr, betas=(first, second), eps=eps, weight_decay=weight_decay,
                    fused=True,
                )
            )  # fmt: skip
        self._share_groups_and_state()

    def _share_groups_and_state(self) -> None:
        """Make both optimizers use the groups and state of this object."""
        by_name = {group["name"]: group for group in self.param_groups}
        for optimizer in self._optimizers:
            for index, group in enumerate(optimizer.param_groups):
                shared = by_name[group["name"]]
                for key, value in group.items():
                    shared.setdefault(key, value)
                optimizer.param_groups[index] = shared
            optimizer.state = self.state

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update all groups. Closures are not supported."""
        assert closure is None, "closures are not supported"
        for optimizer in self._optimizers:
            optimizer.step()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state returned by :meth:`state_dict`."""
        super().load_state_dict(state_dict)
        self._share_groups_and_state()
