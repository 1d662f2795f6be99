"""Believable bugs in the statistics of ladders.

``python tests/mutations.py`` tries them.
"""

# ruff: noqa: E501 -- the code that is replaced is on one line
from __future__ import annotations

from mutation import Mutation

MUTATIONS = [
    Mutation("freedom by observed shares alone", "study/effective_freedom.py", "_OBSERVED = 0.3",
             "_OBSERVED = 1.0", "tests/unit/study/test_ladder_losses.py"),
    Mutation("rate variance divided by seeds", "study/ladder_losses.py",
             "known = extra_variance + (weights**2 * self.rate_var).sum((-2, -1))",
             "known = extra_variance + (weights**2 * self.rate_var / self.seeds).sum((-2, -1))",
             "tests/unit/study/test_ladder_losses.py"),
    Mutation("an asymptote without influence", "study/scaling_fit.py", "-mixed / (second + from_range)",
             "0 * mixed / (second + from_range)", "tests/unit/study/test_scaling_fit.py"),
    Mutation("the known entropy as the asymptote", "study/scaling_fit.py",
             "grid = low + (high - low) * _GRID", "grid = low + 0 * _GRID",
             "tests/unit/study/test_scaling_fit.py"),
    Mutation("kinks tested as if the noise were known", "study/scaling_fit.py",
             "special.fdtri(freedom, of_noise, 1 - _KINK_LEVEL)",
             "special.fdtri(freedom, 1e9, 1 - _KINK_LEVEL)", "tests/unit/study/test_scaling_fit.py"),
    Mutation("two rungs forecast", "study/loss_forecast.py", "MIN_RUNGS_FOR_FORECAST = 3",
             "MIN_RUNGS_FOR_FORECAST = 2", "tests/unit/study/test_scaling.py"),
    Mutation("gains read in the other direction", "study/compute_gain.py",
             "(g > self._start) == (self._direction < 0)", "(g > self._start) == (self._direction > 0)",
             "tests/unit/study/test_compute_gain.py"),
    Mutation("misfit left out of gains", "study/compute_gain.py",
             "(slope * self._fit.range_error) ** 2 + misfit**2", "(slope * self._fit.range_error) ** 2",
             "tests/unit/study/test_compute_gain.py"),
    Mutation("gains extrapolated without limit", "study/gain_trend.py",
             "if factor > max_factor * (1 + 1e-9):", "if False:", "tests/unit/study/test_gain_trend.py"),
    Mutation("two ends tested as one", "study/ladder_verdict.py",
             "min(1.0, 2 * min(self.at(0).p, self.at(1).p))", "min(1.0, min(self.at(0).p, self.at(1).p))",
             "tests/unit/study/test_ladder_verdict.py"),
    Mutation("forecasts without the noise of the new rung", "study/loss_forecast.py",
             "            + noise[index] ** 2 / seeds\n", "", "tests/unit/study/test_loss_forecast.py"),
    Mutation("a vertex without the uncertainty of its bend", "study/parabola.py",
             "square = 4 * (bend**2 - quantile**2 * part[1, 1])", "square = 4 * bend**2",
             "tests/unit/study/test_parabola.py"),
    Mutation("scatter of a law without its degrees of freedom", "study/power_law.py",
             "unit = float(share @ self.residuals() ** 2) / freedom",
             "unit = float(share @ self.residuals() ** 2) / (freedom + 2)",
             "tests/unit/study/test_power_law.py"),
    Mutation("a tuning seed's noise not averaged", "study/rate_error.py", "return np.cov(values) / seeds,",
             "return np.cov(values),", "tests/unit/study/test_rate_error.py"),
    Mutation("excess loss without its second moment", "study/rate_error.py", "return 3 * self.excess**2",
             "return 3 * self.excess", "tests/unit/study/test_rate_error.py"),
    Mutation("rates off their law trusted", "study/rate_law.py",
             "return max(one, other, key=", "return min(one, other, key=",
             "tests/unit/study/test_rate_law.py"),
    Mutation("a bracket without its band", "study/regret.py",
             "half = quantile * np.sqrt(", "half = 0.3 * np.sqrt(", "tests/unit/study/test_regret.py"),
]  # fmt: skip
