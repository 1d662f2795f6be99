"""Figures of the tokenizer study show the values they are given."""

from __future__ import annotations

import pytest

from lmlab.demos.tokenizer_figures import compression, lengths, phases
from lmlab.demos.tokenizer_job import Phase, TokenizerResult
from lmlab.demos.tokenizer_measures import Estimate
from lmlab.tokenizer import Tokenizer


def test_compression_shows_values_with_their_intervals() -> None:
    figure = compression(
        {"a 300": {"a": Estimate(3.0, 2.5, 4.0)}, "b 300": {"a": Estimate(2, 1, 3)}}
    )
    (axes,) = figure.axes
    (bars,) = axes.containers
    assert bars.lines[0].get_xdata().tolist() == [3.0, 2.0]
    (segments,) = bars.lines[2]
    assert [segment[:, 0].tolist() for segment in segments.get_segments()] == [[2.5, 4.0], [1, 3]]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a 300", "b 300"]
    assert axes.get_xlabel().startswith("bytes per token")


def test_phases_are_stacked() -> None:
    made = [Phase("counting", 1.0, 2.0, 10), Phase("merging", 3.0, 3.0, 10)]
    figure = phases({"a": TokenizerResult(made, 1, 1, 1, 1, [1.0])})
    (axes,) = figure.axes
    first, second = (container[0] for container in axes.containers)
    assert (first.get_x(), first.get_width()) == (0, 1.0)
    assert (second.get_x(), second.get_width()) == (1.0, 3.0)


def test_lengths_are_shares_of_the_learned_entries() -> None:
    base = {byte: bytes([byte]) for byte in range(256)}
    merges = [(b"a", b"b"), (b"ab", b"c"), (b"d", b"e"), (b"f", b"g")]
    made = {256 + index: left + right for index, (left, right) in enumerate(merges)}
    figure = lengths({"a": Tokenizer(base | made, merges, ["<|endoftext|>"])})
    (axes,) = figure.axes
    (line,) = axes.lines
    assert line.get_xdata()[:3].tolist() == [2, 3, 4]
    assert line.get_ydata()[:3].tolist() == pytest.approx([3 / 4, 1 / 4, 0])
    assert axes.get_xticklabels()[-1].get_text() == "16+"
