"""What each of several ranks computes of a run."""

from __future__ import annotations

from lmlab.config.compose import with_values
from lmlab.config.run_config import RunConfig
from lmlab.errors import ConfigError


def rank_config(config: RunConfig, num_ranks: int) -> RunConfig:
    """The run as one of its ranks computes it: with its share of the batch.

    Raises:
        ConfigError: the ranks cannot have equal shares, or these no equal micro-batches.
    """
    whole, micro = config.training.batch_size, config.training.micro_batch_size
    if whole % num_ranks:
        near = max(number for number in range(1, num_ranks) if whole % number == 0)
        raise ConfigError(
            f"training.batch_size={whole}: accepted with {num_ranks} ranks is a multiple of "
            f"{num_ranks}, for example {max(1, round(whole / num_ranks)) * num_ranks}; or start "
            f"{near} rank{'s' if near > 1 else ''}"
        )
    own = whole // num_ranks
    micro = None if micro is None else min(micro, own)
    if micro is not None and own % micro:
        near = max(number for number in range(1, micro) if own % number == 0)
        raise ConfigError(
            f"training.micro_batch_size={micro}: accepted with {num_ranks} ranks is a divisor of "
            f"the {own} sequences that each has of training.batch_size={whole}, for example {near} "
            "(another micro-batch is another run), or null"
        )
    return with_values(config, {"training.batch_size": own, "training.micro_batch_size": micro})
