"""How much of the loss exists at a time. No torch."""

from __future__ import annotations

# Float32 logits of a chunk. On a CPU a chunk should stay in the processor's own memory (32 MiB,
# where a step of small_17m is fastest); a GPU wants large products (256 MiB and 128 MiB).
VALUES_PER_CHUNK = {"cpu": 1 << 23, "cuda": 1 << 26, "mps": 1 << 25}
MIN_ROWS = 128  # below that, products get slow
# Logits that gradients take the place of: a product of more tokens, measured, is the faster one.
BYTES_PER_IN_PLACE_CHUNK = {"cpu": 1 << 26, "cuda": 1 << 28}


def chunk_rows(vocab_size: int, device_type: str) -> int:
    """Tokens of a chunk: the power of two whose logits stay below :data:`VALUES_PER_CHUNK`."""
    return _rows(VALUES_PER_CHUNK[device_type] // vocab_size)


def in_place_chunk_rows(vocab_size: int, item_size: int, device_type: str) -> int:
    """Tokens of a chunk whose logits, of ``item_size`` bytes, are its only large tensor."""
    return _rows(BYTES_PER_IN_PLACE_CHUNK[device_type] // (vocab_size * item_size))


def _rows(fitting: int) -> int:
    return max(MIN_ROWS, 1 << (max(1, fitting).bit_length() - 1))
