"""The notes, decision rule, limitations and terms of a factorial study's report."""

from __future__ import annotations

import math

from lmlab.console.formatting import format_count
from lmlab.design.comparison import METRICS
from lmlab.design.ladder import FIXED
from lmlab.study.factorial_report.factorial_study import FactorialStudy
from lmlab.study.factorials.effects import contrast_sd
from lmlab.study.power import smallest_detectable
from lmlab.study.sequential_test import SIGN_FLIPS
from lmlab.study.statistics import level_name


def section_notes(found: FactorialStudy) -> dict[str, list[str]]:
    """Return the notes below the tables of each section."""
    return {
        "effects": _effect_notes(found),
        "interactions": [] if not found.effects else [
            "Losses and effects are means over the cells that share the levels shown; ± is the "
            "standard error over seeds. Lines that are parallel do not act on each other."
        ],
        "singles": [] if found.one_at_a_time is None else [
            "Alone: the cell with one factor against the baseline, with Holm's correction over "
            "the factors, as a study of one part at a time would have judged it. These verdicts "
            "are shown for comparison; the study's own are those of the effects."
        ],
        "cells": [],
        "half_normal": _noise_notes(found),
        "rates": _rate_notes(found),
    }  # fmt: skip


def _effect_notes(found: FactorialStudy) -> list[str]:
    if not found.effects:
        return []
    factorial = found.factorial
    notes = [
        "A main effect is the mean loss with a factor minus that without it, over all levels of "
        "the others. An interaction is half of what one factor changes in the effect of the other; "
        "a negative one means that both together lower the loss by more than the sum of the two.",
        f"Design: {factorial.shown_design}.",
    ]
    if found.design.words:
        notes.append(
            f"Defining relation: {found.design.defining_relation(' x ')}. An estimate is the sum "
            "of an effect and its aliases with their signs; it is the effect's own where "
            "interactions of more factors are negligible."
        )
    return notes


def _noise_notes(found: FactorialStudy) -> list[str]:
    noise = found.lenth
    if noise is None:
        return []
    return [
        "Effects in order of their size against where sizes of pure noise are expected. Noise "
        "lies on a line through the origin; real effects lie above it.",
        f"Lenth's pseudo standard error (1989) is {noise.error:.4f}. The largest of "
        f"{len(found.effects)} effects of noise exceeds {noise.simultaneous:.4f} with a "
        f"probability of {found.factorial.alpha:.0%}. It takes most effects for noise, needs no "
        "repeated runs, and is the only test of a study with one seed.",
    ]


def _rate_notes(found: FactorialStudy) -> list[str]:
    model = found.model
    if model is None:
        return []
    number = len(model.rates)
    notes = [
        f"The logarithm of the best rate is modelled as a constant and a main effect of each "
        f"factor, fitted to {format_count(number, 'searched cell')}, and read at the other cells."
    ]
    if model.scatter is None:
        notes.append("The model passes through all searched rates, so they cannot check it.")
    else:
        notes.append(
            f"The searched rates scatter about the model by a factor of "
            f"{math.exp(model.scatter):.3g} "
            "(one standard deviation)."
        )
    notes.append(
        "A loss that all predicted rates share reaches no main effect and no two-factor "
        "interaction, because the searched cells are a fraction of resolution III or more."
    )
    check = found.check
    if check is not None:
        notes.append(
            f"The check trains {check.cell}, the cell with the lowest mean loss, at its predicted "
            f"rate and half a grid step to either side, on {format_count(check.seeds, 'seed')} of "
            "the verdict."
        )
    return notes


def factorial_rule(found: FactorialStudy) -> list[str]:
    """State how effects are decided on, and which the study detects."""
    factorial = found.factorial
    unit, family = METRICS[factorial.metric], factorial.family
    if factorial.num_seeds == 1:
        return ["One seed supports no verdict: effects may be noise."]
    test = "sign-flip test" if factorial.test == SIGN_FLIPS else "t test"
    lines = [
        f"Each seed runs all cells, so that its contrast is one observation of an effect, without "
        f"the noise that its cells share. An effect is tested by the two-sided one-sample {test} "
        f"of the contrasts. Over all {family} main effects and two-factor interactions, the "
        "probability of one or more false claims is at most "
        f"{factorial.alpha:.0%} (Holm's method).",
        f"Effects of {factorial.margin:g} {unit} or less do not count: an effect is too small to "
        f"matter if its {level_name(1 - factorial.alpha)} confidence interval is within the "
        "margin, even where it excludes zero. That is decided for each effect by itself.",
        "An interval has the level of its step in Holm's method, so that it excludes zero exactly "
        "where the effect is claimed.",
    ]
    sd = _run_sd(found)
    if sd is not None:
        smallest = smallest_detectable(contrast_sd(sd, found.design.num_runs), found.rule, family)
        lines.append(
            f"Losses of a cell vary over seeds by {sd:.4f} {unit} beside what all cells of a seed "
            f"share (pooled over cells). With {format_count(factorial.num_seeds, 'seed')}, the "
            f"study detects a true effect of {smallest:.4f} with {factorial.power:.0%} power."
        )
    if found.rule.looks[0] < factorial.num_seeds:
        looks = ", ".join(map(str, found.rule.looks[:-1]))
        lines.append(
            f"This study was judged before with fewer seeds ({looks}). P-values and intervals "
            "count that as a further test of the same runs."
        )
    return lines


def _run_sd(found: FactorialStudy) -> float | None:
    """Return the spread of a run over seeds beside what its seed shares, pooled over cells."""
    seeds, cells = found.seeds, list(found.losses.values())
    if len(seeds) < 2:
        return None
    table = [[cell[seed] for cell in cells] for seed in seeds]
    rows = [sum(row) / len(cells) for row in table]
    columns = [sum(row[j] for row in table) / len(seeds) for j in range(len(cells))]
    mean = sum(rows) / len(rows)
    total = sum(
        (table[i][j] - rows[i] - columns[j] + mean) ** 2
        for i in range(len(seeds))
        for j in range(len(cells))
    )
    return float((total / ((len(seeds) - 1) * (len(cells) - 1))) ** 0.5)


def factorial_limits(found: FactorialStudy) -> list[str]:
    """State what the design of the study does not show."""
    factorial = found.factorial
    lines = [
        "Effects are means over the levels of the other factors, of which each has two; a factor "
        "may act otherwise beside parts that the study does not vary."
    ]
    if found.design.words:
        lines.append(
            "Only a fraction of the combinations was run. An effect cannot be told from its "
            "aliases."
        )
    if factorial.lr != FIXED and any(map(factorial.predicts, factorial.cells)):
        lines.append(
            "Learning rates of the cells that were not searched are predicted. A pair of factors "
            "whose best rate is far from the prediction looks as if the two were worse together."
        )
    return lines


def factorial_glossary(found: FactorialStudy) -> list[list[str]]:
    """Return the terms of the report, each with its meaning."""
    terms = {
        "alias": "An effect that the runs cannot tell from another one, because both have the "
        "same sign in every cell.",
        "baseline": "The cell with all factors off.",
        "cell": "One combination of factors, named by those that are on.",
        "contrast": "An effect within one seed: the difference of the mean losses of its cells.",
        "factor": "A change that is off or on.",
        "interaction": "Half of what one factor changes in the effect of another one.",
        "main effect": "Mean final loss with a factor minus that without it, over the levels of "
        "all others; negative is better.",
        "margin": f"The largest effect that counts as none: {found.factorial.margin:g} "
        f"{METRICS[found.factorial.metric]}.",
        "resolution": "The length of the shortest product of factors that is constant over the "
        "cells. At V, main effects and two-factor interactions are clear of each other.",
        "sd": "Standard deviation over seeds.",
    }
    if found.factorial.lr != FIXED:
        terms["peak lr"] = (
            "The peak learning rate: the highest one of a run, at the end of its warm-up."
        )
    return [[term, terms[term]] for term in sorted(terms)]
