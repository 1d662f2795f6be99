"""Coverage of intervals and verdicts of simulated ladders with a known truth.

    python tests/support/simulated_ladders.py --save FILE

The analysis is the one of the reports; the generator shares nothing with it. Every row is one kind
of ladder: ``cover`` is the share of 90% intervals that contain the truth, over all rungs and at the
worst rung, for the slope of the trend, and for forecasts of the top rung from those below it; then
the words of the verdicts, and with ``--plan`` how often the true word would be given according to
:mod:`lmlab.study.ladder_power`, which has its own generator. Standard errors are those over
ladders.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import math
import multiprocessing
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ladder_truths import (
    ARM_SD,
    CORRELATION,
    ENTROPY,
    GAINS,
    RATE_SD,
    Cell,
    selected_cells,
)

from lmlab.study.ladder_losses import LadderLosses
from lmlab.study.ladder_power import PlannedLadder, predict_power
from lmlab.study.scaling import LadderResult, analyse_ladder, forecast_rung

LEVEL, LIMIT = 0.1, 3.0  # of the intervals; standard errors off the nominal coverage
WORDS = dict(zip(GAINS, ("no difference", "holds", "shrinks", "reverses"), strict=True))
HEAD = (
    "gain", "rungs", "seeds", "E", "noise", "cover: gains", "worst rung", "slope", "loss forecast",
    "gain forecast", "median interval, last rung", "verdicts", "planned", "coverage is",
)  # fmt: skip


@dataclasses.dataclass
class Score:
    """What the ladders of one cell showed.

    Attributes:
        gains: for each ladder, whether the interval of each rung contains the truth.
        slope: for each ladder with a trend, whether that of the slope does.
        losses: for each ladder, the share of loss forecasts that contain the loss.
        gain: for each ladder that allows it, whether the forecast of the gain does.
        widths: widths of the intervals of the log gain at the last rung.
        words: how often each verdict was given.
    """

    gains: list[list[bool]] = dataclasses.field(default_factory=list)
    slope: list[float] = dataclasses.field(default_factory=list)
    losses: list[float] = dataclasses.field(default_factory=list)
    gain: list[float] = dataclasses.field(default_factory=list)
    widths: list[float] = dataclasses.field(default_factory=list)
    words: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)


def simulate(cell: Cell, ladders: int, seed: Sequence[int]) -> Score:
    """Analyse ladders of one cell and compare with the truth."""
    chance, score = np.random.default_rng(seed), Score()
    truths = {
        way: np.array([cell.true_log_gain(x, way) for x in cell.log_cost]) for way in ("down", "up")
    }
    for _ in range(ladders):
        ladder = cell.draw(chance)
        result = analyse_ladder(ladder, "baseline", level=LEVEL)
        gains = result.gains["arm"]
        true = np.array([truths[gain.direction][gain.rung] for gain in gains])
        score.gains.append(
            [gain.low <= one <= gain.high for gain, one in zip(gains, true, strict=True)]
        )
        score.widths.append(gains[-1].high - gains[-1].low)
        if "arm" in result.trends:
            trend = result.trends["arm"]
            known = [gain.rung for gain in gains if not gain.bound]
            low, high = trend.slope.interval(LEVEL)
            score.slope.append(low <= float(trend.slope_coefficients @ true[known]) <= high)
            score.words[result.verdicts["arm"].label] += 1
        _score_forecast(ladder, result, score)
    return score


def _score_forecast(ladder: LadderLosses, result: LadderResult, score: Score) -> None:
    """Forecast the top rung from those below it and compare with what it showed."""
    below = analyse_ladder(ladder.first(ladder.num_rungs - 1), "baseline", level=LEVEL)
    cost = {arm: ladder.cost[arm][-1] for arm in ladder.arms}
    forecast = forecast_rung(below, cost, int(ladder.seeds[0, -1]), LEVEL, max_factor=100)
    shown = dict(zip(ladder.arms, ladder.mean[:, -1], strict=True))
    score.losses.append(
        float(np.mean([forecast.losses[arm].contains(shown[arm]) for arm in ladder.arms]))
    )
    top = result.gains["arm"][-1]
    if "arm" in forecast.log_gains and not top.bound:
        score.gain.append(forecast.log_gains["arm"].contains(top.log_gain))


def row_of(cell: Cell, score: Score, draws: int) -> list[str]:
    """Return a row of the table; see :data:`HEAD`."""
    inside = np.array(score.gains, float)
    worst = int(np.argmin(inside.mean(0)))
    words = ", ".join(
        f"{word} {share(np.repeat([1.0, 0.0], [count, len(inside) - count]))}"
        for word, count in score.words.most_common()
    )
    planned = f"{WORDS[cell.gain]} {planned_share(cell, draws)}" if draws else "-"
    seeds = f"{cell.seeds}{'' if cell.paired else ', unpaired'}"
    return [
        cell.gain, str(cell.rungs), seeds, cell.asymptote, cell.noise,
        share(inside.mean(1)), f"{worst + 1}: {share(inside[:, worst])}", share(score.slope),
        share(score.losses), share(score.gain), f"{np.median(score.widths):.3f}", words,
        planned, judged(cell, inside),
    ]  # fmt: skip


def planned_share(cell: Cell, draws: int) -> str:
    """Return how often a plan of the cell says that its true word would be given."""
    if cell.asymptote == "broken law":
        return "-"
    x = cell.log_cost
    sd = cell.run_sd(x)
    plan = PlannedLadder(
        cost=list(np.exp(x)),
        seeds=[cell.seeds] * cell.rungs,
        sd=list(sd),
        losses=(cell.baseline_loss(x[0]), cell.baseline_loss(x[-1])),
        asymptote=ENTROPY,
        floor=ENTROPY if cell.asymptote == "known" else 0.0,
        arm_noise=ARM_SD,
        correlation=CORRELATION if cell.paired else 0.0,
        rate_sd=list(RATE_SD * sd),
    )
    gain = GAINS[cell.gain]
    words = predict_power(plan, gain(0.0), gain(1.0), draws=draws).words
    found = round(draws * words.get(WORDS[cell.gain], 0.0))
    return share(np.repeat([1.0, 0.0], [found, draws - found]))


def share(values: Any) -> str:
    """Return a mean with its standard error."""
    values = np.asarray(values, float)
    if not len(values):
        return "-"
    return f"{values.mean():.3f} ± {values.std() / math.sqrt(len(values)):.3f}"


def judged(cell: Cell, inside: Any) -> str:
    """Say whether the coverage of gains is within the limit, at every rung and over all."""
    count = len(inside)
    error = math.sqrt(LEVEL * (1 - LEVEL) / count)
    off = (inside.mean(0) - (1 - LEVEL)) / error
    if cell.asymptote == "broken law":
        return f"off by {inside.mean() - (1 - LEVEL):+.3f}"
    if off.min() < -LIMIT:
        return "too low"
    may_exceed = cell.rungs == 3 or cell.seeds == 2
    if off.max() > LIMIT and not may_exceed:
        return "too high"
    return f"ok{f', {off.max() * error:+.3f}' if off.max() > LIMIT else ''}"


def table_of(rows: dict[int, list[str]]) -> str:
    """Return the rows of cells by index as a Markdown table."""
    lines = [f"| {' | '.join(row)} |" for row in (list(HEAD), *(rows[i] for i in sorted(rows)))]
    lines.insert(1, "|---" * len(HEAD) + "|")
    return "\n".join(lines)


def write_table(path: Path, rows: dict[int, list[str]]) -> None:
    """Write the table of the rows so far."""
    path.write_text(table_of(rows) + "\n", encoding="utf-8")


def _work(job: tuple[int, Cell, int, int, int]) -> tuple[int, list[str]]:
    index, cell, ladders, seed, draws = job
    return index, row_of(cell, simulate(cell, ladders, [seed, index]), draws)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ladders", type=int, default=1000, help="simulated ladders per cell")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cells", help="indices of the cells to run, such as 0,4,8")
    parser.add_argument("--plan", type=int, default=0, help="draws of the power that is planned")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--save", type=Path, help="file for the table")
    arguments = parser.parse_args()
    cells, start = list(enumerate(selected_cells())), time.monotonic()
    if arguments.cells:
        cells = [cells[int(index)] for index in arguments.cells.split(",")]
    jobs = [
        (index, cell, arguments.ladders, arguments.seed, arguments.plan) for index, cell in cells
    ]
    rows: dict[int, list[str]] = {}
    with multiprocessing.Pool(arguments.processes) as pool:
        for index, row in pool.imap_unordered(_work, jobs):
            rows[index] = row
            if arguments.save:  # a table that is interrupted keeps its rows
                write_table(arguments.save, rows)
            spent = (time.monotonic() - start) / 60
            print(f"{len(rows)} of {len(jobs)} cells, {spent:.1f} min", file=sys.stderr)
    print(table_of(rows))


if __name__ == "__main__":
    main()
