"""What a ladder or an isoFLOP study recommends and predicts for a budget of training compute."""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.accounting.model_counts import count_model
from lmlab.config.group_selection import dotted_key
from lmlab.console.formatting import format_rounded
from lmlab.design.ladder import ISOFLOP, TRANSFER, cell_name
from lmlab.design.rungs import SizedRungs, read_declaration
from lmlab.design.search import rounded
from lmlab.errors import DataError
from lmlab.study.ladders.isoflop_facts import analyse_budgets
from lmlab.study.ladders.ladder_facts import LadderFacts, ladder_facts
from lmlab.study.ladders.loss_forecast import MIN_RUNGS_FOR_FORECAST, Forecast, forecast_losses
from lmlab.study.rerun_commands import BUDGET_KEYS, shared_overrides
from lmlab.study.run_records import Study
from lmlab.study.statistics import level_name


@dataclasses.dataclass(frozen=True)
class BudgetForecast:
    """What a study recommends and predicts for a budget.

    Attributes:
        flops: training compute.
        factor: the budget over the highest rung of the study.
        alpha: probability that an interval misses.
        losses: mean final loss of each arm with its prediction interval, the best arm first.
        parameters: recommended number of parameters, with an interval where the study has one.
        tokens: recommended training tokens, likewise.
        command: trains the recommended configuration; empty where the study recommends none.
    """

    flops: float
    factor: float
    alpha: float
    losses: Mapping[str, Forecast]
    parameters: Forecast | None
    tokens: Forecast | None
    command: str = ""


def forecast_budget(study: Study, flops: float, num_seeds: int = 1) -> BudgetForecast:
    """Forecast a budget by a study of several sizes.

    Args:
        study: a ladder or an isoFLOP study.
        flops: training compute.
        num_seeds: number of runs whose mean loss is predicted.

    Raises:
        DataError: the study is neither, shows too little, or the budget is too far from it.
    """
    manifest = study.manifest
    if manifest is None or manifest.ladder is None:
        raise DataError(
            f"{study.folder}: expected a ladder or an isoFLOP study",
            "start one with experiment=ladder or experiment=isoflop",
        )
    facts = ladder_facts(manifest, study.outcomes, study.arm_costs)
    lowest = facts.ladder.rungs[0].flops
    highest = facts.ladder.rungs[max(facts.num_complete, 1) - 1].flops
    most = facts.ladder.max_factor
    if not lowest / most <= flops <= highest * most:
        raise DataError(
            f"flops={flops:g}: expected {lowest / most:.3g} to {highest * most:.3g}, at most "
            f"{most:g} times beyond the complete rungs",
            "add a rung nearer to the budget, or raise design.max_factor of the study",
        )
    if facts.ladder.analysis == ISOFLOP:
        return _by_isoflop(study, facts, flops, highest, num_seeds)
    return _by_ladder(study, facts, flops, highest, num_seeds)


def _by_ladder(
    study: Study, facts: LadderFacts, flops: float, highest: float, num_seeds: int
) -> BudgetForecast:
    result = facts.analyse() if facts.num_complete >= MIN_RUNGS_FOR_FORECAST else None
    if result is None:
        raise DataError(
            f"{study.folder}: expected {MIN_RUNGS_FOR_FORECAST} complete rungs or more, found "
            f"{facts.num_complete}",
            "rerun the command of the study to train what is missing",
        )
    alpha = facts.ladder.alpha
    cost = dict.fromkeys(result.ladder.arms, flops)
    found = forecast_losses(result.ladder, result.shared, cost, num_seeds, alpha)
    arms = [arm for arm in facts.ladder.arms if arm in found]
    losses = {arm: found[arm] for arm in sorted(arms, key=lambda arm: found[arm].value)}
    forecast = BudgetForecast(flops, flops / highest, alpha, losses, None, None)
    generator = facts.ladder.generator
    if not str(generator.get("_target_", "")).endswith(f".{SizedRungs.__name__}"):
        return forecast
    best = next(iter(losses))
    rest = {key: value for key, value in generator.items() if key != "_target_"}
    declaration = read_declaration(str(generator["_target_"]), rest)
    assert isinstance(declaration, SizedRungs)
    config = facts.manifest.arms[facts.manifest.names.index(cell_name(0, best))]
    shape, model = declaration.nearest(config, flops)
    counts = count_model(model)
    tokens = flops / counts.training_flops() * model["context_length"]
    overrides = [*shape, *facts.ladder.arms[best], f"training.flops={flops:g}"]
    overrides += _rate(facts, best, counts.hidden_parameters)
    return dataclasses.replace(
        forecast,
        parameters=_exact(counts.parameters),
        tokens=_exact(tokens),
        command=_command(facts, overrides),
    )


def _by_isoflop(
    study: Study, facts: LadderFacts, flops: float, highest: float, num_seeds: int
) -> BudgetForecast:
    result = analyse_budgets(facts, study.arm_costs)
    if result is None or result.parameters is None:
        raise DataError(
            f"{study.folder}: expected two complete budgets or more whose best size is between the "
            "sizes that were trained",
            "rerun the command of the study, or add smaller or larger sizes to design.arms",
        )
    try:
        found = result.recommend(flops, num_seeds, facts.ladder.alpha, facts.ladder.max_factor)
    except ValueError as error:
        raise DataError(f"flops={flops:g}: {error}", "add a budget nearer to it") from error
    losses = {} if found.loss is None else {"best size": found.loss}
    return BudgetForecast(
        flops, flops / highest, facts.ladder.alpha, losses, found.parameters, found.tokens
    )


def _exact(value: float) -> Forecast:
    return Forecast(float(value), float(value), float(value))


def _rate(facts: LadderFacts, arm: str, size: int) -> list[str]:
    """Return the override of the learning rate: by its law, or that of the highest rung."""
    law = facts.rates.laws.get(arm)
    if law is not None and facts.ladder.lr == TRANSFER:
        return [f"optim.lr={rounded(law.predict(size).value):g}"]
    rate = facts.cells[arm][facts.num_complete - 1].rate
    return [] if rate is None else [f"optim.lr={rate:g}"]


def _command(facts: LadderFacts, overrides: Sequence[str]) -> str:
    """Return the command of a run, with what the study sets for all of its runs."""
    replaced = {dotted_key(override) for override in overrides} | BUDGET_KEYS
    shared = shared_overrides(facts.manifest, replaced | {"study", "training.steps"})
    return shlex.join(["python", "-m", "lmlab.train", *shared, *overrides])


def forecast_rows(forecast: BudgetForecast) -> list[list[Any]]:
    """Return the rows of the table of losses, with its head."""
    level = level_name(1 - forecast.alpha)
    rows: list[list[Any]] = [["", "loss", f"{level} interval", "perplexity"]]
    for arm, loss in forecast.losses.items():
        interval = f"{loss.low:.4f} to {loss.high:.4f}"
        rows.append([arm, f"{loss.value:.4f}", interval, f"{math.exp(loss.value):.2f}"])
    return rows


def size_lines(forecast: BudgetForecast) -> list[str]:
    """Return the recommended parameters and tokens, each with its interval where it has one."""
    lines = []
    for name, value in (("parameters", forecast.parameters), ("tokens", forecast.tokens)):
        if value is None:
            continue
        is_exact = value.low == value.high
        ends = "" if is_exact else f", {format_rounded(value.low)} to {format_rounded(value.high)}"
        lines.append(f"recommended {name}: {format_rounded(value.value)}{ends}")
    return lines
