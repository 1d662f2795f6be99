"""How much of the loss exists at a time. No torch."""

from __future__ import annotations

VALUES_A_CHUNK = 1 << 25  # 128 MiB of float32 logits
FEWEST_ROWS = 128  # below that, products get slow


def chunk_rows(vocab_size: int) -> int:
    """Tokens of a chunk: the power of two whose logits stay below :data:`VALUES_A_CHUNK`."""
    fitting = max(1, VALUES_A_CHUNK // vocab_size)
    return max(FEWEST_ROWS, 1 << (fitting.bit_length() - 1))
