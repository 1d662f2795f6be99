"""How the verdicts of a ladder are made, what they do not show, and the terms of its report."""

from __future__ import annotations

from lmlab.console.formatting import format_count
from lmlab.design.ladder import FIXED, TRANSFER, Ladder
from lmlab.study.ladder_report.ladder_study import LadderStudy
from lmlab.study.ladder_report.wording import factor_text
from lmlab.study.ladders.size_axis import size_axis
from lmlab.study.statistics import level_name
from lmlab.study.verdicts import arm_phrase

FLOPS_COUNTED = (
    "FLOPs count matrix products, two per multiplication, over the full square of attention, and "
    "three times the forward pass for training; the optimizer is left out."
)


def decision_rule(ladder: Ladder) -> list[str]:
    """State how the verdicts of a ladder are made."""
    level, alpha = level_name(1 - ladder.alpha), f"{100 * ladder.alpha:g}%"
    family = ladder.family
    holm = (
        f" Over the {family} arms, the probability of one or more false claims of a difference is "
        f"at most {alpha} (Holm's method)."
        if family > 1
        else f" The probability of a false claim of a difference is at most {alpha}."
    )
    margin = f"{factor_text(1 / (1 + ladder.margin))} to {factor_text(1 + ladder.margin)}"
    return [
        "A power law L(C) = E + A C^-a is fitted to the losses of each arm, with one E for all. "
        "A gain is read from the losses of the rungs and interpolated between them, never beyond "
        "the lowest or the highest rung; where it would lie beyond, the report gives a bound, "
        "called at least or at most.",
        f"Intervals of gains have the level {level}. They carry the noise of the seeds, paired "
        "where arms share them, the uncertainty of learning rates and of E, and the misfit between "
        "rungs. The level is that of one interval, without correction for several arms or rungs.",
        "A straight line is fitted to the logarithms of the gains against the logarithm of the "
        f"compute. The verdict is about its values at the lowest and the highest rung.{holm} "
        "Whether the gain changes is tested only for an arm that differs.",
        "Grows, shrinks: the slope of the line is not zero, and the gain moves away from 1 or "
        "towards it. Vanishes: it shrinks to within the margin. Reverses: the line is certainly "
        "above 1 at one end and below 1 at the other. Holds: it differs at the highest rung, and "
        f"the change over the ladder is certainly less than {100 * ladder.steady:g}% of the "
        "logarithm of the gain.",
        f"No difference: at both ends, the {level} interval of the line lies within the margin, "
        f"{margin}, even where it excludes 1.",
        "Cannot tell: none of these is certain enough. A rung or a number of seeds is then named "
        f"that would decide with {100 * ladder.power:g}% power if the line were the true one.",
        "No verdict: fewer than two rungs have a gain, or the mean loss of the arm or of the "
        "baseline does not fall from one rung to the next.",
        f"Nothing is said about compute beyond {ladder.max_factor:g} times that of the highest "
        "rung.",
    ]


def ladder_limits(found: LadderStudy) -> list[str]:
    """State what a ladder does not show: its declared limitations, and those of its design."""
    ladder = found.ladder
    lines = [
        *ladder.limits,
        f"The ladder has {len(ladder.rungs)} rungs with {seeds_text(ladder)} each. Results may "
        "differ beyond the highest rung, at another number of tokens per parameter, and on other "
        "text.",
        "A gain compares arms at the shape, the number of tokens and the batch size of each rung; "
        "another choice of these may favour another arm.",
    ]
    if ladder.lr == FIXED:
        lines.append(
            "Learning rates are not tuned. A gain that changes from rung to rung may be due to a "
            "rate that suits one size better than another."
        )
    elif ladder.lr == TRANSFER:
        lines.append(
            "Learning rates of the higher rungs are predicted from the lower ones; the bracketing "
            "check of the highest rung bounds what they cost there only."
        )
    if ladder.lr != FIXED:
        lines.append(
            "Learning rates are chosen by the loss on the same validation text that is reported "
            "(with other seeds), so final losses may be slightly too low for new text. Weight "
            "decay, warm-up and schedule are not tuned."
        )
    return [
        *lines,
        *entropy_notes(ladder),
        f"{FLOPS_COUNTED} Gains in wall-clock time include it.",
    ]


def seeds_text(ladder: Ladder) -> str:
    """Return the number of seeds of a rung: ``3 seeds``, ``3 to 5 seeds``."""
    seeds = [ladder.seeds(rung) for rung in range(len(ladder.rungs))]
    least, most = min(seeds), max(seeds)
    return format_count(least, "seed") if least == most else f"{least} to {most} seeds"


def entropy_notes(ladder: Ladder) -> list[str]:
    """State what the asymptote is bounded by, where the entropy of the text is known."""
    if not ladder.entropy:
        return []
    return [
        f"E is taken to be at least {ladder.entropy:g} nats per token, the stated entropy of the "
        "text."
    ]


def ladder_glossary(ladder: Ladder) -> list[list[str]]:
    """Return the terms of the report of a ladder, each with its meaning."""
    name = arm_phrase(ladder.baseline)
    terms = {
        "arm": "One of the configurations that the ladder compares.",
        "asymptote E": "The loss that a power law approaches for unlimited compute, in nats per "
        "token. Short ladders tell little about it.",
        "baseline": "The arm that all others are compared with.",
        "bound": "What is known of a gain where neither curve reaches the loss of the other within "
        "the ladder: at least, or at most, the stated factor.",
        "cell": "An arm on a rung, such as r1-" + next(iter(ladder.arms)) + ".",
        "exponent a": "How fast the loss above E falls: tenfold compute divides it by 10^a.",
        "gain": f"Compute-equivalent gain: how many times the training compute {name} needs for "
        "the loss of the arm. 1 is no difference; below 1, the arm is worse.",
        "judged": "Said of a run that counts for the results of its cell. Runs that search for a "
        "learning rate do not; they use other seeds.",
        "margin": f"The largest gain that counts as none: {1 + ladder.margin:g}, or 1 divided by "
        "it.",
        "misfit": "How far the losses of the rungs are from a power law beyond the noise of the "
        "seeds, as a standard deviation.",
        "parameters in blocks": "Entries of the matrices in the blocks: without embeddings, head "
        "and norms.",
        "per tenfold compute": "The factor by which the trend of the gain changes when the compute "
        "grows by a factor of ten.",
        "rung": "One size of the ladder: a model, its number of tokens, and its training compute.",
        "sd": "Standard deviation over seeds.",
    }
    if ladder.sealed:
        terms["seal"] = (
            "A forecast of the highest rung, written with its time and a hash before any run of "
            "that rung started."
        )
    if ladder.replicate is not None:
        terms["replicate"] = (
            "The baseline, trained again with other seeds on every rung. Its true gain is 1, so "
            "that other results show what the study would report of an arm without effect."
        )
    if ladder.lr != FIXED:
        terms |= {
            "drift": "The factor by which the best learning rate changes when "
            f"{size_axis(ladder.rungs).phrase}.",
            "peak lr": "The peak learning rate: the highest one of a run, at the end of its "
            "warm-up.",
            "regret": "Loss at a learning rate above the loss at the best one, in nats per token.",
        }
    if ladder.lr == TRANSFER:
        terms["bracket"] = (
            "Runs of the highest rung at the transferred learning rate and half a grid step to "
            "either side."
        )
    return [[term, terms[term]] for term in sorted(terms, key=str.lower)]
