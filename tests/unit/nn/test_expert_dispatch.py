"""The pairs of each expert against lists that are filled one pair at a time."""

from __future__ import annotations

import pytest
import torch

from lmlab.nn.expert_dispatch import dispatch, expert_capacity


def choices(num_tokens: int, num_experts: int, count: int) -> torch.Tensor:
    """Different experts per token; the last expert is never chosen."""
    generator = torch.Generator().manual_seed(num_tokens)
    rows = [torch.randperm(num_experts - 1, generator=generator)[:count] for _ in range(num_tokens)]
    return torch.stack(rows)


@pytest.mark.parametrize("capacity", [None, 100, 4, 1, 0])
@pytest.mark.parametrize("count", [1, 3])
def test_experts_take_pairs_in_the_order_of_tokens_up_to_their_capacity(
    count: int, capacity: int | None
) -> None:
    experts = choices(13, 5, count)
    kept: list[list[int]] = [[] for _ in range(5)]
    loads, dropped = [0] * 5, []
    for token, chosen in enumerate(experts.tolist()):
        for choice, expert in enumerate(chosen):
            pair, loads[expert] = token * count + choice, loads[expert] + 1
            has_room = capacity is None or len(kept[expert]) < capacity
            (kept[expert] if has_room else dropped).append(pair)
    found = dispatch(experts, 5, capacity)
    starts = [0, *found.ends.tolist()]
    for expert, pairs in enumerate(kept):
        assert found.order[starts[expert] : starts[expert + 1]].tolist() == pairs
    assert sorted(found.order[starts[-1] :].tolist()) == sorted(dropped)
    assert found.loads.tolist() == loads and loads[-1] == 0
    assert float(found.dropped_share()) == pytest.approx(len(dropped) / (13 * count))


def test_a_capacity_is_rounded_up_to_whole_pairs() -> None:
    """Fedus et al. 2022, equation 3: tokens per batch / number of experts * capacity factor."""
    assert expert_capacity(12, 4, 1.0) == 3
    assert expert_capacity(13, 4, 1.0) == 4
    assert expert_capacity(12, 4, 1.25) == 4
    assert expert_capacity(10, 4, 0.1) == 1
