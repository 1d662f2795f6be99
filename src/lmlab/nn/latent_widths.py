"""Widths of latent attention. No torch: accounting and checks of settings need them too."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class LatentWidths:
    """Widths of multi-head latent attention.

    Attributes:
        kv_rank: width of the latent that keys and values are computed from.
        q_rank: width of the latent that queries are computed from; None for the input itself.
        d_nope: features of a query or key head that carry no position.
        d_rope: features that the position encoding rotates; all heads share those of the key.
        d_value: width of a value head.
    """

    kv_rank: int
    q_rank: int | None
    d_nope: int
    d_rope: int
    d_value: int

    @property
    def d_key(self) -> int:
        """Width of a query or key head."""
        return self.d_nope + self.d_rope


def latent_widths(
    *,
    d_model: int,
    num_heads: int,
    kv_lora_rank: int | None,
    q_lora_rank: int | None,
    d_nope: int | None,
    d_rope: int | None,
    d_value: int | None,
) -> LatentWidths:
    """Return the widths, where None stands for the proportions of DeepSeek-V2-Lite.

    They are those of DeepSeek-AI 2024, appendix B.1 (D = 2048, H = 16): a latent of D / 4, heads
    and values of D / H, and a rotated part of half that width, here rounded up to an even number.
    """
    d_head = d_model // num_heads
    return LatentWidths(
        kv_rank=max(1, d_model // 4) if kv_lora_rank is None else kv_lora_rank,
        q_rank=q_lora_rank,
        d_nope=d_head if d_nope is None else d_nope,
        d_rope=rotated_width_of_latent(d_head, d_rope),
        d_value=d_head if d_value is None else d_value,
    )


def rotated_width_of_latent(d_head: int, d_rope: int | None) -> int:
    """Return the width of the rotated part; see :func:`latent_widths`."""
    return 2 * -(-d_head // 4) if d_rope is None else d_rope
