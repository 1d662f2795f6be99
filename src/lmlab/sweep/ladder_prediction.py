"""What a ladder can show, printed before it starts."""

from __future__ import annotations

import bisect
import math
import statistics
from collections.abc import Sequence

from lmlab.console.formatting import format_count
from lmlab.design.ladder import GAINS
from lmlab.study.ladders.compute_gain import as_factor
from lmlab.study.ladders.ladder_facts import LadderFacts
from lmlab.study.ladders.ladder_power import PlannedLadder, predict_power
from lmlab.study.statistics import level_name

_GAINS = (1.05, 1.1, 1.2, 1.35, 1.5, 2.0)
_DRAWS = 40  # per gain: a standard error of 0.06 where the power is 0.8
_MIN_SEEDS_FOR_SD = 3
# Small models on books: about two thirds of the loss of uniform guesses on the lowest rung, 12%
# less per factor of ten of compute, and an asymptote at 40%. Results of the study replace them.
_FIRST_SHARE, _FALL_PER_DECADE, _ASYMPTOTE_SHARE = 0.65, 0.12, 0.4


def describe_ladder_power(facts: LadderFacts, vocab_size: int) -> list[str]:
    """Return sentences about the gains that a ladder can tell from none.

    Args:
        facts: the results so far; finished runs of the baseline determine noise and losses.
        vocab_size: number of tokens in the vocabulary.
    """
    ladder = facts.ladder
    if not ladder.family or ladder.analysis != GAINS:
        return []
    plan, source = _plan(facts, vocab_size)
    powers: dict[float, float] = {}
    half_widths: Sequence[float] = ()

    def is_enough(gain: float) -> bool:
        nonlocal half_widths
        log_gain, rule = math.log(gain), facts.rule
        found = predict_power(plan, log_gain, log_gain, rule, ladder.family, _DRAWS, ladder.alpha)
        half_widths = half_widths or found.half_widths
        powers[gain] = found.words.get("holds", 0.0)
        return powers[gain] >= ladder.power

    number = bisect.bisect_left(_GAINS, True, key=is_enough)
    if number < len(_GAINS):
        gain = _GAINS[number]
        sentence = (
            f"a gain of {gain:g} on every rung gets the verdict holds with probability "
            f"{powers[gain]:.0%}."
        )
    else:
        sentence = (
            f"not even a gain of {_GAINS[-1]:g} gets the verdict holds with probability "
            f"{ladder.power:.0%}; use more seeds or rungs."
        )
    factors = [as_factor(width) for width in half_widths]
    widths = ", ".join(
        f"r{rung} {one:.2f}" if one < 100 else f"r{rung} {one:.0e}"
        for rung, one in enumerate(factors, 1)
    )
    level = level_name(1 - ladder.alpha)
    return [
        f"{source}; intervals of gains ({level}) then reach this factor to either side: {widths}.",
        f"With {format_count(ladder.family, 'arm')}, {sentence}",
    ]


def _plan(facts: LadderFacts, vocab_size: int) -> tuple[PlannedLadder, str]:
    """Return what is expected of a ladder, and where that comes from."""
    ladder, cells = facts.ladder, facts.cells[facts.ladder.baseline]
    flops = facts.flops[ladder.baseline]
    known = [cell.sd for cell in cells if len(cell.losses) >= _MIN_SEEDS_FOR_SD and cell.sd]
    typical = statistics.median(known) if known else ladder.expected_sd
    sd = [
        cell.sd if len(cell.losses) >= _MIN_SEEDS_FOR_SD and cell.sd else typical for cell in cells
    ]
    first, last = cells[0].mean, cells[-1].mean
    assumed = [] if known else [f"final losses vary by {typical:g} nats over seeds"]
    if first is None:
        first = _FIRST_SHARE * math.log(vocab_size)
    if last is None:
        decades = math.log10(flops[-1] / flops[0])
        last = first * (1 - _FALL_PER_DECADE) ** decades
        assumed.append(f"the loss falls from {first:.1f} to {last:.1f}")
    entropy = min(ladder.entropy, 0.95 * last)  # a bound above the losses is none
    plan = PlannedLadder(
        cost=flops,
        seeds=[ladder.seeds(rung) for rung in range(len(flops))],
        sd=sd,
        losses=(first, last),
        asymptote=max(entropy, min(_ASYMPTOTE_SHARE * first, 0.9 * last)),
        floor=entropy,
    )
    source = f"Assumed: {' and '.join(assumed)}" if assumed else "By the results so far"
    return plan, source
