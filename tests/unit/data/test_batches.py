from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmlab.data.batches import Batches, _keys, permute, validation_windows
from lmlab.errors import DataError


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 16, 17, 63, 64, 65, 1000, 4097])
def test_the_permutation_is_a_bijection(size: int) -> None:
    places = np.arange(size)
    for epoch in range(3):
        keys = _keys(0, epoch)[:-1]
        assert sorted(permute(places, size, keys)) == list(range(size))
        # Permuting one at a time gives the same.
        assert [
            int(permute(places[i : i + 1], size, keys)[0]) for i in range(min(size, 9))
        ] == list(permute(places[:9], size, keys))


def test_the_permutation_looks_random() -> None:
    order = permute(np.arange(1000), 1000, _keys(0, 0)[:-1])
    neighbours = np.abs(np.diff(order))
    assert 250 < neighbours.mean() < 420, "of a random order it is a third of the size"
    assert abs(np.corrcoef(np.arange(1000), order)[0, 1]) < 0.15


def make(num_tokens: int = 1000, context_length: int = 7, batch_size: int = 5, seed: int = 0):
    return Batches(
        np.arange(num_tokens, dtype=np.uint16),
        context_length=context_length, batch_size=batch_size, seed=seed,
    )  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 20), st.integers(0, 100), st.integers(1, 9), st.integers(0, 3))
def test_every_window_is_inside_the_text(
    context: int, spare: int, batch_size: int, seed: int
) -> None:
    batches = make(context + 1 + spare, context, batch_size, seed)
    for step in range(40):
        inputs, targets = batches.batch(step)
        assert inputs.shape == targets.shape == (batch_size, context)
        assert inputs.dtype == targets.dtype == np.int64
        # Tokens equal their offsets: windows are contiguous, targets are shifted by one.
        assert np.array_equal(targets, inputs + 1)
        assert np.array_equal(np.diff(inputs, axis=1), np.ones((batch_size, context - 1)))
        assert inputs.min() >= 0
        assert targets.max() <= context + spare


def test_the_first_and_last_tokens_are_used() -> None:
    for num_tokens in (16, 17, 20, 22, 23):
        batches = make(num_tokens, 7, 8)
        seen = [batches.batch(step) for step in range(60)]
        assert min(inputs.min() for inputs, _ in seen) == 0
        assert max(targets.max() for _, targets in seen) == num_tokens - 1


def test_an_epoch_reads_each_window_once() -> None:
    batches = make(1000, 7, 5)
    count = batches.num_windows
    starts = np.concatenate([batches.starts(step) for step in range(2 * count)])
    for epoch in range(10):
        of_epoch = np.sort(starts[epoch * count : (epoch + 1) * count])
        assert np.array_equal(np.diff(of_epoch), np.full(count - 1, 7))
    assert batches.num_epochs(2 * count) == 10.0
    assert len({int(starts[e * count : (e + 1) * count].min()) for e in range(10)}) > 1, "phases"


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    forward = [make().batch(step)[0] for step in range(20)]
    batches = make()
    backward = [batches.batch(step)[0] for step in reversed(range(20))][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(forward, backward, strict=True))
    assert not np.array_equal(make(seed=1).batch(3)[0], forward[3])
    assert not np.array_equal(forward[3], forward[4])


def test_samples_do_not_depend_on_how_they_are_batched() -> None:
    small, large = make(batch_size=3), make(batch_size=6)
    assert np.array_equal(np.concatenate([small.starts(0), small.starts(1)]), large.starts(0))


def test_fewer_tokens_than_a_window_are_refused() -> None:
    assert make(8, 7).num_windows == 1
    with pytest.raises(
        DataError, match=r"model\.context_length=7: expected at least 8 tokens .*, found 7"
    ):
        make(7, 7)


@settings(max_examples=200, deadline=None)
@given(st.integers(2, 200), st.integers(1, 20))
def test_validation_predicts_each_token_but_the_first_once(num_tokens: int, context: int) -> None:
    windows = validation_windows(np.arange(num_tokens), context_length=context, max_tokens=None)
    predicted = [token for start, length in windows for token in range(start + 1, start + length)]
    assert predicted == list(range(1, num_tokens))
    assert all(2 <= length <= context + 1 for _, length in windows)


@settings(max_examples=200, deadline=None)
@given(st.integers(30, 500), st.integers(1, 20), st.integers(1, 400))
def test_bounded_validation_windows_are_spread_over_the_split(
    num_tokens: int, context: int, most: int
) -> None:
    tokens = np.arange(num_tokens)
    windows = validation_windows(tokens, context_length=context, max_tokens=most)
    predicted = sum(length - 1 for _, length in windows)
    assert predicted <= max(most, context)
    assert len({start for start, _ in windows}) == len(windows)
    if most < num_tokens - 1:
        assert predicted > most - context, "no more is left out than a window"
        assert all(length == context + 1 for _, length in windows), "full windows only"
        gaps = np.diff([start // context for start, _ in windows])
        assert gaps.size == 0 or gaps.max() - gaps.min() <= 1, "evenly spread"
        left = (num_tokens - 1) // context - windows[-1][0] // context
        assert left <= -(-((num_tokens - 1) // context) // len(windows)), "the end has its share"
    assert windows == validation_windows(tokens, context_length=context, max_tokens=most)


@pytest.mark.parametrize("most", [None, 1, 4, 100])
def test_a_split_shorter_than_a_window_is_one_window(most: int | None) -> None:
    windows = validation_windows(np.arange(5), context_length=10, max_tokens=most)
    assert windows == [(0, 5)]


def test_a_bound_below_a_window_gives_one_window() -> None:
    assert validation_windows(np.arange(50), context_length=10, max_tokens=3) == [(0, 11)]
