"""Learning rates of the cells of a factorial study: searched, predicted, and checked at the best.

The logarithm of the best rate is modelled as a constant and a main effect of each factor: a change
that halves the best rate of one cell halves that of the others. The model is fitted by least
squares to the searched cells, which keep main effects clear of each other, and read at all others.
Where the searched cells are more than the model has constants, their scatter about it shows how far
it holds. At the best cell of the study, runs at the predicted rate and half a grid step to either
side check it.

The searched cells are a fraction of resolution III or more, so that a loss which all predicted
rates share reaches no main effect and no two-factor interaction.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lmlab.design.job import Job, Outcomes
from lmlab.design.ladder import FIXED, TRANSFER
from lmlab.design.ladder_runs import bracket_rates
from lmlab.design.search import rounded

if TYPE_CHECKING:
    from lmlab.design.manifest import Manifest

_SINGULAR = 1e-9


@dataclasses.dataclass(frozen=True)
class RateModel:
    """Main effects of factors on the logarithm of the best learning rate.

    Attributes:
        rates: the searched rates that it is fitted to, by cell.
        constant: logarithm of the rate, averaged over off and on.
        slopes: half of what each factor adds to the logarithm.
        scatter: standard deviation of the searched rates about the model, in units of log(rate),
            with its degrees of freedom in the denominator; None where there are none left.
    """

    rates: Mapping[str, float]
    constant: float
    slopes: tuple[float, ...]
    scatter: float | None

    def rate(self, run: Sequence[bool]) -> float:
        """Return the rate of a cell, rounded to three digits.

        Args:
            run: which factors are on.
        """
        return rounded(math.exp(_value((self.constant, *self.slopes), run)))

    @property
    def factors(self) -> tuple[float, ...]:
        """By how much each factor multiplies the best rate."""
        return tuple(math.exp(2 * slope) for slope in self.slopes)


def fit_rates(rates: Mapping[str, float], runs: Mapping[str, Sequence[bool]]) -> RateModel | None:
    """Fit the model to searched rates; None where they do not determine it.

    Args:
        rates: best rate of each searched cell that has one.
        runs: which factors are on, by cell.
    """
    if not rates:
        return None
    rows = [_row(runs[cell]) for cell in rates]
    targets = [math.log(rate) for rate in rates.values()]
    size = len(rows[0])
    products = [[math.fsum(row[i] * row[j] for row in rows) for j in range(size)]
                for i in range(size)]  # fmt: skip
    moments = [math.fsum(row[i] * y for row, y in zip(rows, targets, strict=True))
               for i in range(size)]  # fmt: skip
    found = _solve(products, moments)
    if found is None:
        return None
    residuals = [y - _value(found, runs[cell]) for cell, y in zip(rates, targets, strict=True)]
    freedom = len(rates) - size
    scatter = math.sqrt(math.fsum(one**2 for one in residuals) / freedom) if freedom else None
    return RateModel(dict(rates), found[0], tuple(found[1:]), scatter)


def rate_model(manifest: Manifest, outcomes: Outcomes) -> RateModel | None:
    """Return the model of a study; None while a search is unfinished, or if too few rates train."""
    assert manifest.factorial is not None
    rates = _searched_rates(manifest, outcomes)
    return None if rates is None else fit_rates(rates, manifest.factorial.cells)


def predicted_rate(manifest: Manifest, cell: str, outcomes: Outcomes) -> float | None:
    """Return the rate of a cell that is not searched; None while the model is not known."""
    assert manifest.factorial is not None
    model = rate_model(manifest, outcomes)
    return None if model is None else model.rate(manifest.factorial.cells[cell])


def has_no_model(manifest: Manifest, outcomes: Outcomes) -> bool:
    """Return whether all searches have finished and too few rates train to predict the others."""
    assert manifest.factorial is not None
    rates = _searched_rates(manifest, outcomes)
    return rates is not None and fit_rates(rates, manifest.factorial.cells) is None


def _searched_rates(manifest: Manifest, outcomes: Outcomes) -> dict[str, float] | None:
    """Return the best rate of each searched cell that has one; None while one is unfinished."""
    assert manifest.factorial is not None
    rates = {}
    for cell in manifest.factorial.searched_cells:
        rate = manifest.judged_lr(cell, outcomes)
        if rate is not None:
            rates[cell] = rate
        elif not manifest.is_untrainable(cell, outcomes):
            return None
    return rates


def best_cell(manifest: Manifest, outcomes: Outcomes) -> str | None:
    """Return the cell with the lowest mean loss, the first of equal ones.

    Cells with a seed that diverged are left out. None while a judging run is unfinished.
    """
    factorial = manifest.factorial
    assert factorial is not None
    means: dict[str, float] = {}
    for cell in factorial.cells:
        rate = manifest.judged_lr(cell, outcomes)
        if rate is None and factorial.lr != FIXED:
            if manifest.is_untrainable(cell, outcomes):
                continue
            return None
        jobs = [Job(cell, rate, seed) for seed in manifest.evaluation_seeds(cell)]
        found = [outcomes.get(job) for job in jobs]
        if any(one is None or not one.is_final for one in found):
            return None
        losses = [one.loss for one in found if one is not None and one.loss is not None]
        if len(losses) == len(jobs):
            means[cell] = math.fsum(losses) / len(losses)
    return min(means, key=lambda cell: means[cell], default=None)


def checking_jobs(manifest: Manifest, outcomes: Outcomes) -> list[Job]:
    """Return the runs that check the predicted rate of the best cell; none before it is known.

    They tune nothing, so that they may share seeds, and runs, with the verdict.
    """
    factorial = manifest.factorial
    assert factorial is not None
    cell = best_cell(manifest, outcomes) if factorial.lr == TRANSFER else None
    if cell is None or not factorial.predicts(cell):
        return []
    rate = manifest.judged_lr(cell, outcomes)
    assert rate is not None
    seeds = manifest.evaluation_seeds(cell)[: factorial.num_tuning_seeds]
    return [
        Job(cell, one, seed) for one in bracket_rates(rate, factorial.lr_factor) for seed in seeds
    ]


def _row(run: Sequence[bool]) -> list[float]:
    return [1.0, *(1.0 if on else -1.0 for on in run)]


def _value(coefficients: Sequence[float], run: Sequence[bool]) -> float:
    return math.fsum(a * b for a, b in zip(coefficients, _row(run), strict=True))


def _solve(matrix: Sequence[Sequence[float]], right: Sequence[float]) -> list[float] | None:
    """Solve linear equations by elimination with pivots; None where they are singular.

    In plain Python, as a study is planned and its status shown without NumPy.
    """
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    size = len(rows)
    for place in range(size):
        pivot = max(range(place, size), key=lambda row: abs(rows[row][place]))
        if abs(rows[pivot][place]) < _SINGULAR:
            return None
        rows[place], rows[pivot] = rows[pivot], rows[place]
        for other in range(size):
            if other != place:
                factor = rows[other][place] / rows[place][place]
                rows[other] = [
                    a - factor * b for a, b in zip(rows[other], rows[place], strict=True)
                ]
    return [row[-1] / row[place] for place, row in enumerate(rows)]
