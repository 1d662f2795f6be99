"""How attention learns where tokens stand.

Each variant may add to the embeddings (``embed``) and turn queries and keys (``rotate``).
Positions are (B, T) integers, or None for 0 .. T-1 in every sequence, the path of training.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn


class Positions(Protocol):
    """What the model asks of a position variant."""

    def embed(self, x_BTD: Tensor, positions_BT: Tensor | None) -> Tensor:
        """Mark the embeddings."""
        ...

    def rotate(self, x_BHTK: Tensor, positions_BT: Tensor | None) -> Tensor:
        """Mark queries or keys."""
        ...


class RoPE(nn.Module):
    """Rotary position embedding: Su et al. 2021, section 3.2.2 and equation 34.

    Feature i turns with feature i + K/2 (the layout of Llama; the paper turns neighbours, which is
    the same up to a fixed order of the features), by the angle ``position * theta^(-2i/K)``.
    Angles are computed in float64 and kept in float32.

    Args:
        d_model: not used; every position variant is given it.
        d_head: K, even.
        context_length: positions below it are tabulated.
        theta: base of the wavelengths.
    """

    cos_SK: Tensor
    sin_SK: Tensor

    def __init__(self, *, d_model: int, d_head: int, context_length: int, theta: float) -> None:
        super().__init__()
        del d_model
        exponents = torch.arange(0, d_head, 2, dtype=torch.float64) / d_head
        positions = torch.arange(context_length, dtype=torch.float64)
        angles = torch.outer(positions, theta**-exponents)
        cos, sin = angles.cos(), angles.sin()
        # The first half's partner enters with a minus: (a cos - b sin, b cos + a sin).
        self.register_buffer("cos_SK", torch.cat([cos, cos], -1).float(), persistent=False)
        self.register_buffer("sin_SK", torch.cat([-sin, sin], -1).float(), persistent=False)

    def embed(self, x_BTD: Tensor, positions_BT: Tensor | None) -> Tensor:
        """Return ``x`` unchanged."""
        return x_BTD

    def rotate(self, x_BHTK: Tensor, positions_BT: Tensor | None) -> Tensor:
        """Turn queries or keys by their positions; norms are kept."""
        if positions_BT is None:
            cos, sin = (table[: x_BHTK.shape[2]] for table in (self.cos_SK, self.sin_SK))
        else:
            cos, sin = (table[positions_BT][:, None] for table in (self.cos_SK, self.sin_SK))
        first, second = x_BHTK.float().chunk(2, dim=-1)
        partner = torch.cat([second, first], dim=-1)
        return (x_BHTK * cos + partner * sin).to(x_BHTK.dtype)


class NoPE(nn.Module):
    """No position signal besides the causal mask: Kazemnejad et al. 2023."""

    def __init__(self, *, d_model: int, d_head: int, context_length: int) -> None:
        super().__init__()
        del d_model, d_head, context_length

    def embed(self, x_BTD: Tensor, positions_BT: Tensor | None) -> Tensor:
        """Return ``x`` unchanged."""
        return x_BTD

    def rotate(self, x_BHTK: Tensor, positions_BT: Tensor | None) -> Tensor:
        """Return ``x`` unchanged."""
        return x_BHTK


class LearnedPositions(nn.Module):
    """A learned vector a position, added to the embeddings: GPT-2, Radford et al. 2019.

    Args:
        d_model: D.
        d_head: not used; every position variant is given it.
        context_length: number of positions.
    """

    def __init__(self, *, d_model: int, d_head: int, context_length: int) -> None:
        super().__init__()
        del d_head
        self.weight = nn.Parameter(torch.empty(context_length, d_model))

    def embed(self, x_BTD: Tensor, positions_BT: Tensor | None) -> Tensor:
        """Add each position's vector to ``x``."""
        if positions_BT is None:
            return x_BTD + self.weight[: x_BTD.shape[1]]
        return x_BTD + self.weight[positions_BT]

    def rotate(self, x_BHTK: Tensor, positions_BT: Tensor | None) -> Tensor:
        """Return ``x`` unchanged."""
        return x_BHTK
