"""The part of each batch that one of several ranks computes."""

from __future__ import annotations

import dataclasses

from lmlab.config.run_config import RunConfig
from lmlab.errors import ConfigError


def rank_config(config: RunConfig, num_ranks: int) -> RunConfig:
    """Return the configuration of one rank: its part of the batch, and all else unchanged.

    Raises:
        ConfigError: the batch does not divide into equal parts for the ranks, or a part does not
            divide into equal micro-batches.
    """
    if num_ranks == 1:
        return config
    total, micro = config.training.batch_size, config.training.micro_batch_size
    if total % num_ranks:
        near = max(number for number in range(1, num_ranks) if total % number == 0)
        multiple = max(1, round(total / num_ranks)) * num_ranks
        raise ConfigError(
            f"training.batch_size={total}: expected a multiple of {num_ranks} with {num_ranks} "
            "ranks",
            f"set training.batch_size={multiple}, or start {near} rank{'s' if near > 1 else ''}",
        )
    per_rank = total // num_ranks
    micro = None if micro is None else min(micro, per_rank)
    if micro is not None and per_rank % micro:
        near = max(number for number in range(1, micro) if per_rank % number == 0)
        raise ConfigError(
            f"training.micro_batch_size={micro}: expected a divisor of the {per_rank} sequences "
            f"that each of {num_ranks} ranks has of training.batch_size={total}",
            f"set training.micro_batch_size={near} (another micro-batch is another run), or null",
        )
    training = dataclasses.replace(config.training, batch_size=per_rank, micro_batch_size=micro)
    return dataclasses.replace(config, training=training)
