"""Tokens to the same loss, read off curves whose crossing is known."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from lmlab.design.job import Job
from lmlab.design.manifest import Manifest
from lmlab.study.run_records import RunRecord, Study
from lmlab.study.tokens_to_match import (
    fraction_to_reach,
    mean_curve,
    tokens_note,
    tokens_to_match,
)
from lmlab.study.verdicts import OWN_RATE, Verdict


def a_record(arm: str, seed: int, losses: list[float], status: str = "done") -> RunRecord:
    rows = [{"tokens": 100 * index, "loss": loss} for index, loss in enumerate(losses)]
    return RunRecord(
        Job(arm, 0.1, seed), ("judged",), f"study/{arm}/seed{seed}", {"status": status}, {}, rows,
        [], "",
    )  # fmt: skip


def a_study(manifest: Manifest, records: list[RunRecord]) -> Study:
    return Study("norms", Path("."), manifest, {}, records)


def a_verdict(label: str) -> Verdict:
    return Verdict("post", OWN_RATE, 0.1, 0.1, label, None, {})


def test_a_curve_is_interpolated_between_evaluations() -> None:
    curve = [(0.0, 5.0), (100.0, 4.0), (200.0, 2.0)]
    assert fraction_to_reach(curve, 4.0) == 0.5
    assert fraction_to_reach(curve, 3.0) == 0.75
    assert fraction_to_reach(curve, 4.5) == 0.25


@pytest.mark.parametrize("loss", [1.9, 5.5])
def test_a_curve_is_not_extrapolated(loss: float) -> None:
    assert fraction_to_reach([(0.0, 5.0), (100.0, 4.0), (200.0, 2.0)], loss) is None


def test_a_flat_part_at_the_loss_is_no_crossing() -> None:
    assert fraction_to_reach([(0, 3.0), (100, 3.0), (200, 2.0)], 3.0) is None


def test_the_first_crossing_counts() -> None:
    assert fraction_to_reach([(0, 5.0), (100, 3.0), (200, 4.0), (400, 2.0)], 3.0) == 0.25


def test_the_mean_is_taken_where_every_finished_run_was_evaluated(manifest: Manifest) -> None:
    short = a_record("rms", 1, [5.0, 3.0])
    diverged = a_record("rms", 2, [9.0, 9.0, 9.0], "diverged")
    study = a_study(manifest, [a_record("rms", 0, [4.0, 2.0, 1.0]), short, diverged])
    assert mean_curve(study, "rms", 0.1) == [(0, 4.5), (100, 2.5)]
    assert mean_curve(study, "rms", 0.2) == []


@pytest.mark.parametrize(
    ("label", "arm", "baseline", "sentence"),
    [
        ("better", [5, 3, 1], [5, 4, 3], "post reaches rms's final loss after 50% of the tokens"),
        ("worse", [5, 4, 3], [5, 2, 1], "rms reaches post's final loss after 33% of the tokens"),
        ("better", [5, 4, 3.5], [5, 4, 3], ""),
        ("no difference", [5, 3, 1], [5, 4, 3], ""),
    ],
)
def test_the_better_arm_has_the_loss_of_the_other_after_fewer_tokens(
    manifest: Manifest, label: str, arm: list[float], baseline: list[float], sentence: str
) -> None:
    records = [a_record("rms", 0, baseline), a_record("post", 0, arm)]
    assert tokens_to_match(a_study(manifest, records), a_verdict(label)) == sentence


def test_only_a_schedule_that_decays_is_said_to_bias_the_tokens(manifest: Manifest) -> None:
    def note(schedule: str) -> str:
        target = {"_target_": f"lmlab.optim.lr_schedule.{schedule}"}
        arms = [arm | {"schedule": target} for arm in manifest.arms]
        return tokens_note(a_study(dataclasses.replace(manifest, arms=arms), []))

    assert "has not fully decayed there" in note("cosine") and "fewer tokens" in note("wsd")
    assert "decayed" not in note("constant") and "interpolated linearly" in note("constant")
