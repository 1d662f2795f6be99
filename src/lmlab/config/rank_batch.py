"""The part of each batch that one of several ranks computes."""

from __future__ import annotations

from lmlab.console.formatting import format_count
from lmlab.errors import ConfigError


def per_rank_batch(
    batch_size: int, micro_batch_size: int | None, num_ranks: int
) -> tuple[int, int | None]:
    """Return the batch size and micro-batch size of each of ``num_ranks`` ranks.

    Raises:
        ConfigError: the batch does not divide into equal parts for the ranks, or a part does not
            divide into equal micro-batches.
    """
    if batch_size % num_ranks:
        near = max(number for number in range(1, num_ranks) if batch_size % number == 0)
        multiple = max(1, round(batch_size / num_ranks)) * num_ranks
        raise ConfigError(
            f"training.batch_size={batch_size}: expected a multiple of {num_ranks} with "
            f"{format_count(num_ranks, 'rank')}",
            f"set training.batch_size={multiple}, or start {format_count(near, 'rank')}",
        )
    part = batch_size // num_ranks
    micro = None if micro_batch_size is None else min(micro_batch_size, part)
    if micro is not None and part % micro:
        near = max(number for number in range(1, micro) if part % number == 0)
        raise ConfigError(
            f"training.micro_batch_size={micro}: expected a divisor of the "
            f"{format_count(part, 'sequence')} "
            f"that each of {format_count(num_ranks, 'rank')} has of "
            f"training.batch_size={batch_size}",
            f"set training.micro_batch_size={near} (another micro-batch is another run), or null",
        )
    return part, micro
