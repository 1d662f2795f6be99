"""What passes from block to block.

A residual holds the state between the blocks: ``begin`` makes it of the embeddings, ``read`` gives
a block its input, ``write`` takes the block's output, and ``end`` gives the input of the last norm.
The state may be any nest of tensors.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class PlainResidual(nn.Module):
    """One stream: each block reads the output of the one before it (He et al. 2016).

    Args:
        d_model: unused; every residual receives it.
        num_layers: unused; every residual receives it.
    """

    def __init__(self, *, d_model: int, num_layers: int) -> None:
        super().__init__()
        del d_model, num_layers

    def begin(self, x_BTD: Tensor) -> Any:
        """Return the state before the first block."""
        return x_BTD

    def read(self, state: Any, layer: int) -> Tensor:
        """Return the input (B, T, D) of block number ``layer``, counted from 0."""
        x: Tensor = state
        return x

    def write(self, state: Any, x_BTD: Tensor, layer: int) -> Any:
        """Return the state after block number ``layer``, whose output is ``x_BTD``."""
        return x_BTD

    def end(self, state: Any) -> Tensor:
        """Return the input (B, T, D) of the last norm."""
        x: Tensor = state
        return x


class FirstInputResidual(nn.Module):
    """Each block reads a learned mix of its stream and the input of the first block.

    ``a x + b x0`` with a pair (a, b) per layer that starts at (1, 0), so that training starts from
    the plain residual: Jordan et al. 2024 (modded-nanogpt, record of 2024-11-08); a special case of
    the weighted averages of Pagliardini et al. 2024 (DenseFormer, equation 3).

    Args:
        d_model: unused; every residual receives it.
        num_layers: L.
    """

    def __init__(self, *, d_model: int, num_layers: int) -> None:
        super().__init__()
        del d_model
        self.stream = nn.Parameter(torch.ones(num_layers))
        self.first = nn.Parameter(torch.zeros(num_layers))

    def begin(self, x_BTD: Tensor) -> Any:
        """Return the stream and the input of the first block, which are the same here."""
        return x_BTD, x_BTD

    def read(self, state: Any, layer: int) -> Tensor:
        """Return the mix (B, T, D) for block number ``layer``, in the dtype of the stream."""
        x, x0 = state
        mixed: Tensor = self.stream[layer].to(x.dtype) * x + self.first[layer].to(x.dtype) * x0
        return mixed

    def write(self, state: Any, x_BTD: Tensor, layer: int) -> Any:
        """Return the block's output with the input of the first block."""
        return x_BTD, state[1]

    def end(self, state: Any) -> Tensor:
        """Return the stream (B, T, D)."""
        x: Tensor = state[0]
        return x
