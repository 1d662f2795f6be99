"""A small part of the simulated ladders with a known truth: coverage and verdicts are as stated.

The whole table is that of ``tests/support/ladder_table.py``.
"""

from __future__ import annotations

import collections
import math
from pathlib import Path

import numpy as np
import pytest
from ladder_table import HEAD, SavedRows, disagreement, false_claims, judged, row_of
from ladder_truths import Cell, selected_cells
from simulated_ladders import planned_words, simulate


def test_a_row_of_the_table_and_its_truths(tmp_path: Path) -> None:
    assert len(selected_cells()) == len(set(selected_cells())) == 46
    cell = Cell("shrinking 1.5 to 1.1", rungs=4)
    for x in cell.log_cost[1:]:
        for direction in ("down", "up"):
            log_gain = cell.true_log_gain(x, direction)
            where = x - log_gain if direction == "down" else x
            # By definition the arm at C' has the loss of the baseline at C' times the gain.
            assert cell.arm_loss(where) == pytest.approx(cell.baseline_loss(where + log_gain))
    score = simulate(cell, 12, [7])
    row = row_of(cell, score, draws=4)
    assert len(row) == len(HEAD)
    assert row_of(cell, score, 0, score)[HEAD.index("coverage")].count("again: ") == 1
    assert row[HEAD.index("coverage")].split(":")[0] in ("ok", "too low", "too high")
    assert "shrinks" in row[HEAD.index("verdicts")]
    assert "shrinks" in row[HEAD.index("planned")]
    SavedRows(tmp_path / "table.md", {"seed": 1}).add(3, row)
    assert SavedRows(tmp_path / "table.md", {"seed": 1}).rows == {3: row}
    assert SavedRows(tmp_path / "table.md", {"seed": 2}).rows == {}


def test_coverage_is_judged_at_each_rung_and_over_all() -> None:
    def inside(*shares: float) -> np.ndarray:
        columns = [np.arange(1000) % 1000 < 1000 * share for share in shares]
        shuffle = np.random.default_rng(1).permutation
        return np.stack([shuffle(one) for one in columns], axis=1).astype(float)

    cell = Cell("constant 1.3", rungs=4)
    assert judged(cell, inside(0.9, 0.91, 0.89, 0.9)) == "ok"
    assert judged(cell, inside(0.9, 0.86, 0.91, 0.92)).startswith("too low")  # one rung
    assert judged(cell, inside(0.88, 0.88, 0.88, 0.88)).startswith("too low")  # all together
    assert judged(cell, inside(0.9, 0.9, 0.9, 0.94)) == "too high: +0.010; rung 4: +0.040"
    assert judged(Cell("none", seeds=2), inside(*[0.94] * 4)).startswith("ok, wide: +0.040")


def test_a_plan_that_differs_from_what_is_shown_is_noticed() -> None:
    shown = collections.Counter({"holds": 800, "cannot tell": 190, "grows": 10})
    same = collections.Counter({"holds": 318, "cannot tell": 78, "grows": 4})
    assert abs(disagreement(shown, same)) < 1
    other = collections.Counter({"holds": 280, "cannot tell": 116, "grows": 4})
    # The test of two shares, 0.29 and 0.19, by hand.
    total = 306 / 1400
    by_hand = (0.29 - 0.19) / math.sqrt(total * (1 - total) * (1 / 1000 + 1 / 400))
    assert disagreement(shown, other) == pytest.approx(by_hand)


@pytest.mark.long
@pytest.mark.parametrize(
    "cell",
    [
        Cell("none"),
        Cell("constant 1.3", rungs=4),
        Cell("shrinking 1.5 to 1.1", seeds=2),
        Cell("reversing 1.3 to 0.8", asymptote="known"),
        Cell("none", seeds=2, paired=False),
    ],
    ids=str,
)
def test_intervals_cover_as_stated_and_null_arms_are_rarely_called_anything(cell: Cell) -> None:
    score = simulate(cell, 150, [11])
    assert judged(cell, np.array(score.gains)).startswith("ok")
    if cell.gain == "none":
        assert false_claims(score) / 150 < 0.1 + 3 * math.sqrt(0.1 * 0.9 / 150)


@pytest.mark.long
def test_a_plan_predicts_the_words_that_ladders_get() -> None:
    cell = Cell("constant 1.3", rungs=4)
    shown, planned = simulate(cell, 150, [12]).words, planned_words(cell, 300)
    assert 0.5 < planned["holds"] / 300 < 0.95
    assert abs(disagreement(shown, planned)) < 3.5
