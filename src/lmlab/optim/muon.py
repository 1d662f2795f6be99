"""Muon for the hidden matrices, AdamW for everything else, as one optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from lmlab.errors import ConfigError


class MuonAdamW(torch.optim.Optimizer):
    """Orthogonalised momentum on matrices inside the blocks: Jordan et al. 2024 (Muon).

    The hidden matrices are updated by :class:`torch.optim.Muon`, embeddings, head and vectors by
    AdamW. Both share this object's groups and state, so that schedules and checkpoints see one
    optimizer.

    Args:
        params: groups of :func:`lmlab.optim.groups.parameter_groups`.
        lr: peak learning rate of Muon.
        momentum: Muon's momentum.
        nesterov: whether Muon looks ahead along it.
        ns_steps: Newton-Schulz iterations.
        adjust_lr: ``match_rms_adamw`` scales updates to AdamW's typical size (Liu et al. 2025,
            equation 4), ``original`` by sqrt(max(1, rows / columns)).
        adamw_lr: peak learning rate of AdamW.
        betas: AdamW's decay rates.
        eps: AdamW's epsilon.
        weight_decay: decoupled, for both; a group's own stands.

    Raises:
        ConfigError: this torch has no Muon (it came with torch 2.9).
    """

    needs_full_matrices = True  # so that no rank may hold a part of one

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
                f"optim=muon: torch {torch.__version__} has no Muon; it needs torch 2.9 or newer: "
                "upgrade torch or choose optim=adamw"
            )
        groups = [dict(group) for group in params]
        for group in groups:
            hidden = group["name"] == "hidden"
            group.setdefault("lr", lr if hidden else adamw_lr)
            group.setdefault("weight_decay", weight_decay)
        super().__init__(groups, defaults={})
        hidden = [group for group in self.param_groups if group["name"] == "hidden"]
        rest = [group for group in self.param_groups if group["name"] != "hidden"]
        self._parts: list[torch.optim.Optimizer] = []
        if hidden:
            self._parts.append(
                torch.optim.Muon(
                    hidden, lr=lr, momentum=momentum, nesterov=nesterov, ns_steps=ns_steps,
                    adjust_lr_fn=adjust_lr, weight_decay=weight_decay,
                )
            )  # fmt: skip
        if rest:
            first, second = betas
            self._parts.append(
                torch.optim.AdamW(
                    rest, lr=adamw_lr, betas=(first, second), eps=eps, weight_decay=weight_decay,
                    fused=True,
                )
            )  # fmt: skip
        self._share()

    def _share(self) -> None:
        """Let the parts work on this object's groups and state."""
        by_name = {group["name"]: group for group in self.param_groups}
        for part in self._parts:
            for index, group in enumerate(part.param_groups):
                own = by_name[group["name"]]
                for key, value in group.items():
                    own.setdefault(key, value)
                part.param_groups[index] = own
            part.state = self.state

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one update of all groups."""
        assert closure is None, "an update is taken once: there is no line search here"
        for part in self._parts:
            part.step()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what :meth:`state_dict` gave."""
        super().load_state_dict(state_dict)
        self._share()
