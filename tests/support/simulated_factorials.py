"""False and missed effects of simulated factorial studies, by design, noise and planted effects.

    python tests/support/simulated_factorials.py --save FILE

10,000 studies for each case, in about a minute. The losses of all studies of a case are judged at
once; a test compares this with :func:`lmlab.study.factorials.effects.estimate_effects`, which
reports use. The table is kept in benchmarks/results.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special, stats

from lmlab.design.two_level import TwoLevelDesign, fraction, full_design
from lmlab.study.factorials.effects import contrast_sd, seed_contrasts
from lmlab.study.power import smallest_detectable
from lmlab.study.sequential_test import Rule

ALPHA, POWER, RUN_SD, SHARED_SD = 0.05, 0.8, 0.01, 0.02
STUDIES = 10_000
Array = np.ndarray[Any, np.dtype[np.float64]]
Chance = np.random.Generator

DESIGNS = {
    "2^2": full_design("AB"),
    "2^3": full_design("ABC"),
    "2^4": full_design("ABCD"),
    "2^(5-1)": fraction("ABCDE", 1),
}
SEEDS = (3, 5, 8)


def _normal(chance: Chance, shape: tuple[int, ...], design: TwoLevelDesign) -> Array:
    return chance.normal(size=shape)


def _heavy(chance: Chance, shape: tuple[int, ...], design: TwoLevelDesign) -> Array:
    return chance.standard_t(5, shape) / math.sqrt(5 / 3)


def _one_noisy_cell(chance: Chance, shape: tuple[int, ...], design: TwoLevelDesign) -> Array:
    spread = np.ones(design.num_runs)
    spread[-1] = 5.0
    return chance.normal(size=shape) * spread


def _shared_by_level(chance: Chance, shape: tuple[int, ...], design: TwoLevelDesign) -> Array:
    """Noise of a seed that is the same in all cells with the first factor on, another in the rest.

    The contrast of that factor is then noisier than all others.
    """
    sides = chance.normal(size=(*shape[:-1], 2))
    is_on = np.array([run[0] for run in design.runs], dtype=int)
    return math.sqrt(0.5) * (chance.normal(size=shape) + sides[..., is_on])


NOISES: dict[str, Callable[[Chance, tuple[int, ...], TwoLevelDesign], Array]] = {
    "normal": _normal,
    "t, 5 degrees": _heavy,
    "one cell 5 times as noisy": _one_noisy_cell,
    "shared by the cells of a level": _shared_by_level,
}
# Effects that are planted, in detectable sizes: none; an interaction; or several effects.
PLANTED = {"none": (), "A x B": ("AB",), "A, B, A x B": ("A", "B", "AB")}


@dataclasses.dataclass(frozen=True)
class Found:
    """The result of many simulated studies.

    Attributes:
        false: number of studies with one or more false effects, of those with no true effect.
        power: by planted effect, the share of studies that find it with its sign.
        studies: number of studies.
    """

    false: int
    power: dict[str, float]
    studies: int

    @property
    def is_within_level(self) -> bool:
        """Whether the number of false effects is compatible with the level."""
        test = stats.binomtest(self.false, self.studies, ALPHA, alternative="greater")
        return bool(test.pvalue > 1e-3)


def simulate(
    design: TwoLevelDesign, num_seeds: int, noise: str, planted: Sequence[str],
    studies: int = STUDIES, seed: int = 0,
) -> Found:  # fmt: skip
    """Simulate studies, and count false verdicts and those that find what was planted.

    Args:
        design: the runs of the cells.
        num_seeds: number of seeds, each of which runs all cells.
        noise: one of :data:`NOISES`.
        planted: letters of the factors of each effect that is as large as the study detects.
        studies: number of studies.
        seed: of the noise.
    """
    size = detectable(design, num_seeds)
    effects = {"".join(sorted(design.label(one, ""))): one for one in design.low_order_effects}
    chance = np.random.default_rng(seed)
    shape = (studies, num_seeds, design.num_runs)
    losses = RUN_SD * NOISES[noise](chance, shape, design)
    losses += SHARED_SD * chance.normal(size=(studies, num_seeds, 1))
    for name in planted:
        losses += -size / 2 * np.array(design.contrast(effects[name]))
    contrasts = seed_contrasts(design, losses)
    tested = [design.effects.index(one) for one in design.low_order_effects]
    is_found, mean = decide(contrasts[..., tested])
    names = list(effects)
    true = [names.index(name) for name in planted]
    null = [place for place in range(len(names)) if place not in true]
    power = {
        names[place]: float(np.mean(is_found[:, place] & (mean[:, place] < 0))) for place in true
    }
    return Found(int(is_found[:, null].any(axis=1).sum()), power, studies)


def detectable(design: TwoLevelDesign, num_seeds: int) -> float:
    """Return the effect that a study finds with the stated power, as its plan does."""
    rule = Rule(seeds=num_seeds, alpha=ALPHA, power=POWER, margin=0.0)
    sd = contrast_sd(RUN_SD, design.num_runs)
    return smallest_detectable(sd, rule, len(design.low_order_effects))


def decide(contrasts: Array) -> tuple[Array, Array]:
    """Return which effects are significant by Holm's method, and their means.

    Args:
        contrasts: of shape (studies, seeds, effects).
    """
    number, family = contrasts.shape[1:]
    mean = contrasts.mean(axis=1)
    error = contrasts.std(axis=1, ddof=1) / math.sqrt(number)
    p = 2 * special.stdtr(number - 1, -np.abs(mean) / error)
    ranks = np.argsort(p, axis=1)
    ordered = np.take_along_axis(p, ranks, axis=1)
    passes = np.cumprod(ordered <= ALPHA / (family - np.arange(family)), axis=1).astype(bool)
    is_found = np.zeros_like(passes)
    np.put_along_axis(is_found, ranks, passes, axis=1)
    return is_found, mean


def table(studies: int = STUDIES) -> list[str]:
    """Return all cases as lines of Markdown."""
    lines = [
        "| design | seeds | detectable, in sd of a run | noise | planted | false | found |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, design in DESIGNS.items():
        for num_seeds in SEEDS:
            size = detectable(design, num_seeds) / RUN_SD
            for noise in NOISES:
                for shown, planted in PLANTED.items():
                    found = simulate(design, num_seeds, noise, planted, studies)
                    power = ", ".join(f"{one} {share:.3f}" for one, share in found.power.items())
                    false = f"{found.false / studies:.4f}"
                    false += "" if found.is_within_level else " (above the level)"
                    lines.append(f"| {name} | {num_seeds} | {size:.2f} | {noise} | {shown} | "
                                 f"{false} | {power} |")  # fmt: skip
    return lines


def main() -> None:
    """Print the table, or save it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", type=Path, help="file for the table")
    parser.add_argument("--studies", type=int, default=STUDIES)
    arguments = parser.parse_args()
    text = "\n".join([
        "# Simulated factorial studies", "",
        f"{arguments.studies:,} studies for each case, by "
        "`tests/support/simulated_factorials.py`. *False* is the share of studies with one or more",
        f"significant effects that were not planted, at a level of {ALPHA:.0%} over all main "
        "effects and two-factor",
        "interactions. Planted effects have the size that the plan calls detectable with "
        f"{POWER:.0%} power for normal",
        "noise; *found* is the share of studies that find each with its sign.", "",
        *table(arguments.studies), "",
    ])  # fmt: skip
    if arguments.save is None:
        print(text)
    else:
        arguments.save.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
