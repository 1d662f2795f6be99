from __future__ import annotations

import random

import numpy as np
import torch

from lmlab.runtime.random_streams import (
    RandomStreams,
    derive_seed,
    generator_states,
    host_positions,
    preserved_generators,
    restore_generators,
    seeded,
)

CPU = torch.device("cpu")


def draw() -> tuple[float, float, float, float]:
    return float(torch.rand(())), float(np.random.randn()), random.random(), random.gauss(0, 1)


def drawn(streams: RandomStreams, part: str, step: int, **how: bool) -> tuple[float, ...]:
    streams.begin(part, step, **how)
    return draw()


def test_each_part_step_rank_and_seed_has_a_stream_of_its_own() -> None:
    first, second, other = RandomStreams(0, CPU), RandomStreams(0, CPU, 1), RandomStreams(1, CPU)
    found = [
        drawn(first, "gradients", 0), drawn(first, "gradients", 1), drawn(first, "update", 0),
        drawn(second, "gradients", 0), drawn(other, "gradients", 0),
    ]  # fmt: skip
    for numbers in zip(*found, strict=True):
        assert len(set(numbers)) == len(found)
    assert drawn(first, "gradients", 1) == found[1], "a draw in between has no effect"
    shared = {"same_on_all_ranks": True}
    assert drawn(first, "update", 3, **shared) == drawn(second, "update", 3, **shared)


def test_the_seed_is_a_hash() -> None:
    seeds = {derive_seed(seed, part) for seed in range(50) for part in ("a", "b")}
    assert len(seeds) == 100 and all(0 <= seed < 2**63 for seed in seeds)
    assert len({seed % 64 for seed in seeds}) > 30, "neighbours share no pattern"


def test_states_are_restored_between_and_after_pairs_of_normal_numbers() -> None:
    torch.manual_seed(1)
    for number in range(3):  # NumPy and Python keep the second of a pair
        states, position = generator_states(), host_positions()
        expected = draw()
        assert host_positions() != position
        restore_generators(states)
        assert host_positions() == position
        assert draw() == expected, number


def test_seeding_for_a_while_leaves_no_trace_under_any_default_device() -> None:
    before = host_positions()
    with torch.device("meta"), seeded(3):
        first = random.random()
    with seeded(3), preserved_generators():
        assert random.random() == first
    assert host_positions() == before


def test_states_of_an_earlier_build_hold_torch_only() -> None:
    states = {"random.cpu": torch.get_rng_state()}
    expected, python = float(torch.rand(())), random.getstate()
    restore_generators(states)
    assert float(torch.rand(())) == expected
    assert random.getstate() == python
    restore_generators({})
