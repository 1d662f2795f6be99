"""Sources are read in their shares, and each as if it were the only one."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mixed_ids import StoredTokens

from lmlab.data.batches import Batches
from lmlab.data.mixed_batches import MixedBatches
from lmlab.data.mixed_tokens import MixedTokens, parts_of
from lmlab.data.share_schedule import shares_of
from lmlab.training.device_batches import DeviceBatches

SIZES = dict(context_length=7, batch_size=5, seed=3)


def mixed(weights: list[float], lengths: list[int], **sizes) -> MixedBatches:
    """Batches of sources whose ids say which source and position they are of."""
    splits = [
        StoredTokens(1000 * index + np.arange(length) % 1000)
        for index, length in enumerate(lengths)
    ]
    tokens = MixedTokens.of([f"s{n}" for n in range(len(splits))], shares_of(weights), splits)
    return MixedBatches(tokens.tokens, tokens.parts, **{**SIZES, **sizes})


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 120), st.integers(1, 9), st.integers(1, 9), st.integers(0, 5),
    st.integers(0, 10**6),
)  # fmt: skip
def test_one_source_has_the_batches_that_it_always_had(
    spare: int, context: int, batch: int, seed: int, step: int
) -> None:
    split = StoredTokens(np.arange(context + 1 + spare))
    sizes = dict(context_length=context, batch_size=batch, seed=seed)
    alone = Batches(split.tokens, **sizes)
    batches = MixedBatches(split.tokens, parts_of(split), **sizes)
    for number in range(step, step + 4):
        assert np.array_equal(batches.starts(number), alone.starts(number))
        for one, two in zip(batches.batch(number), alone.batch(number), strict=True):
            assert np.array_equal(one, two)
    assert batches.num_epochs(step) == alone.num_epochs(step)
    assert batches.source_facts(10) == {}


@pytest.mark.parametrize("weights", [[1, 1], [0.137, 3.3, 0.02], [1 / 3, 2 / 7, 0.1, 5, 1e-2]])
def test_shares_of_tokens_are_within_one_percent_after_10000_steps(weights: list[float]) -> None:
    steps = 10_000
    lengths = [900_000, 200_000, 333_333, 900_000, 60_000][: len(weights)]
    batches = mixed(weights, lengths, batch_size=16)
    numbers = np.arange(steps * batches.batch_size)
    first = np.array([part.start for part in batches.parts])
    which = np.searchsorted(first, batches.starts_of(numbers), side="right") - 1
    for index, share in enumerate(shares_of(weights)):
        assert np.mean(which == index) == pytest.approx(float(share), rel=0.01)


def test_each_source_is_read_in_its_own_order_and_no_window_spans_two() -> None:
    lengths = [300, 120, 77]
    batches = mixed([5, 2, 1], lengths)
    read: dict[int, list[np.ndarray]] = {0: [], 1: [], 2: []}
    for step in range(120):
        inputs, targets = batches.batch(step)
        assert np.array_equal(np.diff(inputs, axis=1), np.ones_like(inputs[:, 1:]))
        assert np.array_equal(targets, inputs + 1)
        for row in inputs:
            read[int(row[0]) // 1000].append(row % 1000)
    for index, length in enumerate(lengths):
        alone = Batches(np.arange(length), context_length=7, batch_size=1, seed=3)
        expected = [alone.batch(step)[0][0] for step in range(len(read[index]))]
        assert np.array_equal(read[index], expected)
    assert len(read[2]) > 2 * (77 // 7), "several epochs of the smallest"


def test_ranks_share_a_batch_and_batch_sizes_the_order() -> None:
    weights, lengths = [3, 1.5, 0.7], [300, 120, 77]
    whole = mixed(weights, lengths, batch_size=12)
    halves = [mixed(weights, lengths, batch_size=12, part=slice(a, a + 6)) for a in (0, 6)]
    small = mixed(weights, lengths, batch_size=4)
    for step in range(50):
        inputs = whole.batch(step)[0]
        assert np.array_equal(inputs, np.concatenate([one.batch(step)[0] for one in halves]))
        parts = [small.batch(3 * step + number)[0] for number in range(3)]
        assert np.array_equal(inputs, np.concatenate(parts))


def test_batches_gathered_on_a_device_are_the_same() -> None:
    batches = mixed([3, 1.5, 0.7], [300, 120, 77])
    gathered = DeviceBatches(batches, torch.device("cpu"))
    for step in (0, 1, 50):
        for one, two in zip(batches.batch(step), gathered.batch(step), strict=True):
            assert np.array_equal(one, two.numpy())


def test_facts_say_how_often_each_source_is_read() -> None:
    facts = mixed([3, 1], [301, 78], batch_size=8).source_facts(50)
    assert facts["s0"] == {"share": 0.75, "train_tokens": 301, "epochs": 300 / (300 // 7 - 1)}
    assert facts["s1"] == {"share": 0.25, "train_tokens": 78, "epochs": 100 / (77 // 7 - 1)}
    assert Fraction(3, 4) == mixed([3, 1], [301, 78]).parts[0].share
