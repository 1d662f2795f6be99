"""The verdict on an arm of a ladder: what becomes of its gain as the cost grows.

The words, where "first" and "last" are the log gains of the trend's line at the first and the last
rung, and "excluded" means by a confidence interval at the level of the arm:

- ``no difference``: both are within the margin, with certainty (the intervals at 1 - alpha are; see
  :mod:`lmlab.study.statistics` for why this takes precedence).
- ``reverses``: 0 is excluded at the first and the last rung, with opposite signs.
- ``grows``: 0 is excluded at the last rung, and a slope of 0 too; the gain moves away from 1.
- ``shrinks``: 0 is excluded at the first or the last rung, and a slope of 0 too; the gain moves
  towards 1.
- ``vanishes``: as ``shrinks``, and the last gain is within the margin.
- ``holds``: 0 is excluded at the last rung and a slope of 0 is not, but it is certain that the
  change over the ladder is less than ``tolerance`` of the mean of first and last.
- ``cannot tell``: none of these, with a rung or a number of seeds that would.

An arm that is worse than the baseline has a gain below 1, which holds, grows (away from 1), shrinks
or vanishes likewise. Every word but the first and the last claims a difference at the first or at
the last rung; the p-value of an arm is that of this claim, by Bonferroni's inequality, and Holm's
method (1979, Scand. J. Statist. 6(2)) corrects it over arms. The slope is tested only where this
claim stands, at the level that Holm's method gives the arm (a gatekeeper: Dmitrienko, Offen and
Westfall 2003, Statist. Med. 22(15)).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping

import numpy as np
from scipy import special

from lmlab.study.ladders.gain_trend import Contrast, GainTrend
from lmlab.study.ladders.ladder_losses import Array
from lmlab.study.statistics import holm, holm_levels

CANNOT_TELL = "cannot tell"
MAX_SEEDS = 100  # the search for a number of seeds ends here
_STEPS = 8  # rungs tried, evenly in log cost, up to the largest factor


@dataclasses.dataclass(frozen=True)
class LadderRule:
    """How verdicts are made.

    Attributes:
        alpha: probability of one or more false claims of a difference over all arms.
        margin: largest absolute log gain that counts as none.
        tolerance: part of the mean log gain that a gain which holds may lose or win.
        power: probability with which the advised rung or seeds should decide.
        max_factor: largest factor beyond the last rung of an advised rung, and of any gain.
    """

    alpha: float = 0.1
    margin: float = math.log(1.05)
    tolerance: float = 0.5
    power: float = 0.8
    max_factor: float = 10.0


@dataclasses.dataclass(frozen=True)
class LadderVerdict:
    """The verdict on one arm.

    Attributes:
        label: one of the words of this module.
        first: log gain of the line at the first rung.
        last: log gain of the line at the last rung.
        slope: change of the log gain per unit of log cost.
        p: p-value of a difference at the first or the last rung.
        adjusted_p: the same, corrected over arms.
        level: level at which Holm's method tests the arm.
        rung_cost: cost of a further rung that would probably decide; None unless it cannot tell, or
            if no rung within the largest factor would.
        more_seeds: seeds per rung to add that would probably decide; None likewise.
    """

    label: str
    first: Contrast
    last: Contrast
    slope: Contrast
    p: float
    adjusted_p: float
    level: float
    rung_cost: float | None = None
    more_seeds: int | None = None

    @property
    def detail(self) -> str:
        """The verdict in words, with the advice."""
        if self.label != CANNOT_TELL:
            return self.label
        advice = []
        if self.rung_cost is not None:
            advice.append(f"a rung at about {self.rung_cost:.1e}")
        if self.more_seeds is not None:
            seeds = "seed" if self.more_seeds == 1 else "seeds"
            advice.append(f"{self.more_seeds} more {seeds} per rung")
        return f"{self.label}: {' or '.join(advice) or 'no rung or seeds within reach would'}"


def judge_trends(
    trends: Mapping[str, GainTrend], rule: LadderRule, family: int | None = None
) -> dict[str, LadderVerdict]:
    """Return the verdict on every arm that has a trend.

    Args:
        trends: by arm.
        rule: how verdicts are made.
        family: number of arms that the study announced; None for the number given.
    """
    ends = {arm: _Line.of(trend, rule.tolerance) for arm, trend in trends.items()}
    ps = [line.p for line in ends.values()]
    total = max(family or 0, len(ps))
    levels, adjusted = holm_levels(ps, rule.alpha, total), holm(ps, total)
    verdicts = {}
    for arm, level, adjusted_p in zip(ends, levels, adjusted, strict=True):
        line = ends[arm]
        label, cost, seeds = line.label(rule, level), None, None
        if label == CANNOT_TELL:
            hardest = rule.alpha / total
            cost = _deciding_cost(trends[arm], line, rule, hardest)
            seeds = _deciding_seeds(trends[arm], line, rule, hardest)
        verdicts[arm] = LadderVerdict(
            label, line.at(0), line.at(1), line.slope, line.p, adjusted_p, level, cost, seeds
        )
    return verdicts


@dataclasses.dataclass(frozen=True)
class _Line:
    """A line with the covariance of its values at the first and the last rung.

    Attributes:
        values: log gains at the first and the last rung, of shape (2,).
        covariance: of shape (2, 2).
        lasting: the part of it that more seeds would not reduce, of shape (2, 2).
        span: log cost of the last rung over that of the first.
        freedom: degrees of freedom of first, last, slope, and of the two contrasts that bound the
            change, by the coefficients of the values.
    """

    values: Array
    covariance: Array
    lasting: Array
    span: float
    freedom: Mapping[tuple[float, float], float]

    @classmethod
    def of(cls, trend: GainTrend, tolerance: float) -> _Line:
        """Return the line of a trend."""
        x = trend.pair.log_cost[1]
        first, last = trend.coefficients_at(float(x[0])), trend.coefficients_at(float(x[-1]))
        found = {}
        for pair in _contrasts(tolerance):
            found[pair] = trend.combine(pair[0] * first + pair[1] * last)
        a, b, change = found[1.0, 0.0], found[0.0, 1.0], found[-1.0, 1.0]
        shared = (a.error**2 + b.error**2 - change.error**2) / 2
        return cls(
            np.array([a.estimate, b.estimate]),
            np.array([[a.error**2, shared], [shared, b.error**2]]),
            trend.lasting_covariance(np.stack([first, last])),
            float(x[-1] - x[0]),
            {pair: contrast.freedom for pair, contrast in found.items()},
        )

    def combine(self, first: float, last: float) -> Contrast:
        """Return the estimate of ``first`` times the first value plus ``last`` times the last."""
        c = np.array([first, last])
        error = math.sqrt(max(float(c @ self.covariance @ c), 0.0))
        return Contrast(float(c @ self.values), error, self.freedom[first, last])

    def at(self, index: int) -> Contrast:
        """Return the value at the first (0) or the last (1) rung."""
        return self.combine(1.0 - index, float(index))

    @property
    def slope(self) -> Contrast:
        """Change of the log gain per unit of log cost."""
        change = self.combine(-1.0, 1.0)
        return Contrast(change.estimate / self.span, change.error / self.span, change.freedom)

    @property
    def p(self) -> float:
        """P-value of a difference at either end."""
        return min(1.0, 2 * min(self.at(0).p, self.at(1).p))

    def label(self, rule: LadderRule, level: float, slack: float = 0.0) -> str:
        """Return the word; with ``slack``, the one that the true line would probably get."""

        def within(contrast: Contrast) -> bool:
            low, high = contrast.interval(rule.alpha, slack)
            return -rule.margin <= low and high <= rule.margin

        first, last = self.at(0), self.at(1)
        if within(first) and within(last):
            return "no difference"
        signs = [_sign(one, level / 2, slack) for one in (first, last)]
        if signs == [0, 0]:
            return CANNOT_TELL
        # Holm's second step: one of the two stands, so the other is tested at the full level.
        signs = [_sign(one, level, slack) for one in (first, last)]
        moves = _sign(self.combine(-1.0, 1.0), level, slack)
        if signs[0] * signs[1] < 0:
            return "reverses"
        if moves and moves == signs[1]:
            return "grows"
        if moves and moves != (signs[1] or signs[0]):
            return "vanishes" if within(last) else "shrinks"
        if signs[1] and not moves and self._is_steady(signs[1], rule, slack):
            return "holds"
        return CANNOT_TELL

    def _is_steady(self, sign: int, rule: LadderRule, slack: float) -> bool:
        half = sign * rule.tolerance / 2
        bounds = self.combine(half - 1, half + 1), self.combine(half + 1, half - 1)
        return all(one.interval(rule.alpha, slack)[0] > 0 for one in bounds)


def _contrasts(tolerance: float) -> Iterator[tuple[float, float]]:
    yield from ((1.0, 0.0), (0.0, 1.0), (-1.0, 1.0))
    for sign in (1, -1):
        half = sign * tolerance / 2
        yield from ((half - 1, half + 1), (half + 1, half - 1))


def _sign(contrast: Contrast, level: float, slack: float) -> int:
    low, high = contrast.interval(level, slack)
    return (low > 0) - (high < 0)


def _deciding_seeds(trend: GainTrend, line: _Line, rule: LadderRule, level: float) -> int | None:
    """Return the seeds per rung to add that decide with the rule's power, if the line is true."""
    now, slack = int(trend.pair.seeds.min()), float(special.ndtri(rule.power))
    for seeds in range(now + 1, MAX_SEEDS + 1):
        factor = seeds / now
        freedom = {pair: f * (seeds - 1) / max(now - 1, 1) for pair, f in line.freedom.items()}
        covariance = line.lasting + (line.covariance - line.lasting) / factor
        planned = dataclasses.replace(line, covariance=covariance, freedom=freedom)
        if planned.label(rule, level, slack) != CANNOT_TELL:
            return seeds - now
    return None


def _deciding_cost(trend: GainTrend, line: _Line, rule: LadderRule, level: float) -> float | None:
    """Return the cost of a further rung that decides with the rule's power, if the line is true."""
    seeds, slack = int(trend.pair.seeds[:, -1].min()), float(special.ndtri(rule.power))
    last = float(trend.pair.log_cost[1, -1])
    for step in range(1, _STEPS + 1):
        away = math.log(rule.max_factor) * step / _STEPS
        planned = _with_rung(line, away, trend.noise_at(last + away, seeds), seeds)
        if planned.label(rule, level, slack) != CANNOT_TELL:
            return math.exp(last + away)
    return None


def _with_rung(line: _Line, away: float, error: float, seeds: int) -> _Line:
    """Return the line with one more rung on it, ``away`` in log cost beyond the last.

    The covariance is that of weighted least squares with one more observation (Plackett 1950,
    Biometrika 37(1/2)).
    """
    share = 1 + away / line.span
    to_new = np.array([1 - share, share])  # value at the new rung from first and last
    gain = line.covariance @ to_new
    updated = line.covariance - np.outer(gain, gain) / (to_new @ gain + error**2)
    move = np.array([[1.0, 0.0], to_new])
    freedom = {pair: f + seeds - 1 for pair, f in line.freedom.items()}
    return _Line(
        move @ line.values,
        move @ updated @ move.T,
        move @ line.lasting @ move.T,
        line.span + away,
        freedom,
    )
