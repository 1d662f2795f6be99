"""Rungs follow from one dial, and their compute is that of the models they train."""

from __future__ import annotations

import math
from typing import Any

import pytest

from lmlab.accounting.model_counts import count_model
from lmlab.config.compose import compose
from lmlab.design.rungs import (
    BudgetRungs,
    GivenRungs,
    Rung,
    SizedRungs,
    measure_rung,
    steps_overrides,
)
from lmlab.errors import ConfigError


def sized(**changes: Any) -> SizedRungs:
    fields: dict[str, Any] = {
        "sizes": 5, "span": 100.0, "flops": 4e11, "d_head": 8, "aspect_ratio": 16.0,
        "d_ff_ratio": None, "tokens_per_parameter": 20.0, "batch_exponent": 0.0,
    }  # fmt: skip
    return SizedRungs(**fields | changes)


def rungs_of(declaration: SizedRungs, *overrides: str) -> tuple[list[Rung], list[dict[str, Any]]]:
    """The rungs, measured on configurations that are composed with their overrides."""
    rungs = declaration.overrides(compose(overrides).as_dict())
    configs = [compose([*overrides, *rung]).as_dict() for rung in rungs]
    return [measure_rung(*pair) for pair in zip(rungs, configs, strict=True)], configs


def test_rungs_span_the_compute_with_fixed_heads_shape_and_horizon() -> None:
    rungs, configs = rungs_of(sized())
    for rung, config in zip(rungs, configs, strict=True):
        model = config["model"]
        assert model["d_model"] == 8 * model["num_heads"]
        assert abs(model["num_layers"] - model["d_model"] / 16) < 1
        assert rung.tokens == pytest.approx(20 * rung.hidden_parameters, rel=0.01)
        per_token = count_model(model).training_flops() / model["context_length"]
        assert rung.flops == pytest.approx(per_token * rung.tokens)
        # Six per parameter and token, and attention: within the usual factor of the rule of thumb.
        assert 1 < rung.flops / (6 * rung.hidden_parameters * rung.tokens) < 4
    targets = [4e11 * 100 ** (k / 4) for k in range(5)]
    for rung, target in zip(rungs, targets, strict=True):
        assert abs(math.log(rung.flops / target)) < math.log(1.5)


def test_the_lowest_rung_may_be_the_configured_width() -> None:
    rungs, _ = rungs_of(sized(flops=None), "model.d_model=48", "model.num_heads=6")
    assert rungs[0].d_model == 48


@pytest.mark.parametrize(
    ("ratio", "flops", "aspect_ratio"), [(4.6, 1e10, 20.0), (3.1623, 3e9, 30.0), (10.0, 1e10, 12.0)]
)
def test_a_further_rung_leaves_those_below_as_they_are(
    ratio: float, flops: float, aspect_ratio: float
) -> None:
    config = compose([]).as_dict()
    ladders = [
        sized(sizes=n, span=ratio ** (n - 1), flops=flops, aspect_ratio=aspect_ratio)
        for n in (3, 4, 5, 6)
    ]
    shorter, *longer = (one.overrides(config) for one in ladders)
    for rungs in longer:
        assert rungs[: len(shorter)] == shorter
        shorter = rungs


def test_batches_grow_as_a_power_of_the_tokens_and_the_width_of_the_ffn_with_the_model() -> None:
    rungs, configs = rungs_of(sized(batch_exponent=0.5, d_ff_ratio=3.0))
    ratio = rungs[-1].tokens / rungs[0].tokens
    batches = [config["training"]["batch_size"] for config in configs]
    assert batches[0] == 32 and batches[-1] == pytest.approx(32 * ratio**0.5, rel=0.05)
    assert [config["model"]["d_ff"] for config in configs] == [3 * one.d_model for one in rungs]


def test_intervals_keep_their_share_of_the_steps() -> None:
    config = compose(["training.steps=600", "schedule.warmup_steps=60"]).as_dict()
    assert steps_overrides(config, 1200) == [
        "training.steps=1200", "schedule.warmup_steps=120", "validation.every_steps=200",
        "checkpoint.every_steps=200", "training.log_every=20",
    ]  # fmt: skip
    assert "training.log_every=1" in steps_overrides(config, 3)


def test_heads_too_wide_for_the_rungs_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"ladder.d_head=128: .* widths 128, 128") as caught:
        sized(d_head=128, sizes=6, flops=1e12, span=4.0).overrides(compose([]).as_dict())
    assert "smaller ladder.d_head" in str(caught.value.help)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sizes": 1}, "ladder.sizes=1: expected 2 to 20"),
        ({"span": 1.0}, "ladder.span=1.0: expected a finite number above 1"),
        ({"flops": -1.0}, "ladder.flops=-1.0: expected a positive number"),
        ({"batch_exponent": 2.0}, "ladder.batch_exponent=2.0: expected 0 to 1"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        sized(**changes)


def test_given_rungs_are_used_as_they_are() -> None:
    given = GivenRungs([["model.d_model=64"], ["model.d_model=128"]])
    assert given.overrides({}) == [("model.d_model=64",), ("model.d_model=128",)]
    with pytest.raises(ConfigError, match=r"ladder\.rungs="):
        GivenRungs([["model.d_model=64"]])


def test_a_rung_survives_a_file() -> None:
    rung = measure_rung(("model.d_model=64",), compose(["model.d_model=64"]).as_dict())
    assert Rung.from_dict(rung.as_dict()) == rung


def test_a_rung_of_some_minutes_is_refused() -> None:
    config = compose(["training.minutes=2"]).as_dict()
    for use in (lambda: measure_rung([], config), lambda: steps_overrides(config, 5)):
        with pytest.raises(ConfigError, match="minutes=2: expected null in a ladder"):
            use()


def test_budgets_are_a_geometric_series_of_compute() -> None:
    budgets = BudgetRungs(budgets=3, span=100.0, flops=2e9)
    assert budgets.overrides({}) == [
        ("training.flops=2.000e+09",), ("training.flops=2.000e+10",), ("training.flops=2.000e+11",)
    ]  # fmt: skip
    config = compose([]).as_dict()
    (lowest,), *_ = BudgetRungs(budgets=2, span=10.0, flops=None).overrides(config)
    assert float(lowest.partition("=")[2]) == pytest.approx(
        measure_rung((), config).flops, rel=1e-3
    )
    with pytest.raises(ConfigError, match=r"ladder.budgets=1: expected 2 to 20"):
        BudgetRungs(budgets=1, span=10.0, flops=None)
