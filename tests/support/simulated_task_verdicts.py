"""False verdicts and power of tests on tasks whose seeds and items are both random.

    python tests/support/simulated_task_verdicts.py --save FILE

A study has n seeds and m items, and a difference d[s, i] of an arm from the baseline by seed and
item. Each row simulates many studies; the candidates judge the same ones.

- "scores": ``margin`` is continuous and normal, ``skewed`` has exponential differences between
  items. ``accuracy`` counts right answers: an item's difficulty, how well it suits one of the two
  models, how good each run is, and chance decide each answer.
- "seeds : items": how large the variances between seeds and between items are beside the rest, as
  parts of the variance of the grand mean; for accuracy, of the latent variable.
- The candidates: ``seeds``, the t test over the means of the seeds, which takes the items as the
  task itself; ``items``, that over the means of the items; ``Satterthwaite``, moment estimates of
  both parts with his degrees of freedom; ``n - 1``, the same with those of the seeds;
  ``unfloored``, each part with its own; ``parts``, the same where the part of the seeds is at least
  that of the steps of their means, which :mod:`lmlab.study.item_test` uses; ``boot seeds``, the
  percentile bootstrap over seeds, exactly; ``boot both``, over seeds and items (Owen 2007, Ann.
  Appl. Statist. 1(2), the pigeonhole bootstrap).
- Columns of a candidate: the share of studies without a true difference in which it finds one at
  the level 5 %, and at 5 % / 6, the first step of Holm's method over three arms and two metrics;
  its power at the level 5 % for a difference of three standard errors, if its false verdicts are
  within both levels. Of bootstraps, the first of these alone.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import itertools
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

from lmlab.study.item_test import half_width, mean_squares, split_variance

LEVELS = (0.05, 0.05 / 6)
EFFECT = 3.0  # standard errors of the grand mean
RESAMPLES = 199
_MOST_VALUES = 20_000_000  # of a batch
Array = np.ndarray[Any, np.dtype[Any]]
Chance = np.random.Generator


@dataclasses.dataclass(frozen=True)
class Case:
    """Studies of one kind.

    Attributes:
        scores: ``margin``, ``skewed`` or ``accuracy``.
        seeds: n.
        items: m.
        seed_part: variance between seeds times m, over the rest.
        item_part: variance between items times n, over the rest.
    """

    scores: str
    seeds: int
    items: int
    seed_part: float
    item_part: float

    @property
    def error(self) -> float:
        """Standard error of the grand mean where the rest has the variance 1."""
        return math.sqrt((self.seed_part + self.item_part + 1) / (self.seeds * self.items))

    @property
    def step(self) -> float:
        """Smallest difference of two scores that are not equal; 0 for continuous ones."""
        return 1.0 if self.scores == "accuracy" else 0.0

    def draw(self, studies: int, effect: float, chance: Chance) -> Array:
        """Return the differences of some studies, (studies, n, m).

        Args:
            studies: number of them.
            effect: true difference in standard errors; of accuracy, of the latent variable.
            chance: source of random numbers.
        """
        if self.scores == "accuracy":
            return self._answers(studies, effect, chance)
        shape = studies, self.seeds, self.items
        values = chance.standard_normal(shape, dtype=np.float32)
        values += chance.normal(0, self._seed_sd, (studies, self.seeds, 1)).astype(np.float32)
        of_items = (
            chance.standard_normal((studies, 1, self.items))
            if self.scores == "margin"
            else chance.exponential(size=(studies, 1, self.items)) - 1
        )
        values += (self._item_sd * of_items + effect * self.error).astype(np.float32)
        return values

    @property
    def _seed_sd(self) -> float:
        return math.sqrt(self.seed_part / self.items)

    @property
    def _item_sd(self) -> float:
        return math.sqrt(self.item_part / self.seeds)

    def _answers(self, studies: int, effect: float, chance: Chance) -> Array:
        """Return 1, 0 or -1 where only the arm, both or none, or only the baseline is right."""
        difficulty = chance.standard_normal((studies, 1, self.items), dtype=np.float32)
        suits = self._item_sd / 2 * chance.standard_normal((studies, 1, self.items))
        found = []
        for sign in (1, -1):
            run = chance.normal(0, self._seed_sd / math.sqrt(2), (studies, self.seeds, 1))
            shift = difficulty + sign * suits + run + sign * effect * self.error / 2
            answers = chance.standard_normal((studies, self.seeds, self.items), dtype=np.float32)
            answers *= np.float32(1 / math.sqrt(2))
            found.append(answers + shift.astype(np.float32) > 0)
        return found[0].astype(np.float32) - found[1]


@dataclasses.dataclass(frozen=True)
class Layout:
    """Mean squares of some studies, between seeds, between items and of the rest, (studies,) each.

    Attributes:
        squares: the three.
        seeds: n.
        items: m.
        step: of the scores; 0 for continuous ones.
    """

    squares: tuple[Array, Array, Array]
    seeds: int
    items: int
    step: float

    @property
    def parts(self) -> tuple[Array, Array]:
        """See :func:`lmlab.study.item_test.variance_parts`."""
        return split_variance(self.squares, self.seeds, self.items, self.step)


def by_seeds(layout: Layout, level: float) -> Array:
    variance = layout.squares[0] / (layout.seeds * layout.items)
    return half_width(level, [(variance, layout.seeds - 1)])


def by_items(layout: Layout, level: float) -> Array:
    variance = layout.squares[1] / (layout.seeds * layout.items)
    return half_width(level, [(variance, layout.items - 1)])


def satterthwaite(layout: Layout, level: float) -> Array:
    seeds, items, squares = layout.seeds, layout.items, layout.squares
    freedoms = seeds - 1, items - 1, (seeds - 1) * (items - 1)
    terms = sum(one**2 / freedom for one, freedom in zip(squares, freedoms, strict=True))
    total = squares[0] + squares[1] - squares[2]
    is_negative = squares[1] <= squares[2]
    freedom = np.where(is_negative, seeds - 1, total**2 / terms)
    variance = np.where(is_negative, squares[0], total) / (seeds * items)
    return -special.stdtrit(np.maximum(freedom, 1), level / 2) * np.sqrt(variance)


def with_least_freedom(layout: Layout, level: float) -> Array:
    return half_width(level, [(sum(layout.parts), layout.seeds - 1)])


def unfloored(layout: Layout, level: float) -> Array:
    _, of_items = layout.parts
    between = layout.squares[0] / (layout.seeds * layout.items)
    return half_width(level, [(between, layout.seeds - 1), (of_items, layout.items - 1)])


def by_parts(layout: Layout, level: float) -> Array:
    freedoms = layout.seeds - 1, layout.items - 1
    return half_width(level, list(zip(layout.parts, freedoms, strict=True)))


T_TESTS: dict[str, Callable[[Layout, float], Array]] = {
    "seeds": by_seeds, "items": by_items, "Satterthwaite": satterthwaite,
    "n - 1": with_least_freedom, "unfloored": unfloored, "parts": by_parts,
}  # fmt: skip


@functools.cache
def _resampled(seeds: int) -> tuple[Array, Array]:
    """All multisets of ``seeds`` seeds as counts, (multisets, seeds), and their probabilities."""
    counts = np.array(
        [
            np.bincount(drawn, minlength=seeds)
            for drawn in itertools.combinations_with_replacement(range(seeds), seeds)
        ]
    )
    chances = special.factorial(seeds) / special.factorial(counts).prod(axis=1) / seeds**seeds
    return counts, chances


def boot_seeds(values: Array, level: float) -> Array:
    """Whether the percentile interval of all resamples of the seeds excludes zero, (studies,)."""
    counts, chances = _resampled(values.shape[1])
    means = values.mean(axis=2) @ counts.T / values.shape[1]
    below, above = (means <= 0) @ chances, (means >= 0) @ chances
    return np.minimum(below, above) < level / 2


def boot_both(values: Array, level: float) -> Array:
    """The same for resamples of seeds and items, which all studies share."""
    chance = np.random.default_rng(5)
    seeds, items = values.shape[1:]
    of_items = chance.multinomial(items, np.full(items, 1 / items), RESAMPLES) / items
    of_seeds = chance.multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES) / seeds
    means = np.einsum("snr,rn->sr", values @ of_items.T.astype(np.float32), of_seeds)
    outside = np.minimum((means <= 0).sum(axis=1), (means >= 0).sum(axis=1))
    return (outside + 1) / (RESAMPLES + 1) <= level / 2


BOOTSTRAPS = {"boot seeds": boot_seeds, "boot both": boot_both}


def found_shares(case: Case, studies: int, effect: float, chance: Chance) -> dict[str, list[float]]:
    """Return the share of studies in which each candidate finds a difference.

    Returns:
        By candidate: at each of :data:`LEVELS`; of bootstraps, at the first, and only without an
        effect. A difference with the wrong sign counts only where ``effect`` is 0.
    """
    batch = max(_MOST_VALUES // (case.seeds * case.items), 1)
    counts: dict[str, Array] = {}
    for start in range(0, studies, batch):
        values = case.draw(min(batch, studies - start), effect, chance)
        layout = Layout(mean_squares(values), case.seeds, case.items, case.step)
        mean = values.mean(axis=(1, 2))
        is_right = mean > 0 if effect else np.full(len(mean), True)
        found = {
            name: [np.abs(mean) > test(layout, level) for level in LEVELS]
            for name, test in T_TESTS.items()
        }
        if not effect:
            found |= {name: [test(values, LEVELS[0])] for name, test in BOOTSTRAPS.items()}
        for name, at_levels in found.items():
            shares = np.array([(one & is_right).sum() for one in at_levels])
            counts[name] = counts.get(name, 0) + shares
    return {name: list(count / studies) for name, count in counts.items()}


def limit(level: float, studies: int) -> float:
    """The level plus three standard errors of a share of studies."""
    return level + 3 * math.sqrt(level * (1 - level) / studies)


SEEDS = (2, 3, 4, 5)
ITEMS = (50, 200, 2000)
PARTS = ((0, 0), (0, 10), (1, 1), (1, 10), (10, 1), (10, 10))


def all_cases() -> list[Case]:
    """The cases of the table."""
    cases = [
        Case(scores, seeds, items, *parts)
        for scores in ("margin", "accuracy")
        for seeds in SEEDS
        for items in ITEMS
        for parts in PARTS
    ]
    return cases + [Case("skewed", seeds, items, 0, 10) for seeds in SEEDS for items in ITEMS]


def table(cases: Sequence[Case], studies: int, seed: int) -> Iterator[list[str]]:
    """Yield the rows of the table, its head first."""
    names = [*T_TESTS, *BOOTSTRAPS]
    yield ["scores", "n", "m", "seeds : items", *names]
    for number, case in enumerate(cases):
        chance = np.random.default_rng([seed, number])
        false = found_shares(case, studies, 0.0, chance)
        power = found_shares(case, studies, EFFECT, chance)
        parts = f"{case.seed_part:g} : {case.item_part:g}"
        cells = [case.scores, str(case.seeds), str(case.items), parts]
        for name in names:
            shares = zip(false[name], LEVELS, strict=False)
            is_within = [share <= limit(level, studies) for share, level in shares]
            shown = ", ".join(
                f"{share:.4f}" if is_one_within else f"**{share:.4f}**"
                for share, is_one_within in zip(false[name], is_within, strict=True)
            )
            is_told = all(is_within) and name in power
            cells.append(shown + (f"; {power[name][0]:.2f}" if is_told else ""))
        yield cells


def summary(rows: Sequence[Sequence[str]], level: int = 0) -> list[list[str]]:
    """Return the largest share of false verdicts by scores and seeds, over all their cases.

    Args:
        rows: of the table.
        level: position in :data:`LEVELS`; at the second, bootstraps are left out.
    """
    names = [*T_TESTS, *(BOOTSTRAPS if level == 0 else ())]
    groups: dict[tuple[str, str], list[Sequence[str]]] = {}
    for row in rows[1:]:
        groups.setdefault((row[0], row[1]), []).append(row[4 : 4 + len(names)])
    found = [["scores", "n", *names]]
    for key, cells in groups.items():
        shares = [
            [float(cell.split(";")[0].replace("*", "").split(", ")[level]) for cell in column]
            for column in zip(*cells, strict=True)
        ]
        found.append([*key, *(f"{max(column):.4f}" for column in shares)])
    return found


def as_markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return rows, of which the first is the head, as a table."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=10_000, help="per row, without and with "
                        "a true difference")  # fmt: skip
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", type=Path, help="file for the tables")
    arguments = parser.parse_args()
    start, cases = time.process_time(), all_cases()
    rows = []
    for row in table(cases, arguments.studies, arguments.seed):
        rows.append(row)
        print(f"{len(rows) - 1} of {len(cases)} cases, {time.process_time() - start:.0f} s",
              file=sys.stderr)  # fmt: skip
    minutes = (time.process_time() - start) / 60
    command = "python tests/support/simulated_task_verdicts.py"
    text = (
        f"# {command} --save benchmarks/results/task-verdicts-2026-11-30.md\n\n"
        f"2026-11-30, {minutes:.0f} minutes of one core. {arguments.studies:,} studies per row "
        "without a true difference, and as many with one.\nThe command's `--help` says what the "
        "rows and columns are.\n"
        f"Bold: above the level by more than three standard errors "
        f"({limit(LEVELS[0], arguments.studies):.4f} and "
        f"{limit(LEVELS[1], arguments.studies):.4f}).\n\n"
        "Largest share of false verdicts at the level 5 %, over all cases of a row:\n\n"
        f"{as_markdown(summary(rows))}\n\n"
        "Largest share at 5 % / 6:\n\n"
        f"{as_markdown(summary(rows, 1))}\n\nAll cases:\n\n{as_markdown(rows)}\n"
    )
    print(text)
    if arguments.save:
        arguments.save.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
