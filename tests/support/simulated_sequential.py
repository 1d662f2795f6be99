"""Sequential studies beside those of one or two looks: false verdicts, power and pairs, simulated.

    python tests/support/simulated_sequential.py --save FILE

All arms of 10,000 studies are followed at once, by arrays, with Holm's method over the arms;
tests/integration/study/test_simulated_sequential.py checks that they end like those of a study. The
table of studies that search for their rates runs the search and the verdicts themselves. Everything
takes a few minutes on one core.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special
from simulated_differences import NOISES, STUDIES, Array, differences
from simulated_verdicts import NO_ADVICE, Chance, SimulatedRuns, a_study

from lmlab.study.e_process import two_sided_e
from lmlab.study.futility import chance_of_verdict
from lmlab.study.power import smallest_detectable
from lmlab.study.sequential_test import Rule
from lmlab.study.t_test import t_bound
from lmlab.study.verdicts import judge
from lmlab.study.waves import follow_waves

OPEN, WORSE, BETTER, EQUAL, FUTILE = range(5)
MARGIN = 1.4  # standard deviations of a pair; about that of the defaults, 0.02 at a spread of 0.014


@dataclasses.dataclass(frozen=True)
class Pair:
    """A study of one or two looks, and the sequential one beside it, with the same margin."""

    seeds: int
    extra_seeds: int

    def fixed(self, margin: float = 0.0) -> Rule:
        return Rule(seeds=self.seeds, extra_seeds=self.extra_seeds, margin=margin)

    def sequential(self, margin: float = 0.0, futility: float = 0.05) -> Rule:
        study = a_study(
            1, self.extra_seeds, num_seeds=self.seeds, look="sequential", lr="fixed", test="auto"
        )
        assert study.comparison is not None
        most = study.comparison.most_seeds
        return Rule(seeds=most, min_seeds=3, margin=margin, futility=futility)

    @property
    def name(self) -> str:
        return f"{self.seeds} + {self.extra_seeds}"


TODAY = Pair(5, 5)
PAIRS = (TODAY, Pair(5, 3), Pair(3, 3), Pair(5, 0))
FAMILIES = (1, 3, 8)


def follow(x: Array, rule: Rule) -> tuple[Any, Any]:
    """Follow the looks of studies by arrays, with Holm's method over the arms.

    Args:
        x: differences, of shape (studies, arms, seeds).
        rule: how each study decides, whether it is sequential or not.

    Returns:
        How each arm ends (``OPEN`` to ``FUTILE``), and its number of pairs: (studies, arms).
    """
    family, looks = x.shape[1], rule.looks
    levels = np.array([rule.nominal_level(rule.alpha / left) for left in range(family, 0, -1)])
    equal_level = rule.nominal_level(rule.alpha)
    codes = np.full(x.shape[:2], OPEN)
    pairs, smallest = np.full(x.shape[:2], looks[-1]), np.ones(x.shape[:2])
    is_open = np.full(x.shape[:2], True)
    for number in looks:
        mean = x[..., :number].mean(axis=-1)
        error = x[..., :number].std(axis=-1, ddof=1) / math.sqrt(number)
        p = 2 * special.stdtr(number - 1, -np.abs(mean) / error)
        smallest = np.where(is_open, np.minimum(smallest, p), smallest)
        order = np.argsort(smallest, axis=1)
        passes = np.take_along_axis(smallest, order, 1) <= levels
        count = np.cumprod(passes, axis=1).sum(axis=1)  # of rejections
        is_rejected = np.argsort(order, axis=1) < count[:, None]
        bound = t_bound(equal_level, number - 1)
        is_equal = is_open & (np.abs(mean) + bound * error <= rule.margin)
        is_found = is_rejected & ~is_equal & ((codes == OPEN) | (codes == FUTILE))
        direction = np.where(mean > 0, WORSE, BETTER)
        ends = is_open & (is_equal | is_found)
        codes = np.where(is_equal, EQUAL, np.where(is_found, direction, codes))
        pairs, is_open = np.where(ends, number, pairs), is_open & ~ends
        if rule.futility > 0 and number < looks[-1]:
            step = np.broadcast_to(np.minimum(count, family - 1)[:, None], is_open.shape)
            ends = np.full(is_open.shape, False)
            for rank in range(family):  # of the step at which Holm's method has stopped
                where = np.flatnonzero(is_open & (step == rank))
                for part in np.array_split(where, len(where) // 5000 + 1):
                    ends.flat[part] = rule.futility > chance_of_verdict(
                        mean.flat[part], error.flat[part], (number, looks[-1]),
                        (float(levels[rank]), equal_level), rule.margin,
                    )  # fmt: skip
            codes = np.where(ends, FUTILE, codes)
            pairs, is_open = np.where(ends, number, pairs), is_open & ~ends
    return codes, pairs


def share_of(codes: Any, *wanted: int) -> str:
    """Return the share of studies in which an arm ends so, with its standard error."""
    rate = np.isin(codes, wanted).any(axis=1).mean()
    return f"{rate:.4f} ± {math.sqrt(rate * (1 - rate) / len(codes)):.4f}"


def level_table(studies: int) -> list[list[str]]:
    """False verdicts where no arm differs, with a margin of 0 (all count)."""
    rows = [["noise", "arms", *(f"{pair.name} / sequential" for pair in PAIRS[:2])]]
    for row, noise in enumerate(NOISES):
        for arms in FAMILIES:
            cells = []
            for pair in PAIRS[:2]:
                x = differences(noise, arms, 13, (1, row, arms), studies)
                cells.append(
                    " / ".join(
                        share_of(follow(x, rule)[0], WORSE, BETTER)
                        for rule in (pair.fixed(), pair.sequential())
                    )
                )
            rows.append([noise, str(arms), *cells])
    return rows


def length_table(studies: int) -> list[list[str]]:
    """False verdicts of one arm that does not differ, by the largest number of seeds."""
    rows = [["max_seeds", *list(NOISES)[:4]]]
    for most in range(3, 14):
        rule = Rule(seeds=most, min_seeds=3, margin=0.0)
        cells = [
            share_of(
                follow(differences(noise, 1, most, (2, row, most), studies), rule)[0], WORSE, BETTER
            )
            for row, noise in enumerate(list(NOISES)[:4])
        ]
        rows.append([str(most), *cells])
    return rows


def margin_table(studies: int) -> list[list[str]]:
    """False "no difference" verdicts on an arm whose difference is the margin."""
    rows = [["noise", "margin (sd)", *(f"{p.name} / sequential" for p in PAIRS[:2])]]
    for row, noise in enumerate(NOISES):
        for margin in (1.0, MARGIN, 3.0):
            x = margin + differences(noise, 1, 13, (3, row), studies)
            cells = [
                " / ".join(
                    share_of(follow(x, rule)[0], EQUAL)
                    for rule in (pair.fixed(margin), pair.sequential(margin))
                )
                for pair in PAIRS[:2]
            ]
            rows.append([noise, f"{margin:g}", *cells])
    return rows


def effect_table(studies: int) -> list[list[str]]:
    """Verdicts on arms that differ by 1 to 3 standard deviations, with a margin of 0."""
    rows = [["noise", "effect (sd)", "found", "wrong side", "pairs"]]
    for row, noise in enumerate(NOISES):
        for effect in (1.0, 2.0, 3.0):
            x = effect + differences(noise, 1, 13, (4, row), studies)
            both = [follow(x, rule) for rule in (TODAY.fixed(), TODAY.sequential())]
            found = " / ".join(f"{(codes == WORSE).mean():.3f}" for codes, _ in both)
            wrong = " / ".join(f"{(codes == BETTER).mean():.4f}" for codes, _ in both)
            mean_pairs = " / ".join(f"{pairs.mean():.2f}" for _, pairs in both)
            rows.append([noise, f"{effect:g}", found, wrong, mean_pairs])
    return rows


@dataclasses.dataclass(frozen=True)
class AtEqualPower:
    """A fixed study beside the shortest sequential one with the same power, for one of its arms.

    Attributes:
        detectable: effect that the fixed study finds with 80% power.
        max_seeds: of the sequential study.
        powers: of both studies to find that effect.
        ratios: expected pairs of the sequential study over those of the fixed one, at 0, 1, 2 and
            4 times the effect.
    """

    detectable: float
    max_seeds: int
    powers: tuple[float, float]
    ratios: tuple[float, ...]


def at_equal_power(pair: Pair, family: int, studies: int) -> AtEqualPower:
    """Compare expected pairs, at the level of the first of ``family`` arms, with a margin of 0."""
    fixed, sequential = (
        dataclasses.replace(rule, alpha=rule.alpha / family)
        for rule in (pair.fixed(), pair.sequential())
    )
    d = smallest_detectable(1.0, fixed)
    x = differences("normal", 1, 13, (5, pair.seeds, pair.extra_seeds, family), studies)
    power = float((follow(d + x, fixed)[0] == WORSE).mean())
    for most in range(3, sequential.seeds + 1):
        rule = dataclasses.replace(sequential, seeds=most)
        own = float((follow(d + x, rule)[0] == WORSE).mean())
        if own >= power:
            break
    ratios = []
    for factor in (0, 1, 2, 4):
        both = [follow(factor * d + x, one)[1].mean() for one in (fixed, rule)]
        ratios.append(float(both[1] / both[0]))
    return AtEqualPower(d, most, (power, own), tuple(ratios))


def power_table(studies: int) -> list[list[str]]:
    """Expected pairs over those of the fixed study, for "better" and "worse"."""
    rows = [["fixed study", "arms", "detectable d (sd)", "max_seeds of equal power", "power at d",
             "at 0", "at d", "at 2 d", "at 4 d"]]  # fmt: skip
    for pair in PAIRS:
        for family in FAMILIES:
            found = at_equal_power(pair, family, studies)
            powers = " / ".join(f"{power:.3f}" for power in found.powers)
            rows.append(
                [pair.name, str(family), f"{found.detectable:.2f}", str(found.max_seeds), powers]
                + [f"{ratio:.2f}" for ratio in found.ratios]
            )
    return rows


def equal_margin(rule: Rule, studies: int) -> float:
    """Return the margin at which 80% of arms that do not differ end with "no difference"."""
    x = differences("normal", 1, 13, (6,), studies)
    low, high = 0.0, 50.0
    for _ in range(20):
        middle = (low + high) / 2
        codes, _ = follow(x, dataclasses.replace(rule, margin=middle))
        low, high = (middle, high) if (codes == EQUAL).mean() < 0.8 else (low, middle)
    return high


def equal_table(studies: int) -> list[list[str]]:
    """Expected pairs over those of the fixed study, where "no difference" has 80% power."""
    head = ["fixed study", "margin (sd)", "max_seeds of equal power", "no difference at 0"]
    rows = [[*head, "at 0", "at the margin", "at twice the margin"]]
    for pair in PAIRS:
        fixed = pair.fixed()
        fixed = dataclasses.replace(fixed, margin=equal_margin(fixed, studies))
        x = differences("normal", 1, 13, (7, pair.seeds, pair.extra_seeds), studies)
        power = (follow(x, fixed)[0] == EQUAL).mean()
        for most in range(3, 14):
            rule = dataclasses.replace(pair.sequential(fixed.margin), seeds=most)
            own = (follow(x, rule)[0] == EQUAL).mean()
            if own >= power:
                break
        ratios = []
        for factor in (0, 1, 2):
            both = [follow(factor * fixed.margin + x, one)[1].mean() for one in (fixed, rule)]
            ratios.append(f"{both[1] / both[0]:.2f}")
        rows.append(
            [pair.name, f"{fixed.margin:.2f}", str(most), f"{power:.3f} / {own:.3f}", *ratios]
        )
    return rows


def parts_table(studies: int) -> list[list[str]]:
    """Mean pairs of one arm beside 5 + 5: what looks after every seed save, and what futility."""
    d = smallest_detectable(1.0, TODAY.fixed())
    x = differences("normal", 1, 13, (8,), studies)
    rules = {
        "10 seeds, one look": Rule(seeds=10, margin=0.0),
        "5 + 5": TODAY.fixed(),
        "3 to 13, never futile": TODAY.sequential(futility=0.0),
        "3 to 13, futile below 5%": TODAY.sequential(),
        "3 to 13, futile below 10%": TODAY.sequential(futility=0.1),
    }
    rows = [["study", "power at d", "at 0", "at d", "at 2 d", "at 4 d"]]
    for name, rule in rules.items():
        found = [follow(factor * d + x, rule) for factor in (0, 1, 2, 4)]
        power = (found[1][0] == WORSE).mean()
        rows.append([name, f"{power:.3f}", *(f"{pairs.mean():.2f}" for _, pairs in found)])
    found = [follow_e_process(factor * d + x) for factor in (0, 1, 2, 4)]
    power = (found[1][0] == WORSE).mean()
    rows.append(
        ["e-process, up to 13", f"{power:.3f}", *(f"{pairs.mean():.2f}" for _, pairs in found)]
    )
    return rows


def follow_e_process(x: Array) -> tuple[Any, Any]:
    """End each arm where the e-process reaches 1 / 0.05; see :func:`follow`."""
    is_found = two_sided_e(x) >= 1 / 0.05
    pairs = np.where(is_found.any(axis=-1), is_found.argmax(axis=-1) + 1, x.shape[-1])
    mean = np.take_along_axis(np.cumsum(x, axis=-1), pairs[..., None] - 1, -1)[..., 0]
    codes = np.where(is_found.any(axis=-1), np.where(mean > 0, WORSE, BETTER), OPEN)
    return codes, pairs


def run_study(is_search: bool, arms: int, chance: Chance) -> tuple[bool, int]:
    """Run a sequential study in which no arm differs by its own code.

    Returns:
        Whether any arm was called better or worse, and the number of judged runs.
    """
    study = a_study(
        arms, 5, margin=0.0, look="sequential", test="auto", confirm_rate="auto",
        lr="search" if is_search else "fixed",
    )  # fmt: skip
    runs = SimulatedRuns([0.0] * arms, chance, depends_on_rate=is_search)
    with NO_ADVICE:
        runs.run_waves(study)
        waves = follow_waves(study, runs.outcomes)
        labels = [verdict.label for verdict in judge(study, runs.outcomes)]
    return any(label in ("better", "worse") for label in labels), sum(waves.seeds.values())


def search_table(studies: int) -> list[list[str]]:
    """False verdicts of whole studies, whose rates are searched for or fixed."""
    rows = [["rates", "arms", "false verdicts", "judged runs"]]
    for is_search in (False, True):
        for arms in FAMILIES[:2]:
            chance = np.random.default_rng([9, is_search, arms])
            found = [run_study(is_search, arms, chance) for _ in range(studies)]
            false = np.mean([one[0] for one in found])
            error = math.sqrt(false * (1 - false) / studies)
            rows.append(
                ["searched for" if is_search else "fixed", str(arms), f"{false:.3f} ± {error:.3f}",
                 f"{np.mean([one[1] for one in found]):.1f}"]
            )  # fmt: skip
    return rows


TABLES: dict[str, Callable[[int], list[list[str]]]] = {
    "False verdicts where no arm differs (fixed / sequential; level 0.05)": level_table,
    "False verdicts of one arm by the largest number of seeds": length_table,
    'False "no difference" where the difference is the margin (fixed / sequential)': margin_table,
    "Arms that differ, margin 0 (5 + 5 / sequential)": effect_table,
    'Pairs for "better" and "worse", sequential over fixed': power_table,
    'Pairs for "no difference", sequential over fixed': equal_table,
    "What each part saves: mean pairs of one arm": parts_table,
}


def as_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as a Markdown table."""
    lines = [f"| {' | '.join(rows[0])} |", "|---" * len(rows[0]) + "|"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows[1:]])


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=STUDIES, help="simulated studies per cell")
    parser.add_argument("--searched", type=int, default=500, help="studies run by their own code")
    parser.add_argument("--save", type=Path, help="file for the tables")
    arguments = parser.parse_args()
    texts = [
        f"# python tests/support/simulated_sequential.py --studies {arguments.studies}\n",
        "A cell has as many studies; shares have their standard errors. The docstrings of the "
        "command say what the rows and columns are.\n",
    ]
    for title, make in TABLES.items():
        texts.append(f"## {title}\n\n{as_table(make(arguments.studies))}\n")
        print(texts[-1], flush=True)
    if arguments.searched:
        title = f"Whole studies by their own code, {arguments.searched:,} per row, margin 0"
        texts.append(f"## {title}\n\n{as_table(search_table(arguments.searched))}\n")
        print(texts[-1])
    if arguments.save:
        arguments.save.write_text("\n".join(texts), encoding="utf-8")


if __name__ == "__main__":
    main()
