"""The batch and micro-batch of each rank."""

from __future__ import annotations

import itertools

import pytest

from lmlab.config.rank_batch import per_rank_batch
from lmlab.errors import ConfigError


def test_parts_add_up_to_the_batch_and_micro_batches_to_a_part() -> None:
    accepted = 0
    for batch, micro, ranks in itertools.product(range(1, 25), (None, 1, 2, 3, 8), range(1, 7)):
        try:
            part, own_micro = per_rank_batch(batch, micro, ranks)
        except ConfigError:
            continue
        accepted += 1
        assert part * ranks == batch
        assert (own_micro is None) == (micro is None)
        assert own_micro is None or (part % own_micro == 0 and own_micro <= micro)
    assert accepted > 150


def test_more_ranks_than_micro_batches_get_smaller_micro_batches() -> None:
    assert per_rank_batch(8, 4, 4) == (2, 2)


@pytest.mark.parametrize(
    ("batch", "micro", "ranks", "message", "help"),
    [
        (8, None, 3, "training.batch_size=8: expected a multiple of 3 with 3 ranks",
         "set training.batch_size=9, or start 2 ranks"),
        (2, None, 4, "training.batch_size=2: expected a multiple of 4 with 4 ranks",
         "set training.batch_size=4, or start 2 ranks"),
        (3, None, 2, "training.batch_size=3: expected a multiple of 2 with 2 ranks",
         "set training.batch_size=4, or start 1 rank"),
        (12, 4, 2, "training.micro_batch_size=4: expected a divisor of the 6 sequences that each "
         "of 2 ranks has of training.batch_size=12",
         "set training.micro_batch_size=3 (another micro-batch is another run), or null"),
    ],
)  # fmt: skip
def test_unequal_parts_are_refused_with_sizes_that_work(
    batch: int, micro: int | None, ranks: int, message: str, help: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        per_rank_batch(batch, micro, ranks)
    assert (refused.value.message, refused.value.help) == (message, help)
    size = int(help.partition("=")[2].partition(",")[0].split()[0])
    assert per_rank_batch(size if micro is None else batch, micro and size, ranks)
