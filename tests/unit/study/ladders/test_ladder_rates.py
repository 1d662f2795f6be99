"""The variance that learning rates add to the losses of a ladder."""

from __future__ import annotations

import math

import numpy as np

from lmlab.design.ladder_runs import bracket_rates
from lmlab.study.ladders.ladder_facts import LadderFacts, ladder_facts
from lmlab.study.ladders.ladder_rates import bracket_losses, ladder_rates
from lmlab.study.ladders.scaling import analyse_ladder
from tests.support.ladders import Loss, a_ladder, a_ladder_manifest, finish_ladder, power_law


def facts_of(loss: Loss = power_law, **changes: object) -> LadderFacts:
    fields = {"lr": "transfer", "num_tuning_seeds": 3, "replicate": "again"} | changes
    manifest = a_ladder_manifest(a_ladder(4, **fields))
    return ladder_facts(manifest, finish_ladder(manifest, loss), {})


def uneven(rung: int, arm: str, rate: float, seed: int) -> float:
    """Losses whose optimum differs from seed to seed and falls with the size."""
    shift = 0.4 * np.random.default_rng([7, seed, rung]).normal()
    best = 1e-2 * 3.0 ** (-0.4 * rung)
    return 3.0 - 0.3 * rung + 0.05 * (math.log(rate / best) - shift) ** 2


def test_configured_rates_add_no_variance() -> None:
    rates = facts_of(lr="fixed").rates
    assert not rates.laws
    assert {one for row in rates.loss_variances.values() for one in row} == {0.0}


def test_uncertain_rates_widen_the_gains_but_not_those_of_the_replicate() -> None:
    known, unsure = facts_of(), facts_of(uneven)
    variances = unsure.rates.loss_variances
    assert all(one > 0 for one in variances["base"])
    assert variances["again"] == [0.0] * 4, "trained at the baseline's rates"
    assert max(known.rates.loss_variances["base"]) < min(variances["base"])
    losses = unsure.losses(4)
    assert losses is not None
    as_replicate, as_arm = (
        analyse_ladder(losses, "base", unsure.rule, name).gains["again"][3]
        for name in ("again", None)
    )
    assert as_replicate.high - as_replicate.low < as_arm.high - as_arm.low


def test_a_transferred_rate_is_less_certain_than_those_it_rests_on() -> None:
    cells = facts_of(uneven).rates.cells["new"]
    assert [one.origin for one in cells] == ["searched", "searched", "transferred", "transferred"]
    widths = [math.log(one.high / one.low) for one in cells if one.low and one.high]
    assert widths[-1] > widths[-2] > 0


def test_the_bracket_bounds_what_the_highest_rung_may_lose() -> None:
    facts = facts_of(uneven)
    rate = facts.cells["base"][3].rate
    assert rate is not None
    losses = bracket_losses(facts.manifest, facts.outcomes, "base")
    assert sorted(losses) == bracket_rates(rate, facts.ladder.lr_factor)
    without = {
        job: one
        for job, one in facts.outcomes.items()
        if not job.arm.startswith("r4") or job.lr == facts.cells[job.arm[3:]][3].rate
    }
    alone = ladder_rates(facts.manifest, without).loss_variances["base"][3]
    assert facts.rates.loss_variances["base"][3] <= alone
