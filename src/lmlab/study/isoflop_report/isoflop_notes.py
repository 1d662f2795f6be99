"""How best sizes are found, what they do not show, and the terms of the report."""

from __future__ import annotations

from lmlab.design.ladder import FIXED, Ladder
from lmlab.design.met_budgets import MAX_OFF
from lmlab.study.ladder_report.notes import FLOPS_COUNTED, entropy_notes, seeds_text
from lmlab.study.statistics import level_name


def isoflop_rule(ladder: Ladder) -> list[str]:
    """State how best sizes and their laws are found."""
    level = level_name(1 - ladder.alpha)
    return [
        "At each budget, a parabola in the logarithm of the parameters is fitted to the mean "
        "losses of the sizes (Hoffmann et al. 2022, approach 2), with a cubic term about its "
        "minimum that all budgets share. The best size is at the minimum.",
        f"Intervals have the level {level}, without correction for several budgets. That of a "
        "best size is Fieller's: it carries the noise of the seeds, what losses are off the "
        "curve, and what is not known of the cubic term.",
        "Where the lowest loss is at an end of the sizes, that size is a bound. Where the losses "
        "do not show that there is a minimum, the best size is not located. Power laws go through "
        "the located best sizes only, weighted by their errors.",
        f"A size is left out of a budget that its whole steps miss by more than {MAX_OFF:.0%}, "
        "and where no run has a final loss.",
        "No arm is compared with another, so that there are no gains and no verdicts.",
    ]


def isoflop_limits(ladder: Ladder) -> list[str]:
    """State what the study does not show: its declared limitations, and those of its design."""
    lines = [
        *ladder.limits,
        f"The study has {len(ladder.rungs)} budgets and {len(ladder.arms)} sizes with "
        f"{seeds_text(ladder)} each. Its laws hold for the shapes, the batch size and the text of "
        f"these runs; nothing is said about more than {ladder.max_factor:g} times the compute of "
        "the outermost best sizes.",
        "Small models are mostly embeddings, so that exponents in all parameters may differ from "
        "those of large models.",
    ]
    if ladder.lr == FIXED:
        lines.append(
            "Learning rates are not tuned. If the configured rate suits some sizes or lengths of "
            "training better than others, the best size is biased towards them."
        )
    else:
        lines.append(
            "Learning rates are chosen by the loss on the same validation text that is reported "
            "(with other seeds). Weight decay, warm-up and schedule are not tuned."
        )
    return [*lines, *entropy_notes(ladder), FLOPS_COUNTED]


def isoflop_glossary(ladder: Ladder) -> list[list[str]]:
    """Return the terms of the report, each with its meaning."""
    terms = {
        "arm": "One of the sizes that the study trains.",
        "asymptote E": "The loss that a power law approaches for unlimited compute, in nats per "
        "token.",
        "best size": "The number of parameters with the lowest loss for a budget, N*; D* is the "
        "number of training tokens that the budget leaves for it.",
        "bound": "What is known of a best size that is beyond the sizes of the study: at least, or "
        "at most, the stated number.",
        "budget": "An amount of training compute, r1 being the smallest. Larger models are trained "
        "on fewer tokens of it.",
        "cell": "A size at a budget, such as r1-" + next(iter(ladder.arms)) + ".",
        "exponent": "A quantity with the exponent a grows by a factor of 10^a per tenfold compute.",
        "parameters": "All entries of weights, embeddings included; tied ones count once.",
        "sd": "Standard deviation over seeds.",
    }
    return [[term, terms[term]] for term in sorted(terms, key=str.lower)]
