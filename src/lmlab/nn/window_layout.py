"""Which keys a sliding window computes with. No torch: accounting needs it too."""

from __future__ import annotations

from collections.abc import Sequence

LOCAL, GLOBAL = "local", "global"


def window_of_layer(
    window: int | None, pattern: Sequence[str], layer: int, context_length: int | None
) -> int | None:
    """Return the window of a layer; None for a layer that attends to all earlier tokens.

    Args:
        window: width in tokens; None for no window in any layer.
        pattern: ``local`` or ``global``, repeated over the layers.
        layer: number of the layer, counted from 0.
        context_length: longest sequence; a window of this width or more hides nothing.
    """
    if window is None or pattern[layer % len(pattern)] == GLOBAL:
        return None
    return None if context_length is not None and window >= context_length else window


def is_blocked(num_tokens: int, window: int) -> bool:
    """Whether attention over a sequence is computed in blocks rather than over all pairs.

    Blocks need a sequence that is a multiple of the window. Below three windows they save nothing.
    """
    return num_tokens % window == 0 and num_tokens > 2 * window


def keys_per_query(num_tokens: int, window: int | None) -> int:
    """Return the number of keys that each query is multiplied with.

    In blocks of as many queries as the window is wide, these are the keys of its own block and of
    the one before, W of which are hidden. Otherwise they are all keys of the sequence.
    """
    is_full = window is None or not is_blocked(num_tokens, window)
    return num_tokens if is_full or window is None else 2 * window


def visible_pairs(num_tokens: int, window: int | None) -> int:
    """Return the number of pairs of a query and a key that it sees: the causal half, or a band."""
    width = num_tokens if window is None else min(window, num_tokens)
    return width * (width + 1) // 2 + (num_tokens - width) * width
