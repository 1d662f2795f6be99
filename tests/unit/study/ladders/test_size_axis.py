"""The size that drifts are per doubling of."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from lmlab.design.rungs import Rung
from lmlab.study.ladders.size_axis import DEPTH, PARAMETERS, WIDTH, size_axis


def rungs(shapes: Sequence[tuple[int, int, int]]) -> list[Rung]:
    """Return rungs of the given width, depth and parameters in blocks."""
    return [Rung((), width, depth, 2 * size, size, 1000, 10**9) for width, depth, size in shapes]


@pytest.mark.parametrize(
    ("shapes", "name", "sizes"),
    [
        ([(32, 2, 100), (64, 2, 400), (128, 2, 1600)], WIDTH, [32, 64, 128]),
        ([(32, 2, 100), (32, 4, 200), (32, 8, 400)], DEPTH, [2, 4, 8]),
        ([(32, 2, 100), (64, 4, 800), (128, 4, 3200)], PARAMETERS, [100, 800, 3200]),
        ([(32, 2, 100), (64, 2, 400), (64, 2, 800)], PARAMETERS, [100, 400, 800]),
        ([(32, 2, 100), (32, 2, 200)], PARAMETERS, [100, 200]),
        ([(32, 2, 100), (32, 2, 100)], PARAMETERS, [100, 100]),
        ([(32, 2, 100), (64, 2, 400), (32, 2, 100)], WIDTH, [32, 64, 32]),
    ],
    ids=["width", "depth", "both", "and d_ff", "only d_ff", "only steps", "in any order"],
)
def test_the_axis_is_what_alone_varies(
    shapes: list[tuple[int, int, int]], name: str, sizes: list[float]
) -> None:
    axis = size_axis(rungs(shapes))
    assert (axis.name, list(axis.sizes)) == (name, sizes)


def test_the_axis_names_itself() -> None:
    width = size_axis(rungs([(32, 2, 100), (64, 2, 400)]))
    assert width.phrase == "the width doubles" and "model.d_model" in width.label
    both = dataclasses.replace(width, name=PARAMETERS)
    assert both.phrase == "the parameters in blocks double"
