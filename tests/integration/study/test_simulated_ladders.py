"""A small part of the simulated ladders with a known truth: coverage and verdicts are as stated.

The whole table is that of ``tests/support/simulated_ladders.py``.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from ladder_truths import Cell, selected_cells
from simulated_ladders import HEAD, judged, row_of, simulate


def test_a_row_of_the_table_and_its_truths() -> None:
    assert len(selected_cells()) == len(set(selected_cells())) == 44
    cell = Cell("shrinking 1.5 to 1.1", rungs=4)
    for x in cell.log_cost[1:]:
        for direction in ("down", "up"):
            log_gain = cell.true_log_gain(x, direction)
            where = x - log_gain if direction == "down" else x
            # By definition the arm at C' has the loss of the baseline at C' times the gain.
            assert cell.arm_loss(where) == pytest.approx(cell.baseline_loss(where + log_gain))
    row = row_of(cell, simulate(cell, 12, [7]), draws=0)
    assert len(row) == len(HEAD)
    assert row[-1] in ("ok", "too low", "too high")
    assert "shrinks" in row[HEAD.index("verdicts")]


@pytest.mark.long
@pytest.mark.parametrize(
    "cell",
    [
        Cell("none"),
        Cell("constant 1.3", rungs=3),
        Cell("shrinking 1.5 to 1.1", seeds=2),
        Cell("reversing 1.3 to 0.8", asymptote="known"),
        Cell("constant 1.3", noise="rises 10x"),
        Cell("none", seeds=2, paired=False),
    ],
    ids=str,
)
def test_intervals_cover_as_stated_and_null_arms_are_rarely_called_anything(cell: Cell) -> None:
    score = simulate(cell, 400, [11])
    assert judged(cell, np.array(score.gains, float)) == "ok"
    if cell.gain == "none":
        false = 400 - score.words["cannot tell"] - score.words["no difference"]
        assert false / 400 < 0.1 + 3 * math.sqrt(0.1 * 0.9 / 400)
