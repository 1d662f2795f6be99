"""Rows of an isoFLOP study against the truth that its losses are drawn from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from lmlab.study.isoflop_report.isoflop_rows import fitted_curve
from lmlab.study.ladders.isoflop_curves import Budget
from tests.support.isoflop_folders import SIZES, TRUTH
from tests.support.simulated_isoflop import ENTROPY, EXPONENT


def test_best_sizes_and_their_tokens_are_near_the_truth(content: dict[str, Any]) -> None:
    rows = content["ladder"]["isoflop"]["optima"]
    assert [row["rung"] for row in rows] == [0, 1, 2, 3]
    for row in rows:
        best = TRUTH.best_size(row["flops"])
        assert row["bound"] == ""
        assert row["parameters"]["value"] == pytest.approx(best, rel=0.08)
        assert row["tokens"]["value"] == pytest.approx(row["flops"] / 6 / best, rel=0.08)
        ratio = row["tokens_per_parameter"]
        assert ratio["value"] == row["tokens"]["value"] / row["parameters"]["value"]
        assert ratio["low"] == row["tokens"]["low"] / row["parameters"]["high"]
        assert ratio["low"] < ratio["value"] < ratio["high"]
        assert row["loss"]["value"] == pytest.approx(TRUTH.loss(best, row["flops"]), abs=0.02)


def test_laws_have_the_exponents_of_the_truth(content: dict[str, Any]) -> None:
    of_size, of_tokens = content["ladder"]["isoflop"]["laws"]
    assert of_size["exponent"]["value"] == pytest.approx(EXPONENT, abs=0.02)
    assert of_tokens["exponent"]["value"] == pytest.approx(1 - EXPONENT, abs=0.02)
    assert of_size["factor"]["value"] == pytest.approx(10 ** of_size["exponent"]["value"])
    slope = math.log(of_size["line"][-1] / of_size["line"][0]) / math.log(64)
    assert slope == pytest.approx(of_size["exponent"]["value"])
    for low, line, high in zip(
        of_size["band_low"], of_size["line"], of_size["band_high"], strict=True
    ):
        assert low < line < high


def test_the_loss_at_the_best_size_approaches_the_entropy(content: dict[str, Any]) -> None:
    law = content["ladder"]["isoflop"]["loss_law"]
    assert law["low"] < ENTROPY < law["high"]
    assert law["asymptote"] + law["amplitude"] == pytest.approx(
        content["ladder"]["isoflop"]["optima"][0]["loss"]["value"], abs=0.01
    )


def test_curves_pass_through_the_losses(content: dict[str, Any]) -> None:
    isoflop = content["ladder"]["isoflop"]
    for curve in isoflop["curves"]:
        grid = np.log(curve["parameters"])
        for row in isoflop["sizes"]:
            at = float(np.interp(math.log(row["parameters"]), grid, curve["loss"]))
            assert at == pytest.approx(row["rungs"][curve["rung"]]["mean"], abs=0.02)


def test_a_curve_has_the_skew_that_budgets_share() -> None:
    x = np.linspace(-1, 1, 5)
    losses = [{0: float(3 + 0.1 * (u**2 + 0.1 * u**3))} for u in x]
    sizes = [float(one) for one in np.exp(10 + x)]
    budget = Budget(1e12, sizes, sizes[::-1], losses)
    curve = fitted_curve(budget, 0.1)
    grid = np.log(curve["parameters"]) - 10
    expected = 3 + 0.1 * (grid**2 + 0.1 * grid**3)
    assert curve["loss"] == pytest.approx(expected.tolist(), abs=1e-5)  # the minimum is iterated


def test_sizes_ascend_with_their_losses_and_tokens(content: dict[str, Any]) -> None:
    rows = content["ladder"]["isoflop"]["sizes"]
    assert [row["parameters"] for row in rows] == list(SIZES)
    first = rows[0]["rungs"][0]
    assert first["tokens"] == round(4e11 / 6 / SIZES[0]) and len(first["losses"]) == 3


def test_bounds_and_cells_off_their_budget(edges: dict[str, Any]) -> None:
    isoflop = edges["ladder"]["isoflop"]
    assert list(isoflop["left_out"]) == [f"r1-n{SIZES[0]}"]
    assert isoflop["sizes"][0]["rungs"][0]["left_out"]
    first, second, third = isoflop["optima"]
    assert first["bound"] == "" and second["bound"] == ""
    assert third["bound"] == "at least" and third["parameters"]["value"] == SIZES[3]
    assert third["parameters"]["high"] is None and third["tokens"]["low"] is None
    assert third["loss"]["value"] is None
    assert isoflop["loss_law"] is None, "two located minima"
