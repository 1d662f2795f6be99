"""Hidden width of a feed-forward layer when none is given. No torch: accounting reads it too."""

from __future__ import annotations


def auto_d_ff(d_model: int, gated: bool) -> int:
    """Return the hidden width at which gated and plain layers have about equally many weights.

    A plain layer (two matrices) takes 4 d_model, as in Vaswani et al. 2017, section 3.3; a gated
    one (three matrices) takes 8/3 d_model (Shazeer 2020, section 2), rounded to the nearest
    multiple of 64, at least 64, so that matrices fill the tiles of the hardware.

    Args:
        d_model: model width.
        gated: whether the layer multiplies two projections of its input.
    """
    if not gated:
        return 4 * d_model
    # Half up: Python's round() would take ties to the even multiple.
    return max(64, (8 * d_model + 96) // 192 * 64)
