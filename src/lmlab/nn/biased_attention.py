"""Attention whose mask is a bias of the scores: -inf where a key is hidden."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def bias_of(visible: Tensor) -> Tensor:
    """Return the bias of a mask: 0 where it is True, -inf elsewhere, in float32."""
    bias = torch.zeros(visible.shape, device=visible.device)
    return bias.masked_fill(~visible, -math.inf)


def as_kernel_bias(bias_BHTS: Tensor, q_BHTK: Tensor) -> Tensor:
    """Return a bias in a dtype that torch's kernel takes beside these queries.

    The one for CPUs takes float32 at every lower precision, those for GPUs only the queries' dtype.
    Beside float64, the one for CPUs would read a float32 bias as if it were float64.
    """
    is_fine = q_BHTK.device.type == "cpu" and q_BHTK.dtype is not torch.float64
    return bias_BHTS if is_fine else bias_BHTS.to(q_BHTK.dtype)


def biased_attention(q_BHTK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, bias_BHTS: Tensor) -> Tensor:
    """Return attention by torch's fused kernel, with a bias that is added to the scores."""
    grouped = k_BGSK.shape[1] != q_BHTK.shape[1]
    return F.scaled_dot_product_attention(
        q_BHTK,
        k_BGSK,
        v_BGSK.to(q_BHTK.dtype),
        attn_mask=as_kernel_bias(bias_BHTS, q_BHTK),
        enable_gqa=grouped,
    )


def naive_biased_attention(
    q_BHTK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, bias_BHTS: Tensor
) -> Tensor:
    """Compute :func:`biased_attention` with all scores in memory and a float32 softmax."""
    heads_per_group = q_BHTK.shape[1] // k_BGSK.shape[1]
    if heads_per_group > 1:
        k_BGSK, v_BGSK = (part.repeat_interleave(heads_per_group, 1) for part in (k_BGSK, v_BGSK))
    scores = (q_BHTK @ k_BGSK.mT).float() * q_BHTK.shape[-1] ** -0.5 + bias_BHTS
    return scores.softmax(-1).to(q_BHTK.dtype) @ v_BGSK.to(q_BHTK.dtype)
