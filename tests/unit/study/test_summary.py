"""The sentences of a report state the study's numbers and its state."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest

from lmlab.study.power import smallest_detectable
from lmlab.study.run_records import Study, load_study
from lmlab.study.summary import headline, limits, noise
from lmlab.study.verdicts import OWN_RATE, Verdict, decision_rule, judge


def with_design(study: Study, **changes: object) -> Study:
    assert study.manifest is not None and study.manifest.comparison is not None
    design = dataclasses.replace(study.manifest.comparison, **changes)  # type: ignore[arg-type]
    return dataclasses.replace(
        study, manifest=dataclasses.replace(study.manifest, comparison=design)
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
        "Better than rms at their own best learning rates: arm0, arm4.",
        "Diverged on some seeds: arm2.",
        "Inconclusive, more seeds needed: arm1.",
        "Not finished: arm3.",
        "Control, the baseline on other seeds: no difference.",
    ]


def test_the_headline_counts_the_failed_runs_of_an_unfinished_arm(
    write_study: Callable[..., Path],
) -> None:
    study = load_study(write_study(10_000, fail="post+lr-0.003/seed1000"))
    assert study.manifest is not None
    lines = headline(study, judge(study.manifest, study.outcomes))
    assert any("post (1 run failed)" in line for line in lines)


def test_without_a_baseline_the_headline_is_the_search(finished_study: Path) -> None:
    study = with_design(load_study(finished_study), baseline=None, replicate=None)
    lines = headline(study, [])
    assert len(lines) == 3
    for line, arm in zip(lines, ("rms", "post", "none"), strict=True):
        assert line.startswith(f"{arm}: the best peak learning rate is 0.00")
        # Simulated runs diverge above 6e-3 e^2 = 0.044 and are best at 6e-3.
        assert "below the edge of divergence near 0.04" in line


def test_an_unfinished_search_has_no_rate(write_study: Callable[..., Path]) -> None:
    study = with_design(load_study(write_study(1)), baseline=None, replicate=None)
    assert headline(study, [])[0] == "rms: the learning rate search is not finished."


def test_runs_without_a_comparison_have_no_verdict(finished_study: Path) -> None:
    plain = dataclasses.replace(load_study(finished_study), manifest=None)
    number = len(plain.records)
    assert headline(plain, []) == [
        f"{number} runs; no verdict, because no comparison was declared."
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
    first, second = noise(study)[:2]
    assert first == (
        "Noise floor: the final losses of 5 runs of rms that differ only in their seed have a "
        f"standard deviation of {sd:.4f} nats per token."
    )
    assert second == (
        f"With that noise, 5 seeds detect a true difference of {smallest:.4f} with a probability "
        "of 80%."
    )


def test_the_decision_rule_states_its_settings(finished_study: Path) -> None:
    study = with_design(
        load_study(finished_study), alpha=0.1, margin=0.03, extra_seeds=3, num_tuning_seeds=1,
        metric="bits_per_byte",
    )  # fmt: skip
    text = " ".join(noise(study))
    assert "5 seeds (and 3 more at a second look) detect" in text
    assert "false better or worse is at most 10% (Holm)" in text
    assert "the interval lies within 0.03 bits per byte of zero" in text
    assert "Learning rates were chosen on 1 seed that is not used for the verdicts." in text


@pytest.mark.parametrize(
    ("lr", "sentence"),
    [
        ("search", "Only the learning rate is tuned for each arm"),
        ("fixed", "Nothing is tuned for each arm"),
    ],
)
def test_limitations_state_scale_and_tuning(finished_study: Path, lr: str, sentence: str) -> None:
    lines = limits(with_design(load_study(finished_study), lr=lr))
    assert lines[0] == "All losses are simulated."
    assert lines[1].startswith("The models have 1,000 parameters and were trained on 64,000 tokens")
    assert lines[2].startswith(sentence)
