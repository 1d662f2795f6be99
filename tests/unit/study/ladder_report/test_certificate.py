"""What a ladder certifies of learning rates that it takes from its lowest rung to its highest."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest

from lmlab.study.ladder_report.ladder_content import build_ladder
from lmlab.study.ladder_report.ladder_study import LadderStudy
from lmlab.study.ladder_report.rates_figure import draw_rates_by_size
from lmlab.study.report_content import build_content
from lmlab.study.run_records import load_study
from tests.support.ladder_folders import write_ladder
from tests.support.ladders import a_ladder, power_law, some_rungs

DRIFT = 0.6  # of the best rate of new, per doubling of the width


def _rungs() -> Any:
    """Rungs that differ in their width alone."""
    return tuple(
        dataclasses.replace(rung, num_layers=2, hidden_parameters=10_000 * 4**k)
        for k, rung in enumerate(some_rungs())
    )


def _moving(rung: int, arm: str, rate: float, seed: int) -> float:
    """Losses whose best rate falls with the width for ``new``, and stays for ``base``."""
    best = 3e-3 * (DRIFT**rung if arm == "new" else 1.0)
    at_best = power_law(rung, arm, 3e-3, seed)
    return at_best + 0.02 * math.log(rate / best) ** 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of rates over widths."""
    ladder = a_ladder(
        rungs=_rungs(), lr="search", at_lowest_lr=True, num_tuning_seeds=2, sealed=False
    )
    return write_ladder(tmp_path_factory.mktemp("widths"), ladder, _moving)


@pytest.fixture(scope="module")
def content(folder: Path) -> dict[str, Any]:
    return build_content(load_study(folder))


def test_the_headline_says_for_each_arm_whether_its_rate_stays(content: dict[str, Any]) -> None:
    base, new = content["headline"][:2]
    assert base.startswith("base: the best learning rate of r1 serves r4: it changes by a factor")
    assert "per doubling of the width (90% interval " in base and "which contains 1)" in base
    assert new.startswith("new: the best learning rate moves: it changes by a factor of 0.6")
    assert "which excludes 1)" in new and "at the best rate of r1, 0.00" in new
    states = [row["state"] for row in content["ladder"]["certificates"]]
    assert states == ["stays", "moves"]


def test_the_drift_is_per_doubling_of_the_width(content: dict[str, Any]) -> None:
    base, new = content["ladder"]["rates"]["arms"]
    assert new["drift"]["low"] <= DRIFT <= new["drift"]["high"] < 1
    assert new["drift"]["factor"] == pytest.approx(DRIFT, rel=0.03)
    assert base["drift"]["factor"] == pytest.approx(1, rel=0.03)
    assert [one["size"] for one in new["rungs"]] == [32, 64, 128, 256]
    slope = math.log(new["law"]["rate"][3] / new["law"]["rate"][0]) / math.log(8)
    assert 2**slope == pytest.approx(new["drift"]["factor"])


def test_the_regret_is_the_loss_above_that_at_the_rate_of_the_highest_rung(
    content: dict[str, Any],
) -> None:
    (row,) = [row for row in content["ladder"]["rates"]["regrets"] if row["arm"] == "new"]
    best = 3e-3 * DRIFT**3
    true = 0.02 * (math.log(row["rate"] / best) ** 2 - math.log(row["best_rate"] / best) ** 2)
    assert row["nats"] == pytest.approx(true, abs=1e-6) and true > 0.03
    assert f"loses {row['nats']:.4f} nats per token" in content["headline"][1]


def test_rates_are_drawn_against_the_width(content: dict[str, Any]) -> None:
    for narrow in (False, True):
        figure = draw_rates_by_size(content, narrow)
        assert figure is not None
        (axes,) = figure.axes
        assert axes.get_xlabel() == "width (model.d_model)"
        assert [tick.get_text() for tick in axes.get_xticklabels()] == ["32", "64", "128", "256"]


def test_an_unfinished_search_certifies_nothing(tmp_path: Path) -> None:
    ladder = a_ladder(rungs=_rungs(), lr="search", at_lowest_lr=True, sealed=False)
    folder = write_ladder(tmp_path, ladder, skip=lambda job: job.arm[:2] in ("r2", "r3", "r4"))
    rows = build_ladder(LadderStudy.of(load_study(folder)))["certificates"]
    assert [row["state"] for row in rows] == ["cannot tell"] * 2
    assert "the drift is not known before the search has finished" in rows[0]["sentence"]


def _scattered(rung: int, arm: str, rate: float, seed: int) -> float:
    """Losses whose best rate is off 3e-3 by a factor of 1.5, up and down by turns."""
    off = math.log(rate / 3e-3) - math.log(1.5) * (-1) ** rung
    return power_law(rung, arm, 3e-3, seed) + 0.02 * off**2


@pytest.mark.parametrize(("margin", "state"), [(0.02, "stays"), (0.005, "cannot tell")])
def test_a_rate_without_drift_must_not_cost_more_than_the_margin(
    tmp_path: Path, margin: float, state: str
) -> None:
    ladder = a_ladder(
        rungs=_rungs(), arms={"base": []}, lr="search", at_lowest_lr=True, sealed=False,
        loss_margin=margin,
    )  # fmt: skip
    found = LadderStudy.of(load_study(write_ladder(tmp_path, ladder, _scattered)))
    (row,) = build_ladder(found)["certificates"]
    assert (row["contains_one"], row["state"]) == (True, state)


def test_rungs_of_one_size_have_no_drift(tmp_path: Path) -> None:
    same = tuple(
        dataclasses.replace(rung, num_layers=1, d_model=32, hidden_parameters=20_000)
        for rung in some_rungs()
    )
    ladder = a_ladder(rungs=same, lr="search", at_lowest_lr=True, sealed=False)
    content = build_content(load_study(write_ladder(tmp_path, ladder)))
    assert all(row["drift"] is None for row in content["ladder"]["rates"]["arms"])


def test_other_ladders_certify_nothing(fixed: LadderStudy) -> None:
    assert build_ladder(fixed)["certificates"] == []
