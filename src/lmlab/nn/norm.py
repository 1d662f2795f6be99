"""Normalisation and its position in the residual block.

A strategy wraps a sublayer in a residual branch, so that blocks need not know which one they use:
pre-norm ``x + f(norm(x))``, post-norm ``norm(x + f(x))``, norms on both sides of the sublayer
``x + norm(f(norm(x)))``, or no norm ``x + f(x)``.
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


class GainlessRMSNorm(nn.Module):
    """:class:`RMSNorm` without learned gain, ``x / sqrt(mean(x^2) + eps)``, in float32."""

    def __init__(self, d_model: int, eps: float) -> None:
        super().__init__()
        self.shape = (d_model,)
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis; the result has the dtype of ``x``."""
        return F.rms_norm(x.float(), self.shape, None, self.eps).to(x.dtype)

    def implied_weights(self) -> dict[str, Tensor]:
        """Return the gain of an :class:`RMSNorm` that computes the same, for export."""
        return {"weight": torch.ones(self.shape)}


class DyT(nn.Module):
    """Dynamic tanh, ``tanh(alpha * x) * weight``: Zhu et al. 2025, equation 1, in float32.

    Without the bias of the paper, as all norms here. It takes the place of a norm, and does not
    depend on the other features of a token.

    Args:
        d_model: size of the last axis.
        alpha: initial value of the learned scale, one per layer.
    """

    def __init__(self, d_model: int, alpha: float) -> None:
        super().__init__()
        # One axis, because FSDP2 takes no parameter without axes.
        self.alpha = nn.Parameter(torch.full((1,), float(alpha)))
        self.weight = nn.Parameter(torch.ones(d_model))

    def forward(self, x: Tensor) -> Tensor:
        """Squash each value; the result has the dtype of ``x``."""
        return (torch.tanh(self.alpha.float() * x.float()) * self.weight.float()).to(x.dtype)


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


class SandwichBranch(nn.Module):
    """``x + last(sublayer(norm(x)))``.

    Attributes:
        last: the module whose output is added.
    """

    def __init__(self, norm: nn.Module, sublayer: nn.Module, last: nn.Module) -> None:
        super().__init__()
        self.norm = norm
        self.sublayer = sublayer
        self.last = last

    def forward(self, x: Tensor, *context: object) -> Tensor:
        """Add the branch to ``x`` (B, T, D); ``context`` is passed to the sublayer."""
        update: Tensor = self.last(self.sublayer(self.norm(x), *context))
        return x + update


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
        """Return the residual branch around ``sublayer``: ``forward(x_BTD, *context)``.

        Where the sublayer's output is not what is added, the branch has an attribute ``last``: the
        module whose output is. Residual dropout and factors of a parametrization go there.
        """
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


class PreGainlessRMSNorm:
    """RMSNorm without learned gain before each sublayer and before the head."""

    def __init__(self, *, eps: float) -> None:
        self.eps = eps

    def wrap(self, sublayer: nn.Module, d_model: int) -> nn.Module:
        """Return ``x + sublayer(norm(x))``."""
        return PreNormBranch(GainlessRMSNorm(d_model, self.eps), sublayer)

    def final(self, d_model: int) -> nn.Module:
        """Return the norm before the head."""
        return GainlessRMSNorm(d_model, self.eps)


class SandwichRMSNorm:
    """RMSNorm before and after each sublayer, and before the head.

    Gemma 2 (Gemma Team 2024, section 2); Ding et al. 2021 (CogView), section 2.4, with LayerNorm.
    """

    def __init__(self, *, eps: float) -> None:
        self.eps = eps

    def wrap(self, sublayer: nn.Module, d_model: int) -> nn.Module:
        """Return ``x + norm(sublayer(norm(x)))``."""
        before, after = RMSNorm(d_model, self.eps), RMSNorm(d_model, self.eps)
        return SandwichBranch(before, sublayer, after)

    def final(self, d_model: int) -> nn.Module:
        """Return the norm before the head."""
        return RMSNorm(d_model, self.eps)


class PreDyT:
    """Dynamic tanh before each sublayer and before the head, where Llama has norms.

    Zhu et al. 2025, section 4.

    Args:
        alpha: initial value of the learned scale of each :class:`DyT`.
    """

    def __init__(self, *, alpha: float) -> None:
        self.alpha = alpha

    def wrap(self, sublayer: nn.Module, d_model: int) -> nn.Module:
        """Return ``x + sublayer(dyt(x))``."""
        return PreNormBranch(DyT(d_model, self.alpha), sublayer)

    def final(self, d_model: int) -> nn.Module:
        """Return the squashing function before the head."""
        return DyT(d_model, self.alpha)


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
