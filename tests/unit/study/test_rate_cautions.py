"""Reasons to doubt the best learning rate of an arm, on recorded runs."""

from __future__ import annotations

from pathlib import Path

from lmlab.study.rate_cautions import rate_cautions
from lmlab.study.run_records import load_study

RECORDS = Path(__file__).parents[3] / "experiments" / "ablations" / "records"


def test_a_fit_through_a_rate_at_which_a_later_run_failed_is_reported() -> None:
    """The search found 0.0169 stable with its seeds; at 0.0128, seed 7 failed to learn."""
    study = load_study(RECORDS)
    assert rate_cautions(study, "norm-post") == [
        "it was fitted through 0.0169, although a run failed at 0.0128",
        "the judged runs average 3.9985 (8 seeds), those of the search at 0.00949 3.9849 "
        "(2 other seeds)",
        "its basin is asymmetric, so that the loss at the vertex of the parabola may be 0.005 or "
        "more above the minimum, and no runs confirmed it",
    ]
    for arm in ("baseline", "norm-none", "ffn-gelu"):
        assert rate_cautions(study, arm) == []
