"""Matrices of latent attention in the layout of DeepSeek, and back.

DeepSeek keeps the matrices of the latent and of the rotated features of keys as one, and those of
keys and values as another, in which the rows of each head's key and value follow each other.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lmlab.errors import DataError

_INTO_LATENT, _OUT_OF_LATENT = "kv_down_and_k_rope.weight", "k_up_and_v_up.weight"


def join_latent_weights(state: dict[str, Tensor], num_heads: int) -> dict[str, Tensor]:
    """Join the matrices of each layer.

    Args:
        state: weights by their names in lmlab.
        num_heads: H.
    """
    joined = dict(state)
    for prefix in _layers(state, "kv_down.weight"):
        into = [joined.pop(f"{prefix}{name}.weight") for name in ("kv_down", "k_rope")]
        joined[prefix + _INTO_LATENT] = torch.cat(into)
        out_of = [joined.pop(f"{prefix}{name}.weight") for name in ("k_up", "v_up")]
        by_head = [matrix.unflatten(0, (num_heads, -1)) for matrix in out_of]
        joined[prefix + _OUT_OF_LATENT] = torch.cat(by_head, dim=1).flatten(0, 1)
    return joined


def split_latent_weights(state: dict[str, Tensor], num_heads: int) -> dict[str, Tensor]:
    """Undo :func:`join_latent_weights`.

    Raises:
        DataError: a matrix is missing or has a size that no split explains.
    """
    split = dict(state)
    for prefix in _layers(state, _INTO_LATENT):
        try:
            rank = len(state[prefix + "kv_latent_norm.weight"])
            d_value = state[prefix + "out.weight"].shape[1] // num_heads
            into, out_of = split.pop(prefix + _INTO_LATENT), split.pop(prefix + _OUT_OF_LATENT)
            by_head = out_of.unflatten(0, (num_heads, -1))
            k_up, v_up = by_head.split([by_head.shape[1] - d_value, d_value], dim=1)
            kv_down, k_rope = into.split([rank, len(into) - rank])
        except (KeyError, RuntimeError, ValueError, IndexError) as error:
            reason = " ".join(str(error).split())
            raise DataError(
                f"weights: {prefix}*: not those of latent attention: {reason}"
            ) from None
        found = {
            "kv_down": kv_down, "k_rope": k_rope,
            "k_up": k_up.flatten(0, 1), "v_up": v_up.flatten(0, 1),
        }  # fmt: skip
        split |= {f"{prefix}{name}.weight": one.contiguous() for name, one in found.items()}
    return split


def _layers(state: dict[str, Tensor], suffix: str) -> list[str]:
    """Return the beginnings of the names of each layer's weights."""
    return [name.removesuffix(suffix) for name in state if name.endswith(f".{suffix}")]
