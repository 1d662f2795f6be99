"""The cost of an arm is that of its model and its data."""

from __future__ import annotations

import dataclasses

from designs import a_design

from lmlab.build.network import build_network
from lmlab.build.run_data import prepare_data
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose, from_dict
from lmlab.design.fairness import find_differences
from lmlab.sweep.arm_costs import count_arm_costs, match_width


def test_costs_are_those_of_the_model_and_the_data(overrides: list[str]) -> None:
    config = compose(overrides)
    data = prepare_data(resolve(config).data)
    costs = count_arm_costs(config, data)
    assert costs.parameters == build_network(config.model).num_parameters()
    assert costs.tokens == 20 * 4 * 16
    assert costs.evaluations == 3
    # Every validation token is predicted once, except the first.
    assert (
        costs.evaluation == min(len(data.valid.tokens), config.validation.max_tokens or 10**9) - 1
    )
    assert costs.matching_d_ff is None
    assert costs.evaluates_all == (costs.evaluation == len(data.valid.tokens) - 1)
    assert costs.validation == data.corpus.valid_hash
    cut = count_arm_costs(compose([*overrides, "validation.max_tokens=32"]), data)
    assert (cut.evaluation, cut.evaluates_all) == (32, False)


def test_separated_documents_cost_less(overrides: list[str]) -> None:
    crossing, separate = (
        compose([*overrides, f"data.windows={windows}"]) for windows in ("cross", "document")
    )
    costs = [
        count_arm_costs(config, prepare_data(resolve(config).data))
        for config in (crossing, separate)
    ]
    assert costs[1].flops < costs[0].flops
    design = a_design(tolerance={"flops": 0.0})
    (difference,) = find_differences(dict(zip("ab", costs, strict=True)), design)
    assert difference.quantity == "flops" and not difference.is_allowed


def test_a_narrower_arm_reports_the_width_that_matches_the_baseline(overrides: list[str]) -> None:
    gated, plain = (
        compose([*overrides, "model.d_ff=64"]),
        compose([*overrides, "model.ffn=silu", "model.d_ff=64"]),
    )
    data = prepare_data(resolve(gated).data)
    costs = count_arm_costs(plain, data, baseline=gated)
    assert (costs.d_ff, costs.matching_d_ff) == (64, 96)
    same = count_arm_costs(gated, data, baseline=gated)
    assert dataclasses.replace(same, matching_d_ff=None) == same, "it matches already"


def test_the_solved_width_has_the_parameters_of_the_baseline(overrides: list[str]) -> None:
    gated, plain = compose([*overrides, "model.d_ff=64"]), compose([*overrides, "model.ffn=silu"])
    solved = match_width(plain, gated, tolerance=0.01)
    assert solved["model"]["d_ff"] == 96, "two matrices of width 96 have the size of three of 64"
    sizes = {build_network(config.model).num_parameters() for config in (gated, from_dict(solved))}
    assert len(sizes) == 1
    assert match_width(gated, gated, tolerance=0.01)["model"]["d_ff"] == 64


def test_the_solved_width_keeps_the_flops_of_the_run(overrides: list[str]) -> None:
    budget = [one for one in overrides if "training.steps" not in one] + ["training.flops=1e9"]
    gated, plain = compose([*budget, "model.d_ff=64"]), compose([*budget, "model.ffn=silu"])
    solved = match_width(plain, gated, tolerance=0.01)
    assert solved["training"]["steps"] == gated.training.steps != plain.training.steps
