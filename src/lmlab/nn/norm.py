"""Normalisation and its position in the residual block.

A strategy wraps a sublayer in a residual branch, so that blocks need not know which one they use:
pre-norm ``x + f(norm(x))``, post-norm ``norm(x + f(x))``, or no norm ``x + f(x)``.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class RMSNorm(nn.Module):
    """Root-mean-square normalisation, ``x / sqrt(mean(x^2) + eps) * weight``, in float32.

    Zhang and Sennrich 2019, equation 4, with eps inside the root as in Llama.

    Args:
        d_model: size of the last axis.
        eps: added to the mean square.
    """

    def __init__(self, d_model: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(d_model))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis; the result has the dtype of ``x``."""
        return F.rms_norm(x.float(), self.weight.shape, self.weight.float(), self.eps).to(x.dtype)


class LayerNorm(nn.Module):
    """Layer normalisation without bias (Ba et al. 2016, section 3), in float32."""

    def __init__(self, d_model: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(d_model))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis; the result has the dtype of ``x``."""
        weight = self.weight.float()
        return F.layer_norm(x.float(), weight.shape, weight, None, self.eps).to(x.dtype)


class PreNormBranch(nn.Module):
    """``x + sublayer(norm(x))``."""

    def __init__(self, norm: nn.Module, sublayer: nn.Module) -> None:
        super().__init__()
        self.norm = norm
        self.sublayer = sublayer

    def forward(self, x: Tensor, *context: object) -> Tensor:
        """Add the branch to ``x`` (B, T, D); ``context`` is passed to the sublayer."""
        update: Tensor = self.sublayer(self.norm(x), *context)
        return x + update


class PostNormBranch(nn.Module):
    """``norm(x + sublayer(x))``."""

    def __init__(self, norm: nn.Module, sublayer: nn.Module) -> None:
        super().__init__()
        self.norm = norm
        self.sublayer = sublayer

    def forward(self, x: Tensor, *context: object) -> Tensor:
        """Add the branch to ``x`` (B, T, D) and normalise the sum."""
        total: Tensor = self.norm(x + self.sublayer(x, *context))
        return total


class PlainBranch(nn.Module):
    """``x + sublayer(x)``."""

    def __init__(self, sublayer: nn.Module) -> None:
        super().__init__()
        self.sublayer = sublayer

    def forward(self, x: Tensor, *context: object) -> Tensor:
        """Add the branch to ``x`` (B, T, D)."""
        update: Tensor = self.sublayer(x, *context)
        return x + update


class NormStrategy(Protocol):
    """Position of the norms relative to the sublayers and the residual sums."""

    def wrap(self, sublayer: nn.Module, d_model: int) -> nn.Module:
        """Return the residual branch around ``sublayer``: ``forward(x_BTD, *context)``."""
        ...

    def final(self, d_model: int) -> nn.Module:
        """Return the module between the last block and the output head."""
        ...


class PreRMSNorm:
    """RMSNorm before each sublayer and before the head (Llama)."""

    def __init__(self, *, eps: float) -> None:
        self.eps = eps

    def wrap(self, sublayer: nn.Module, d_model: int) -> nn.Module:
        """Return ``x + sublayer(norm(x))``."""
        return PreNormBranch(RMSNorm(d_model, self.eps), sublayer)

    def final(self, d_model: int) -> nn.Module:
        """Return the norm before the head."""
        return RMSNorm(d_model, self.eps)


class PostRMSNorm:
    """RMSNorm after each residual sum, as the original Transformer placed its LayerNorm.

    Vaswani et al. 2017, section 3.1. The output of the last block is already normalised, so the
    head needs no further norm.
    """

    def __init__(self, *, eps: float) -> None:
        self.eps = eps

    def wrap(self, sublayer: nn.Module, d_model: int) -> nn.Module:
        """Return ``norm(x + sublayer(x))``."""
        return PostNormBranch(RMSNorm(d_model, self.eps), sublayer)

    def final(self, d_model: int) -> nn.Module:
        """Return the identity."""
        return nn.Identity()


class PreLayerNorm:
    """LayerNorm without bias before each sublayer and before the head."""

    def __init__(self, *, eps: float) -> None:
        self.eps = eps

    def wrap(self, sublayer: nn.Module, d_model: int) -> nn.Module:
        """Return ``x + sublayer(norm(x))``."""
        return PreNormBranch(LayerNorm(d_model, self.eps), sublayer)

    def final(self, d_model: int) -> nn.Module:
        """Return the norm before the head."""
        return LayerNorm(d_model, self.eps)


class NoNorm:
    """No normalisation anywhere."""

    def wrap(self, sublayer: nn.Module, d_model: int) -> nn.Module:
        """Return ``x + sublayer(x)``."""
        return PlainBranch(sublayer)

    def final(self, d_model: int) -> nn.Module:
        """Return the identity."""
        return nn.Identity()
