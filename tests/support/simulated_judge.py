"""False keeps and found ideas of simulated streams of ideas, beside "keep what is lower".

    python tests/support/simulated_judge.py --save FILE

A stream has null ideas, which change nothing, and a few real ones at random places. The answers,
the levels and the moves of the baseline are those of ``python -m lmlab.judge``. The unit of all
losses is the standard deviation of a pair. Half of its variance is the noise of the baseline's
runs, which all ideas share until the baseline moves.

- *rates searched*: each idea and each baseline is trained at the vertex of a parabola through the
  losses of five rates on two tuning seeds, so that it is worse than at its best rate by chance. A
  null idea that is kept because its search was luckier counts as false.
- *resubmitted*: twenty consecutive ideas are variations of one null idea under new names. Half of
  the variance of their runs is common to them.
- *lower on 1 seed* and *lower on 12*: keep the idea if its loss is below the baseline's, on the
  first of the seeds, or on the mean of twelve. The baseline is the one of the judge.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lmlab.study.idea_rule import KEEP, IdeaRule, decide_all
from lmlab.study.online_level import FDR, FWER, LEVELS

ALPHA, MAX_PAIRS, EFFECT = 0.05, 12, 4.0
NUM_NULL, NUM_REAL, NUM_VARIATIONS = 200, 5, 20
_STEP = math.log(10) / 4  # of the rates of a search, in log(rate): half of its grid step
_CURVATURE, _TUNING_SEEDS = 3.5, 2  # of 0.05 nats per squared log-unit; docs/verdicts.md
_COMMON = 0.5  # share of the variance of a run that variations of one idea have in common
Chance = np.random.Generator
Array = np.ndarray[Any, np.dtype[Any]]

NOISES: dict[str, Callable[[Chance, tuple[int, ...]], Array]] = {
    "normal": lambda chance, shape: chance.normal(size=shape),
    "t, 5 degrees": lambda chance, shape: chance.standard_t(5, shape) / math.sqrt(5 / 3),
    "exponential": lambda chance, shape: chance.exponential(size=shape) - 1,
}


@dataclasses.dataclass(frozen=True)
class Case:
    """A kind of stream.

    Attributes:
        control: ``fdr`` or ``fwer``.
        noise: name of the noise of runs.
        is_search: whether rates are searched.
        is_resubmitted: whether twenty of the null ideas are variations of one.
        margin: of the ledger, in standard deviations of a pair.
        effect: true improvement by a real idea, likewise.
        num_null: number of ideas that change nothing.
        num_real: number of real ideas.
        seeds: ``shared`` with the baseline's runs of other ideas, or ``fresh``.
    """

    control: str = FDR
    noise: str = "normal"
    is_search: bool = True
    is_resubmitted: bool = False
    margin: float = 1.0
    effect: float = EFFECT
    num_null: int = NUM_NULL
    num_real: int = NUM_REAL
    seeds: str = "shared"


CASES = [
    Case(is_search=False),
    *(
        Case(control=control, is_resubmitted=again)
        for control in (FDR, FWER)
        for again in (False, True)
    ),
    *(Case(noise=noise, is_resubmitted=True) for noise in list(NOISES)[1:]),
    Case(is_resubmitted=True, seeds="fresh"),
]


@dataclasses.dataclass
class Kept:
    """What a rule kept in each of many streams.

    Attributes:
        false: number of null ideas kept, shape (streams,).
        real: number of real ideas kept, shape (streams,).
    """

    false: Array
    real: Array

    @property
    def false_share(self) -> float:
        """The mean share of false ones among the kept ideas, which is 0 where none is kept."""
        return float(np.mean(self.false / np.maximum(self.false + self.real, 1)))

    @property
    def any_false(self) -> float:
        """The share of streams with one or more false keeps."""
        return float(np.mean(self.false > 0))


@dataclasses.dataclass
class Result:
    """The results of many streams of one case.

    Attributes:
        judge: what the judge kept.
        lower: what is kept if it is lower on one seed, and on all.
        pairs: mean number of pairs for a null and for a real idea.
    """

    judge: Kept
    lower: tuple[Kept, Kept]
    pairs: tuple[float, float]


def searched_excess(chance: Chance, streams: int, noise: str) -> Array:
    """Return by how much the loss at the searched rate exceeds that at the best, (streams,)."""
    offset = chance.uniform(-_STEP / 2, _STEP / 2, (streams, 1))
    rates = offset + _STEP * np.arange(-2, 3)
    shape = (streams, rates.shape[1], _TUNING_SEEDS)
    means = _CURVATURE * rates**2 + NOISES[noise](chance, shape).mean(axis=2) / math.sqrt(2)
    return _CURVATURE * vertices(rates, means) ** 2


def vertices(rates: Array, means: Array) -> Array:
    """Return the vertex of the parabola through the lowest of each row's means, (rows,).

    As :func:`lmlab.design.basin.vertex`, for equally spaced logarithms of rates.
    """
    best = means.argmin(axis=1)
    inner = np.clip(best, 1, means.shape[1] - 2)
    rows = np.arange(len(means))
    below, middle, above = (means[rows, inner + shift] for shift in (-1, 0, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = (below - above) / (2 * (below - 2 * middle + above))
    is_inner = (best == inner) & (below - 2 * middle + above > 0)
    steps = np.where(is_inner, np.clip(shift, -1, 1), 0.0)
    return np.asarray(rates[rows, best] + steps * (rates[0, 1] - rates[0, 0]))


def simulate(case: Case, streams: int, chance: Chance) -> Result:
    """Judge many streams of a case at once."""
    number = case.num_null + case.num_real
    order = chance.permuted(np.tile(np.arange(number) < case.num_real, (streams, 1)), axis=1)
    first_variation = number // 3
    rule = IdeaRule(case.margin, MAX_PAIRS)
    world = _Baseline(case, streams, chance)
    common = NOISES[case.noise](chance, (streams, MAX_PAIRS))
    keeps = np.zeros(streams)
    found = {name: Kept(np.zeros(streams), np.zeros(streams)) for name in ("judge", "1", "12")}
    pairs: tuple[list[float], list[float]] = ([], [])
    for index in range(number):
        is_real = order[:, index]
        noise = NOISES[case.noise](chance, (streams, MAX_PAIRS))
        if case.is_resubmitted and 0 <= index - first_variation < NUM_VARIATIONS:
            noise = math.sqrt(_COMMON) * common + math.sqrt(1 - _COMMON) * noise
        excess = world.search()
        if case.seeds == "fresh":
            world.train(np.ones(streams, bool))
        gain = case.effect * is_real + world.excess - excess
        improvements = world.noise + gain[:, None] - noise / math.sqrt(2)
        levels = [LEVELS[case.control](ALPHA, index + 1, int(kept)) for kept in keeps]
        answers, used = decide_all(improvements, np.array(levels), rule)
        is_kept = answers == KEEP
        lower = {"judge": is_kept, "1": improvements[:, 0] > 0, "12": improvements.mean(1) > 0}
        for name, chosen in lower.items():
            found[name].false += chosen & ~is_real
            found[name].real += chosen & is_real
        for kind, chosen in enumerate((~is_real, is_real)):
            pairs[kind].extend(used[chosen].tolist())
        keeps += is_kept
        world.excess = np.where(is_kept, excess, world.excess)
        world.train(is_kept)
    means = tuple(float(np.mean(one)) if one else math.nan for one in pairs)
    return Result(found["judge"], (found["1"], found["12"]), (means[0], means[1]))


class _Baseline:
    """The standing baseline of each stream: its runs on the seeds of the ledger, and its rate."""

    def __init__(self, case: Case, streams: int, chance: Chance) -> None:
        self._case, self._streams, self._chance = case, streams, chance
        self.excess = self.search()
        self.noise = self._runs()

    def search(self) -> Array:
        """Return the excess losses of searched rates, (streams,)."""
        if not self._case.is_search:
            return np.zeros(self._streams)
        return searched_excess(self._chance, self._streams, self._case.noise)

    def train(self, chosen: Array) -> None:
        """Train the baseline of the chosen streams on other seeds."""
        self.noise = np.where(chosen[:, None], self._runs(), self.noise)

    def _runs(self) -> Array:
        noise = NOISES[self._case.noise](self._chance, (self._streams, MAX_PAIRS))
        return np.asarray(noise / math.sqrt(2))


HEAD = (
    "level over", "noise", "rates", "variations", "seeds", "false share", "streams with any",
    "real kept", "pairs per null idea", "per real one", "lower on 1 seed: false share", "real kept",
    "lower on 12: false share", "real kept",
)  # fmt: skip


def table(cases: Sequence[Case], streams: int, seed: int) -> Iterator[list[str]]:
    """Yield the head, and a row for each case."""
    yield list(HEAD)
    for case in cases:
        found = simulate(case, streams, np.random.default_rng(seed))
        row = [
            case.control, case.noise, "searched" if case.is_search else "fixed",
            str(NUM_VARIATIONS) if case.is_resubmitted else "none", case.seeds,
            f"{found.judge.false_share:.4f}", f"{found.judge.any_false:.4f}",
            f"{found.judge.real.mean() / case.num_real:.3f}",
            f"{found.pairs[0]:.1f}", f"{found.pairs[1]:.1f}",
        ]  # fmt: skip
        for kept in found.lower:
            row += [f"{kept.false_share:.3f}", f"{kept.real.mean() / case.num_real:.3f}"]
        yield row


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--streams", type=int, default=1000, help="per row")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", type=Path, help="file for the table")
    arguments = parser.parse_args()
    start, rows = time.process_time(), []
    for row in table(CASES, arguments.streams, arguments.seed):
        rows.append(row)
        print(f"{len(rows) - 1} of {len(CASES)} cases, {time.process_time() - start:.0f} s",
              file=sys.stderr)  # fmt: skip
    lines = [f"| {' | '.join(row)} |" for row in rows]
    marks = "|---" * len(HEAD) + "|"
    error = math.sqrt(ALPHA * (1 - ALPHA) / arguments.streams)
    text = (
        "# python tests/support/simulated_judge.py "
        "--save benchmarks/results/judge-stream-2026-12-01.md\n\n"
        f"2026-12-01, {(time.process_time() - start) / 60:.0f} minutes of one core. "
        f"{arguments.streams:,} streams per row, each of {NUM_NULL} null ideas and {NUM_REAL} real "
        f"ones of {EFFECT:g} standard\ndeviations of a pair, with up to {MAX_PAIRS} pairs per idea "
        f"and a margin of one standard deviation.\nThe level is {ALPHA:g}: of the false share for "
        f"`fdr`, of the streams with any false keep for `fwer`; a share at\nthe level has a "
        f"standard error of {error:.4f}. The command's `--help` says what rows and columns "
        f"are.\n\n" + "\n".join([lines[0], marks, *lines[1:]]) + "\n"
    )
    print(text)
    if arguments.save:
        arguments.save.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
