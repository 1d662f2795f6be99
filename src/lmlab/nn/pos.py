"""Position encodings.

Each variant may add to the embeddings (``embed``) and rotate queries and keys (``rotate``).
Positions are (B, T) integers, or None for 0 .. T-1 in every sequence, as in training.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn


class Positions(Protocol):
    """Interface of a position encoding."""

    def embed(self, x_BTD: Tensor, positions_BT: Tensor | None) -> Tensor:
        """Encode positions in the embeddings (B, T, D)."""
        ...

    def rotate(self, x_BHTK: Tensor, positions_BT: Tensor | None) -> Tensor:
        """Encode positions in queries or keys (B, heads, T, K)."""
        ...


class RoPE(nn.Module):
    """Rotary position embedding: Su et al. 2021, section 3.2.2 and equation 34.

    Feature i is rotated with feature i + K/2 by the angle ``position * theta^(-2i/K)``. This is
    Llama's layout; the paper rotates neighbours, which is the same up to a permutation of the
    features. Angles are computed in float64; their cosines and sines are stored in float32.

    Args:
        d_model: unused; every position encoding receives it.
        d_head: K, even.
        context_length: number of tabulated positions.
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
        # The sine of the first half is negated: (a cos - b sin, b cos + a sin).
        self.register_buffer("cos_SK", torch.cat([cos, cos], -1).float(), persistent=False)
        self.register_buffer("sin_SK", torch.cat([-sin, sin], -1).float(), persistent=False)

    def embed(self, x_BTD: Tensor, positions_BT: Tensor | None) -> Tensor:
        """Return ``x`` unchanged."""
        return x_BTD

    def rotate(self, x_BHTK: Tensor, positions_BT: Tensor | None) -> Tensor:
        """Rotate queries or keys by their positions, preserving norms."""
        if positions_BT is None:
            cos, sin = (table[: x_BHTK.shape[2]] for table in (self.cos_SK, self.sin_SK))
        else:
            cos, sin = (table[positions_BT][:, None] for table in (self.cos_SK, self.sin_SK))
        first, second = x_BHTK.float().chunk(2, dim=-1)
        partner = torch.cat([second, first], dim=-1)
        return (x_BHTK * cos + partner * sin).to(x_BHTK.dtype)


class NoPE(nn.Module):
    """No position encoding other than the causal mask: Kazemnejad et al. 2023."""

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
    """A learned vector per position, added to the embeddings: GPT-2, Radford et al. 2019.

    Args:
        d_model: D.
        d_head: unused; every position encoding receives it.
        context_length: number of positions.
    """

    def __init__(self, *, d_model: int, d_head: int, context_length: int) -> None:
        super().__init__()
        del d_head
        self.weight = nn.Parameter(torch.empty(context_length, d_model))

    def embed(self, x_BTD: Tensor, positions_BT: Tensor | None) -> Tensor:
        """Add the vector of each position to ``x``."""
        if positions_BT is None:
            return x_BTD + self.weight[: x_BTD.shape[1]]
        return x_BTD + self.weight[positions_BT]

    def rotate(self, x_BHTK: Tensor, positions_BT: Tensor | None) -> Tensor:
        """Return ``x`` unchanged."""
        return x_BHTK
