"""Default hidden width of a feed-forward layer. No torch: accounting needs it too."""

from __future__ import annotations


def auto_d_ff(d_model: int, gated: bool) -> int:
    """Return the hidden width at which gated and ungated layers have about equally many weights.

    An ungated layer (two matrices) takes 4 d_model, as in Vaswani et al. 2017, section 3.3. A gated
    layer (three matrices) takes 8/3 d_model (Shazeer 2020, section 2), rounded to the nearest
    multiple of 64, at least 64, so that matrices fill hardware tiles.

    Args:
        d_model: model width.
        gated: whether the layer multiplies two projections of its input.
    """
    if not gated:
        return 4 * d_model
    # Rounds half up: Python's round() would round ties to the even multiple.
    return max(64, (8 * d_model + 96) // 192 * 64)


def expert_d_ff(d_model: int, num_used: int) -> int:
    """Return the width of experts of which a token uses as many weights as of one gated layer.

    That is :func:`auto_d_ff` divided by their number, rounded to the nearest multiple of 8, at
    least 8.

    Args:
        d_model: model width.
        num_used: gated experts that a token uses, shared ones included.
    """
    return max(8, (auto_d_ff(d_model, gated=True) + 4 * num_used) // (8 * num_used) * 8)
