"""The sentences of a report state the study's numbers and its state."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest

from lmlab.study.decision_rules import decision_rule
from lmlab.study.limitations import limits
from lmlab.study.power import smallest_detectable
from lmlab.study.report_content import build_content
from lmlab.study.run_records import Study, load_study
from lmlab.study.statistics import ArmComparison
from lmlab.study.summary import headline, noise
from lmlab.study.verdicts import OWN_RATE, Verdict, judge


def with_design(study: Study, **changes: object) -> Study:
    assert study.manifest is not None and study.manifest.comparison is not None
    design = dataclasses.replace(study.manifest.comparison, **changes)  # type: ignore[arg-type]
    return dataclasses.replace(
        study, manifest=dataclasses.replace(study.manifest, comparison=design)
    )


OWN_RATES = (
    "Verdicts are at each arm's own best learning rate. Arms are compared with rms only, not with "
    "each other."
)


def test_the_headline_groups_arms_by_verdict(finished_study: Path) -> None:
    study = load_study(finished_study)
    labels = ["better", "inconclusive", "diverged", "missing"]
    verdicts = [
        Verdict(f"arm{index}", OWN_RATE, None, None, label, None, {})
        for index, label in enumerate([*labels, "better"])
    ]
    replicate = Verdict("again", OWN_RATE, None, None, "no difference", None, {}, is_replicate=True)
    assert headline(study, [*verdicts, replicate]) == [
        "Better than rms, in nats per token: arm0, arm4.",
        "Diverged with at least one seed: arm2.",
        "Inconclusive (more seeds needed): arm1.",
        "Not finished: arm3.",
        "Replicate (the baseline retrained with different seeds): no difference, as expected.",
        OWN_RATES,
    ]


@pytest.mark.parametrize(
    ("label", "result"),
    [
        ("worse", "worse, although the true difference is zero; check the study"),
        ("inconclusive", "inconclusive"),
        ("missing", "not finished"),
    ],
)
def test_the_headline_questions_a_replicate_that_differs(
    finished_study: Path, label: str, result: str
) -> None:
    replicate = Verdict("again", OWN_RATE, None, None, label, None, {}, is_replicate=True)
    assert headline(load_study(finished_study), [replicate]) == [
        f"Replicate (the baseline retrained with different seeds): {result}.",
        OWN_RATES,
    ]


def test_the_headline_counts_the_failed_runs_of_an_unfinished_arm(
    write_study: Callable[..., Path],
) -> None:
    study = load_study(write_study(10_000, fail="post+lr-0.003/seed1000"))
    assert study.manifest is not None
    lines = headline(study, judge(study.manifest, study.outcomes))
    assert any("post (1 run failed)" in line for line in lines)


def test_a_difference_that_rounds_to_zero_has_no_sign(finished_study: Path) -> None:
    comparison = ArmComparison(5, -4e-4, 1e-4, -5e-4, -3e-4, 0.9, 1.0, "no difference")
    verdict = Verdict("post", OWN_RATE, None, None, "no difference", comparison, {})
    line, own_rates = headline(load_study(finished_study), [verdict])
    assert own_rates == OWN_RATES
    assert line == "No meaningful difference from rms: post (loss 0.000 nats per token)."


def test_without_a_baseline_the_headline_is_the_search(finished_study: Path) -> None:
    study = with_design(load_study(finished_study), baseline=None, replicate=None)
    lines = headline(study, [])
    assert len(lines) == 3
    for line, arm in zip(lines, ("rms", "post", "none"), strict=True):
        assert line.startswith(f"{arm}: the best peak learning rate is 0.00")
        # Simulated runs diverge above 6e-3 e^2 = 0.044 and are best at 6e-3.
        assert "below the edge of divergence at about 0.04" in line


def test_an_unfinished_search_has_no_rate(write_study: Callable[..., Path]) -> None:
    study = with_design(load_study(write_study(1)), baseline=None, replicate=None)
    assert headline(study, [])[0] == "rms: the learning rate search has found no rate yet."


def test_runs_without_a_comparison_have_no_verdict(finished_study: Path) -> None:
    plain = dataclasses.replace(load_study(finished_study), manifest=None)
    number = len(plain.records)
    assert headline(plain, []) == [
        f"{number} runs of 4 arms; no verdicts, because no comparison was declared."
    ]
    assert noise(plain) == limits(plain) == []


def test_the_noise_floor_is_the_spread_of_the_baseline_over_seeds(finished_study: Path) -> None:
    study = load_study(finished_study)
    assert study.manifest is not None and study.manifest.comparison is not None
    rate = study.manifest.judged_lr("rms", study.outcomes)
    losses = [
        record.outcome.loss
        for record in study.records
        if record.job.arm == "rms" and record.job.lr == rate and record.job.seed < 5
    ]
    assert len(losses) == 5 and None not in losses
    sd = statistics.stdev(loss for loss in losses if loss is not None)
    smallest = smallest_detectable(
        math.sqrt(2) * sd, decision_rule(study.manifest.comparison), family=2
    )
    low, high = 0.5991 * sd, 2.8736 * sd  # factors for 5 values, from tables
    first, second = noise(study)[:2]
    assert first == (
        "Noise floor: the final losses of 5 runs of rms that differ only in their seed have a "
        f"standard deviation of {sd:.4f} nats per token. This is an estimate from 5 runs: the 95% "
        f"confidence interval is {low:.4f} to {high:.4f} (chi-squared, for normally distributed "
        "losses)."
    )
    assert second == (
        f"With 5 seeds per arm, the study detects a true difference of {smallest:.4f} nats per "
        "token with 80% power, if the noise of the arm is that of the baseline, at the level of "
        'the clearest arm. If the whole interval lies within \u00b10.02, the verdict is "no '
        'difference".'
    )
    assert smallest < 0.02


def test_the_decision_rule_states_its_settings(finished_study: Path) -> None:
    study = with_design(
        load_study(finished_study), alpha=0.1, margin=0.03, extra_seeds=3, metric="bits_per_byte"
    )
    text = " ".join(noise(study))
    assert "With 5 seeds per arm, plus 3 if an arm is still inconclusive, the study detects" in text
    assert (
        'one or more false "better" or "worse" verdicts is at most 10% (Holm\'s method)'
    ) in text
    assert "the 90% confidence interval (CI) lies within 0.03 bits per byte of zero" in text
    assert "inconclusive after 5 seeds are tested again after 8" in text
    assert "Comparisons at the baseline's learning rate are descriptive" in text
    assert "Learning rates were tuned on up to 2 seeds that the final runs do not use." in text


def test_the_decision_rule_states_only_what_the_study_does(finished_study: Path) -> None:
    study = with_design(
        load_study(finished_study), lr="fixed", extra_seeds=0, replicate=None,
        arms={"rms": [], "post": []},
    )  # fmt: skip
    text = " ".join(noise(study))
    assert "at their configured learning rates" in text
    for absent in ("corrected", "tested again", "replicate", "tuned", "plus", "twice", "jointly"):
        assert absent not in text


@pytest.mark.parametrize("test", ["t", "sign_flips"])
def test_intervals_are_claimed_for_single_arms_and_for_each_look(
    finished_study: Path, test: str
) -> None:
    study = load_study(finished_study)
    text = " ".join(noise(with_design(study, test=test, extra_seeds=3)))
    assert "their intervals are not corrected for several arms, but widened for testing twice" in (
        text
    )
    assert "these intervals do not hold jointly at 95%" in text
    assert "All other intervals" not in text
    one_look = " ".join(noise(with_design(study, test=test)))
    assert "their intervals are not corrected for several arms." in one_look
    assert "twice" not in one_look
    one_arm = with_design(study, arms={"rms": [], "post": []}, extra_seeds=3, replicate=None)
    assert "they get no verdict, and their intervals are widened for testing twice." in " ".join(
        noise(one_arm)
    )
    later = " ".join(noise(with_design(study, test=test, extra_seeds=3, earlier_looks=[3])))
    assert "widened for testing 3 times" in later


def test_failing_to_learn_is_defined_once(finished_study: Path) -> None:
    content = build_content(load_study(finished_study))
    texts = [*content["noise"], *content["rate_notes"], *dict(content["glossary"]).values()]
    assert sum("less than half as much" in text for text in texts) == 1
    assert sum("decision rule defines" in text for text in texts) == 2


@pytest.mark.parametrize(
    ("lr", "sentence"),
    [
        ("search", "Only the learning rate is tuned for each arm"),
        ("fixed", "Learning rate, weight decay, warm-up and schedule are not tuned for each arm."),
    ],
)
def test_limitations_state_scale_and_tuning(finished_study: Path, lr: str, sentence: str) -> None:
    lines = limits(with_design(load_study(finished_study), lr=lr))
    assert lines[0] == "All losses are simulated."
    assert lines[1].startswith("The models have 1,000 parameters and were trained on 64,000 tokens")
    assert lines[2].startswith(sentence)


def test_limitations_state_the_range_over_arms(finished_study: Path) -> None:
    study = load_study(finished_study)
    larger = study.arm_costs["post"] | {"parameters": 1500}
    lines = limits(dataclasses.replace(study, arm_costs=study.arm_costs | {"post": larger}))
    assert lines[1].startswith("The models have 1,000 to 1,500 parameters and were trained on")
