"""Fitted laws as plain values reproduce the losses they were fitted to."""

from __future__ import annotations

import math

import pytest

from lmlab.study.ladder_report.fit_rows import fit_rows, fitted_curves, loss_rows, residual_rows
from lmlab.study.ladder_report.ladder_study import LadderStudy


def test_laws_curves_and_residuals_agree(fixed: LadderStudy) -> None:
    assert fixed.result is not None
    laws = {row["arm"]: row for row in fit_rows(fixed.result, 0.1)}
    residuals = {row["arm"]: row for row in residual_rows(fixed.result)}
    curves = {row["arm"]: row for row in fitted_curves(fixed.result, {"new": 1e14})}
    losses = {row["arm"]: row for row in loss_rows(fixed)}
    assert curves["new"]["flops"][-1] == pytest.approx(1e14)
    for arm, law in laws.items():
        shared = law["shared"]
        assert shared["low"] < shared["asymptote"] < shared["high"]
        assert shared["asymptote"] == pytest.approx(laws["base"]["shared"]["asymptote"])
        for rung, residual in zip(losses[arm]["rungs"], residuals[arm]["residuals"], strict=True):
            above = math.exp(shared["log_amplitude"] - shared["exponent"] * math.log(rung["flops"]))
            assert rung["mean"] - residual == pytest.approx(shared["asymptote"] + above)
        end = math.exp(
            shared["log_amplitude"] - shared["exponent"] * math.log(curves[arm]["flops"][-1])
        )
        assert curves[arm]["loss"][-1] == pytest.approx(shared["asymptote"] + end)


def test_losses_are_those_of_every_seed(fixed: LadderStudy) -> None:
    base = loss_rows(fixed)[0]
    assert base["is_baseline"] and len(base["rungs"]) == 4
    assert base["rungs"][0]["seeds"] == len(base["rungs"][0]["losses"]) == 3
