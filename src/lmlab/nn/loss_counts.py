"""Chunk sizes of the training loss. No torch."""

from __future__ import annotations

# Float32 logits per chunk. A CPU is fastest when a chunk fits its cache (32 MiB, measured with a
# step of small_17m), a GPU with large products (256 MiB on CUDA, 128 MiB on MPS).
VALUES_PER_CHUNK = {"cpu": 1 << 23, "cuda": 1 << 26, "mps": 1 << 25}
MIN_ROWS = 128  # products of fewer rows are slow
# Bytes of logits per chunk where gradients overwrite them; larger products measured faster.
BYTES_PER_IN_PLACE_CHUNK = {"cpu": 1 << 26, "cuda": 1 << 28}


def chunk_rows(vocab_size: int, device_type: str) -> int:
    """Return tokens per chunk: a power of two that keeps to :data:`VALUES_PER_CHUNK`."""
    return _power_of_two_rows(VALUES_PER_CHUNK[device_type] // vocab_size)


def in_place_chunk_rows(vocab_size: int, item_size: int, device_type: str) -> int:
    """Return tokens per chunk for logits of ``item_size`` bytes that gradients overwrite."""
    return _power_of_two_rows(BYTES_PER_IN_PLACE_CHUNK[device_type] // (vocab_size * item_size))


def _power_of_two_rows(limit: int) -> int:
    return max(MIN_ROWS, 1 << (max(1, limit).bit_length() - 1))
