"""What a study of several sizes recommends and predicts for a budget."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

import pytest

from lmlab.config.compose import compose
from lmlab.design.job import Job
from lmlab.design.manifest import Manifest
from lmlab.design.search import TrialOutcome
from lmlab.errors import DataError
from lmlab.study.ladders.budget_forecast import forecast_budget, size_lines
from lmlab.study.ladders.loss_forecast import Forecast
from lmlab.study.run_records import RunRecord, Study
from tests.support.ladders import a_ladder, a_ladder_manifest, finish_ladder, some_rungs

SIZES = {
    "_target_": "lmlab.design.rungs.SizedRungs", "sizes": 4, "span": 1000.0, "flops": 1e10,
    "d_head": 8, "aspect_ratio": 12.0, "d_ff_ratio": None, "tokens_per_parameter": 20.0,
    "batch_exponent": 0.0, "sealed": True,
}  # fmt: skip


def study_of(manifest: Manifest, outcomes: dict[Job, TrialOutcome], costs: object = None) -> Study:
    records = [
        RunRecord(
            job, ("judged",), "f", {"status": one.status}, {},
            [{"step": 0, "loss": one.first_loss}, {"step": 1, "loss": one.loss}], [], "",
        )
        for job, one in outcomes.items()
    ]  # fmt: skip
    return Study("ladder", Path("outputs/ladder"), manifest, costs or {}, records)  # type: ignore[arg-type]


def expected_loss(flops: float, gain: float = 1.0) -> float:
    return float(1.5 + 20 * (gain * flops) ** -0.1)  # that of tests.support.ladders.power_law


def test_a_ladder_predicts_the_loss_and_recommends_a_run() -> None:
    ladder = a_ladder(lr="transfer", num_seeds=5, generator=SIZES)
    manifest = dataclasses.replace(
        a_ladder_manifest(ladder),
        command="python -m lmlab.train experiment=ladder data=text design.lr=transfer study=mine "
        "training.steps=50 optim.lr=1 -m",
    )
    found = forecast_budget(study_of(manifest, finish_ladder(manifest)), 5e13)
    assert list(found.losses) == ["new", "base"] and found.factor == pytest.approx(5.0)
    assert found.losses["new"].contains(expected_loss(5e13, 1.5))
    assert found.losses["base"].contains(expected_loss(5e13))
    start = "python -m lmlab.train schedule.warmup=0.1 data=text model.d_model="
    assert found.command.startswith(start), "the experiment file sets the warm-up"
    assert "model.norm=post" in found.command and "training.flops=5e+13" in found.command
    for replaced in ("study=", "training.steps=", "optim.lr=1 "):
        assert replaced not in found.command
    typed = [one for one in shlex.split(found.command)[3:] if one != "data=text"]
    composed = compose(typed).as_dict()
    assert composed["training"]["flops"] == 5e13 and composed["schedule"]["warmup"] == 0.1
    rate = float(found.command.rpartition("optim.lr=")[2])
    assert 1e-3 < rate < 9e-3, "best at 3e-3 on every rung"
    exact = dataclasses.replace(found, parameters=Forecast(52_736.0, 52_736.0, 52_736.0))
    assert size_lines(exact)[0] == "recommended parameters: 52,700"
    more = forecast_budget(study_of(manifest, finish_ladder(manifest)), 5e13, num_seeds=9)
    assert more.losses["new"].high < found.losses["new"].high


def test_nothing_is_said_far_beyond_or_without_enough_rungs() -> None:
    manifest = a_ladder_manifest(a_ladder(max_factor=3.0))
    complete = study_of(manifest, finish_ladder(manifest))
    with pytest.raises(DataError, match=r"flops=4e\+13: expected 3.33e\+09 to 3e\+13"):
        forecast_budget(complete, 4e13)
    two = study_of(manifest, finish_ladder(manifest, num_open=2))
    with pytest.raises(DataError, match="expected 3 complete rungs or more, found 2"):
        forecast_budget(two, 2e11)
    plain = dataclasses.replace(complete, manifest=None)
    with pytest.raises(DataError, match="expected a ladder or an isoFLOP study"):
        forecast_budget(plain, 1e12)


def test_an_isoflop_study_recommends_the_size_at_the_bottom_of_its_parabolas() -> None:
    widths = (16, 32, 64, 128, 256)
    arms = {f"w{width}": [f"model.d_model={width}"] for width in widths}
    ladder = a_ladder(analysis="isoflop", arms=arms, baseline="w64", sealed=False)
    manifest = a_ladder_manifest(ladder)
    budgets = [rung.flops for rung in some_rungs()]

    def size(arm: str) -> float:
        return 8e3 * 4.0 ** widths.index(int(arm[1:]))

    def loss(rung: int, arm: str, rate: float, seed: int) -> float:
        parameters = size(arm)
        tokens = budgets[rung] / 6 / parameters
        noise = 1e-3 * ((7 * seed + 3 * widths.index(int(arm[1:])) + rung) % 5 - 2)
        return 1.8 + 30 * parameters**-0.3 + 40 * tokens**-0.3 + noise

    costs = {
        cell: {
            "parameters": size(arm),
            "tokens": budgets[rung] / 6 / size(arm),
            "flops": 2 * size(arm),
        }
        for cell, (rung, arm) in ladder.cells.items()
    }
    outcomes = finish_ladder(manifest, loss)
    found = forecast_budget(study_of(manifest, outcomes, costs), 3e12)
    # For equal exponents, N* is (A / B)^(1 / 2a) sqrt(C / 6).
    best = (30 / 40) ** (1 / 0.6) * (3e12 / 6) ** 0.5
    assert found.parameters is not None and found.tokens is not None
    assert found.parameters.low < best < found.parameters.high
    assert found.tokens.low < 3e12 / 6 / best < found.tokens.high
    rough = dataclasses.replace(found, parameters=None, tokens=Forecast(1.234e6, 9.5e5, 2.01e6))
    assert size_lines(rough) == ["recommended tokens: 1,230,000, 950,000 to 2,010,000"]
    assert found.losses["best size"].contains(
        1.8 + 30 * best**-0.3 + 40 * (3e12 / 6 / best) ** -0.3
    )
