"""What a headline says about the learning rates of its arms, on recorded runs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from lmlab.study.rate_lines import rate_lines
from lmlab.study.run_records import load_study
from lmlab.study.summary import headline
from lmlab.study.verdict_section import judge_all, verdict_row
from lmlab.study.verdicts import BASELINE_RATE, OWN_RATE

RECORDS = Path(__file__).parents[3] / "experiments" / "ablations" / "records"


def test_the_headline_tells_at_which_rates_arms_are_judged_and_which_are_fragile() -> None:
    study = load_study(RECORDS)
    verdicts = judge_all(study)
    assert rate_lines(study, verdicts) == [
        "Verdicts are at each arm's own best learning rate. Arms are compared with the baseline "
        "only, not with each other.",
        "Differences at the baseline's learning rate, in nats per token (descriptive): norm-none "
        "-0.001, norm-layernorm -0.005, pos-nope +0.176, pos-learned +0.241, ffn-silu +0.036, "
        "ffn-gelu -0.004, ffn-relu2 +0.019.",
        "The learning rate may not be the best one, so that a difference may be due to the rate: "
        "norm-post; see the table of learning rates.",
        "Diverged or failed to learn at the baseline's learning rate (left out of the means "
        "there): norm-post (seed 7 of 8 seeds).",
        "Stable learning rates differ by a factor of 3 or more from the baseline (up to 0.3): "
        "norm-none up to 0.03, norm-post up to 0.00949.",
    ]
    assert rate_lines(study, []) == []


def test_an_arm_whose_runs_collapsed_is_not_said_to_have_diverged() -> None:
    study = load_study(RECORDS)
    lost = [one for one in judge_all(study) if (one.arm, one.at) == ("norm-post", BASELINE_RATE)]
    row = verdict_row(study, lost[0])
    assert (row["verdict"], row["shown_verdict"]) == ("diverged", "failed to learn")
    assert row["detail"] == (
        " with seed 7 of 8: lowered the loss by less than half as much as another run of the arm"
    )
    own = dataclasses.replace(lost[0], at=OWN_RATE)
    assert headline(study, [own])[0].startswith("Failed to learn with at least one seed: norm-post")


def test_an_inconclusive_arm_shows_the_interval_that_decides_on_no_difference() -> None:
    """Of ffn-gelu, the interval at 95% is narrower than that of Holm's step, but not enough."""
    study = load_study(RECORDS)
    rows = {one.arm: verdict_row(study, one) for one in judge_all(study) if one.at == OWN_RATE}
    found, own = rows["ffn-gelu"]["equivalence"], rows["ffn-gelu"]
    assert found["confidence"] == "95%" and own["confidence"] == "99%"
    assert own["low"] < found["low"] < -0.02 < found["high"] < own["high"]
    assert rows["norm-none"]["equivalence"] is None
    assert "fitted through 0.0169" in rows["norm-post"]["caution"]
