"""What a headline says about the learning rates of its arms, on recorded runs."""

from __future__ import annotations

from pathlib import Path

from lmlab.study.rate_lines import rate_lines
from lmlab.study.run_records import load_study
from lmlab.study.verdict_section import judge_all, verdict_row

RECORDS = Path(__file__).parents[3] / "experiments" / "ablations" / "records"


def test_the_headline_tells_at_which_rates_arms_are_judged_and_which_are_fragile() -> None:
    study = load_study(RECORDS)
    verdicts = judge_all(study)
    assert rate_lines(study, verdicts) == [
        "Verdicts are at each arm's own best learning rate; the table at the baseline's learning "
        "rate is descriptive.",
        "The learning rate may not be the best one, so that a difference may be due to the rate: "
        "norm-post; see the table of learning rates.",
        "Diverged or failed to learn at the baseline's learning rate (left out of the means "
        "there): norm-post (seed 7 of 8 seeds).",
        "Stable learning rates differ by a factor of 3 or more from the baseline (up to 0.3): "
        "norm-none up to 0.03, norm-post up to 0.00949.",
    ]
    assert rate_lines(study, []) == []


def test_an_inconclusive_arm_shows_the_interval_that_decides_on_no_difference() -> None:
    """Of ffn-gelu, the interval at 95% is narrower than that of Holm's step, but not enough."""
    study = load_study(RECORDS)
    rows = {row["arm"]: verdict_row(study, one) for one in judge_all(study)[:9]
            for row in [verdict_row(study, one)]}  # fmt: skip
    found, own = rows["ffn-gelu"]["equivalence"], rows["ffn-gelu"]
    assert found["confidence"] == "95%" and own["confidence"] == "99%"
    assert own["low"] < found["low"] < -0.02 < found["high"] < own["high"]
    assert rows["norm-none"]["equivalence"] is None
    assert "fitted through 0.0169" in rows["norm-post"]["caution"]
