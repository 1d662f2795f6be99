"""The learning rates of a ladder: how each was chosen, how uncertain it is, and what that costs.

A rate that was searched has the error of its search (:mod:`lmlab.study.ladders.rate_error`). A
transferred one has the error of the power law through the searched ones, and the loss bends with
its logarithm as at the highest rung that was searched; at the highest rung, its bracket is evidence
of its own, and the smaller of both errors counts. Both kinds add variance to the mean loss of the
rung, which intervals of gains and forecasts carry. The replicate is trained at the rates of the
baseline, so that their variance is counted once, with the baseline's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from lmlab.design.job import Outcomes
from lmlab.design.ladder import FIXED, TRANSFER, cell_name
from lmlab.design.ladder_runs import bracket_rates, judged_rate
from lmlab.design.manifest import Manifest, tuning_outcomes
from lmlab.study.ladders.rate_error import RateError, rate_error, searched_rate
from lmlab.study.ladders.rate_law import RateLaw, fit_rate_law
from lmlab.study.ladders.size_axis import SizeAxis, size_axis

SEARCHED, TRANSFERRED, CONFIGURED = "searched", "transferred", "configured"


@dataclasses.dataclass(frozen=True)
class CellRate:
    """The learning rate of an arm on a rung.

    Attributes:
        rate: the rate at which the arm is judged; None while it is not known.
        origin: ``searched``, ``transferred`` or ``configured``.
        low: lower end of the interval of the best rate; None where nothing is known of it.
        high: upper end, inf where it is not bounded.
        loss_variance: variance that the choice of the rate adds to the mean loss, in nats squared.
    """

    rate: float | None
    origin: str
    low: float | None = None
    high: float | None = None
    loss_variance: float = 0.0


@dataclasses.dataclass(frozen=True)
class LadderRates:
    """The learning rates of a ladder.

    Attributes:
        cells: rates of each arm, from the lowest rung.
        laws: power law of the best rate in the parameters of the blocks, of each arm with two
            searched sizes or more; rates are transferred by it.
        axis: the size that the rungs vary.
        drift_laws: the same law in that size.
    """

    cells: Mapping[str, Sequence[CellRate]]
    laws: Mapping[str, RateLaw]
    axis: SizeAxis
    drift_laws: Mapping[str, RateLaw]

    @property
    def loss_variances(self) -> dict[str, list[float]]:
        """Variances that the rates add to the mean losses, by arm and rung."""
        return {arm: [one.loss_variance for one in row] for arm, row in self.cells.items()}


def ladder_rates(manifest: Manifest, outcomes: Outcomes) -> LadderRates:
    """Return the learning rates of a ladder so far.

    Args:
        manifest: of a ladder.
        outcomes: results of its runs.
    """
    ladder = manifest.ladder
    assert ladder is not None
    axis = size_axis(ladder.rungs)
    cells, laws, drift_laws = {}, {}, {}
    for arm in ladder.arms:
        errors = [_searched(manifest, outcomes, rung, arm) for rung in range(len(ladder.rungs))]
        known = [(rung, one) for rung, one in enumerate(errors) if one is not None]
        law = None
        sizes = [ladder.rungs[rung].hidden_parameters for rung, _ in known]
        if len(set(sizes)) > 1:
            rates, has_equal_weights = [one for _, one in known], ladder.lr == TRANSFER
            law = fit_rate_law(sizes, rates, has_equal_weights)
            laws[arm] = law
            of_axis = [axis.sizes[rung] for rung, _ in known]
            drift_laws[arm] = fit_rate_law(of_axis, rates, has_equal_weights)
        cells[arm] = [
            _cell(manifest, outcomes, rung, arm, error, law) for rung, error in enumerate(errors)
        ]
    if ladder.replicate is not None:
        cells[ladder.replicate] = [
            dataclasses.replace(one, loss_variance=0.0) for one in cells[ladder.baseline]
        ]
    return LadderRates({arm: cells[arm] for arm in ladder.judged_arms}, laws, axis, drift_laws)


def _searched(manifest: Manifest, outcomes: Outcomes, rung: int, arm: str) -> RateError | None:
    ladder, name = manifest.ladder, cell_name(rung, arm)
    assert ladder is not None
    if not ladder.searches(rung):
        return None
    trials = tuning_outcomes(name, outcomes)
    return searched_rate(manifest.lr_search(name), trials, ladder.alpha)


def _cell(
    manifest: Manifest, outcomes: Outcomes, rung: int, arm: str, error: RateError | None,
    law: RateLaw | None,
) -> CellRate:  # fmt: skip
    ladder = manifest.ladder
    assert ladder is not None
    rate = judged_rate(manifest, cell_name(rung, arm), outcomes)
    if ladder.lr == FIXED:
        return CellRate(rate, CONFIGURED)
    if ladder.searches(rung):
        if error is None:
            return CellRate(rate, SEARCHED)
        return CellRate(rate, SEARCHED, error.low, error.high, error.loss_variance)
    if law is None or rate is None:
        return CellRate(rate, TRANSFERRED)
    predicted = law.predict(ladder.rungs[rung].hidden_parameters, ladder.alpha)
    variance = law.loss_variance(ladder.rungs[rung].hidden_parameters)
    bracket = _bracketed(manifest, outcomes, rung, arm, rate)
    if bracket is not None:
        variance = min(variance, bracket.loss_variance)
    return CellRate(rate, TRANSFERRED, predicted.low, predicted.high, variance)


def bracket_losses(
    manifest: Manifest, outcomes: Outcomes, arm: str
) -> dict[float, dict[int, float]]:
    """Return the final losses by rate and seed of the runs that bracket a transferred rate.

    Args:
        manifest: of a ladder.
        outcomes: results of its runs.
        arm: name of the arm; the bracket is that of the highest rung.
    """
    ladder = manifest.ladder
    assert ladder is not None
    cell = cell_name(len(ladder.rungs) - 1, arm)
    rate = judged_rate(manifest, cell, outcomes)
    rates = [] if rate is None else bracket_rates(rate, ladder.lr_factor)
    found: dict[float, dict[int, float]] = {}
    for job in sorted(one for one in outcomes if one.arm == cell and one.lr in rates):
        loss = outcomes[job].loss
        if job.lr is not None and loss is not None:
            found.setdefault(job.lr, {})[job.seed] = loss
    return found


def _bracketed(
    manifest: Manifest, outcomes: Outcomes, rung: int, arm: str, rate: float
) -> RateError | None:
    """Return the error of a transferred rate by its bracket; None where that does not locate it."""
    ladder = manifest.ladder
    assert ladder is not None
    if rung < len(ladder.rungs) - 1:
        return None
    losses = bracket_losses(manifest, outcomes, arm)
    fitted = bracket_rates(rate, ladder.lr_factor)
    if any(one not in losses for one in fitted):
        return None
    if not set.intersection(*(set(losses[one]) for one in fitted)):
        return None
    error = rate_error(losses, fitted, rate, ladder.expected_sd, ladder.alpha)
    return error if error.is_located else None
