"""How the loss of an arm rises beside its learning rate, and what confirmed the rate."""

from __future__ import annotations

import math
from collections.abc import Mapping

from lmlab.console.formatting import format_count, format_list
from lmlab.design.basin import ASYMMETRIC, FEW_RATES, FLAT, ONE_SIDED
from lmlab.design.confirmation import ALWAYS, NEVER, ConfirmedSearch
from lmlab.design.manifest import tuning_outcomes
from lmlab.design.search import Trials
from lmlab.study.run_records import Study

_DOUBTS = {
    ONE_SIDED: "the searched rates train on one side of it only, so that no parabola was fitted",
    FEW_RATES: "too few searched rates train to check the parabola",
    FLAT: "the searched rates beside it are no worse",
}


def describe_basin(study: Study, arm: str) -> str:
    """State how the loss rises beside the rate of an arm, and whether runs confirmed the rate.

    Args:
        study: a study that searches learning rates.
        arm: an arm with a search of its own.

    Returns:
        A phrase such as ``the loss rises by 0.012 at half and 0.045 at twice the rate, an
        asymmetric basin; runs at 0.003, 0.004 and 0.0053 (2 seeds each) moved the rate from 0.004
        to 0.0043``; empty until there is a rate.
    """
    search, trials = _search(study, arm)
    rate, basin = search.best_lr(trials), search.basin(trials)
    if rate is None or basin is None:
        return ""
    shape = _rises(search.mean_losses(trials), rate)
    if basin.is_asymmetric or basin.doubt(search.negligible) == ASYMMETRIC:
        shape += ", an asymmetric basin"
    found = search.confirmation(trials)
    if found is None:
        return shape if search.policy == NEVER else f"{shape}; it needed no confirmation"
    outcome = (
        f"moved the rate from {found.searched:g} to {rate:g}"
        if rate != found.searched
        else "confirmed it"
        if found.fitted
        else "did not confirm it: at each of these rates, a run failed"
    )
    rates = format_list(f"{one:g}" for one in found.rates)
    seeds = format_count(len(search.search.seeds), "seed")
    return f"{shape}; runs at {rates} ({seeds} each) {outcome}"


def basin_caution(study: Study, arm: str) -> str:
    """Return why the fit of a rate is in doubt although runs could have confirmed it, or empty."""
    search, trials = _search(study, arm)
    rate, basin = search.best_lr(trials), search.basin(trials)
    if rate is None or basin is None:
        return ""
    found = search.confirmation(trials)
    if found is not None:
        if found.is_enclosed:
            return ""
        if not found.fitted:
            return "at each of the rates that were to confirm it, a run failed"
        return f"of the rates that were to confirm it, the outermost one, {rate:g}, is best"
    doubt = basin.doubt(search.negligible)
    if not doubt:
        return ""
    reason = _DOUBTS.get(doubt)
    if reason is None:
        assert basin.excess is not None
        reason = (
            "its basin is asymmetric, so that the loss at the vertex of the parabola may be "
            f"{basin.excess:.3f} or more above the minimum"
        )
    return f"{reason}, and no runs confirmed it"


def confirmation_rule(study: Study) -> str:
    """State how a study confirms searched rates, and for which arms it did."""
    manifest = study.manifest
    assert manifest is not None and manifest.comparison is not None
    how = (
        "all tuning seeds run at it and at one rate to either side, a quarter of a grid step away, "
        "and once more beyond a side that is better"
    )
    if manifest.comparison.confirm_rate == ALWAYS:
        return f"The searched rate of each arm is confirmed: {how}."
    searches = {arm: _search(study, arm) for arm in manifest.comparison.arms}
    confirmed = [arm for arm, (search, trials) in searches.items() if search.confirmation(trials)]
    return (
        "A searched rate is confirmed where the losses around it suggest that the parabola misses "
        f"the minimum: {how}. Arms with such runs, and so with more tuning runs than others: "
        f"{', '.join(confirmed) or 'none'}."
    )


def _search(study: Study, arm: str) -> tuple[ConfirmedSearch, Trials]:
    """Return the search of an arm, and the outcomes of its tuning runs."""
    assert study.manifest is not None
    return study.manifest.lr_search(arm), tuning_outcomes(arm, study.outcomes)


def _rises(means: Mapping[float, float], rate: float) -> str:
    """State how much higher the loss is at half and at twice the rate.

    The outermost rate takes the place of one outside the tried ones, so that nothing is
    extrapolated.
    """
    sides, places = [], [rate]
    for ratio, name in ((0.5, "half"), (2.0, "twice")):
        end = min(means) if ratio < 1 else max(means)
        at = max(rate * ratio, end) if ratio < 1 else min(rate * ratio, end)
        if (at < rate) == (ratio < 1) and at != rate:
            rise = _interpolated(means, at) - _interpolated(means, rate)
            places.append(at)
            sides.append((rise, f"{name} the rate" if at == rate * ratio else f"{at:g}"))
    if not sides:
        return "no rate beside it trained with all seeds"
    used = [one for at in places for one in _nearest(means, at)]
    how = (
        f" (interpolated through searched rates from {min(used):g} to {max(used):g})"
        if any(at not in means for at in places)
        else ""
    )
    is_rise = all(rise >= 0 for rise, _ in sides)
    texts = [
        f"{rise:.3f} at {where}" if is_rise else f"{rise:+.3f} at {where}" for rise, where in sides
    ]
    text = f"the loss {'rises' if is_rise else 'changes'} by {' and '.join(texts)}"
    if len(sides) == 1:
        missing = "lower" if rate <= min(means) else "higher"
        return f"{text}{how}, no {missing} rate trained with all seeds"
    return text.replace("half the rate and", "half and") + how


def _interpolated(means: Mapping[float, float], at: float) -> float:
    """Return the loss at a rate, on the parabola in log(rate) through the three next to it."""
    near, total = _nearest(means, at), 0.0
    for rate in near:
        weight = math.prod(
            math.log(at / other) / math.log(rate / other) for other in near if other != rate
        )
        total += weight * means[rate]
    return total


def _nearest(means: Mapping[float, float], at: float) -> list[float]:
    """Return the three rates next to one, the nearest first."""
    return sorted(means, key=lambda rate: (abs(math.log(rate / at)), rate))[:3]
