"""Which runs of an arm are compared with which of the baseline, and which of them have no loss."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping

from lmlab.design.search import FAILED_TO_LEARN, TrialOutcome
from lmlab.study.hypothesis_test import Sample
from lmlab.study.sequential_test import SIGN_FLIPS
from lmlab.study.sign_flips import FlippedPairs
from lmlab.study.t_test import IndependentRuns, Pairs

BySeed = Mapping[int, TrialOutcome]  # results of the runs of one arm, in the order of its seeds


@dataclasses.dataclass(frozen=True)
class Match:
    """The runs of an arm and of the baseline that are compared.

    Attributes:
        seeds: seeds of the arm's runs.
        baseline_seeds: seeds of the baseline's runs.
        sample: their final losses.
        baseline_lost: seeds of further runs of the baseline that would have been compared, but have
            no loss, by :func:`lost_by_cause`.
        unpaired: seeds of the arm at which only the arm or only the baseline has a final loss.
    """

    seeds: tuple[int, ...]
    baseline_seeds: tuple[int, ...]
    sample: Sample
    baseline_lost: dict[str, list[int]]
    unpaired: tuple[int, ...] = ()


def match_by_seed(own: BySeed, base: BySeed, test: str) -> Match:
    """Pair the runs of an arm with those of the baseline that have the same seeds.

    Args:
        own: results of the arm's runs by seed.
        base: results of the baseline's runs.
        test: ``t`` or ``sign_flips``.
    """
    losses, reference = known_losses(own), known_losses(base)
    seeds = tuple(seed for seed in losses if seed in reference)
    differences = [losses[seed] - reference[seed] for seed in seeds]
    sample = FlippedPairs(differences) if test == SIGN_FLIPS else Pairs(differences)
    lost = lost_by_cause({seed: base[seed] for seed in own if seed in base})
    unpaired = tuple(seed for seed in own if (seed in losses) != (seed in reference))
    return Match(seeds, seeds, sample, lost, unpaired)


def match_replicate(own: BySeed, base: BySeed) -> Match:
    """Match the runs of the replicate with as many of the baseline, the first ones.

    Further runs of the baseline depend on the first look at other arms.

    Args:
        own: results of the replicate's runs by seed; none is a seed of the baseline.
        base: results of the baseline's runs.
    """
    return match_independent(own, dict(itertools.islice(base.items(), len(own))))


def match_independent(own: BySeed, base: BySeed) -> Match:
    """Match all runs of an arm with all of the baseline, unpaired.

    Args:
        own: results of the arm's runs by seed.
        base: results of the baseline's runs.
    """
    losses, reference = known_losses(own), known_losses(base)
    sample = IndependentRuns(list(losses.values()), list(reference.values()))
    return Match(tuple(losses), tuple(reference), sample, lost_by_cause(base))


def known_losses(outcomes: BySeed) -> dict[int, float]:
    """Return the final losses of the runs that have one, by seed."""
    return {seed: one.loss for seed, one in outcomes.items() if one.loss is not None}


def lost_by_cause(outcomes: BySeed) -> dict[str, list[int]]:
    """Return the seeds of the runs that ended without a loss that counts, by cause.

    Returns:
        The seeds of ``diverged`` and of ``failed to learn``, in this order; a cause without a run
        is left out.
    """
    lost: dict[str, list[int]] = {"diverged": [], FAILED_TO_LEARN: []}
    for seed, outcome in outcomes.items():
        if outcome.has_diverged:
            lost[FAILED_TO_LEARN if outcome.status == FAILED_TO_LEARN else "diverged"].append(seed)
    return {cause: seeds for cause, seeds in lost.items() if seeds}
