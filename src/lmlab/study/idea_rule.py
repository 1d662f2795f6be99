"""Keep an idea, drop it, or say that the runs cannot tell: decided anew after each pair.

An improvement is the final loss of the baseline minus that of the idea with the same seed. The
evidence that the mean improvement is above zero, and that it is below the margin, are e-processes
(:func:`lmlab.study.e_process.one_sided_e`), which hold whenever they are looked at. After each pair
the first of these that applies ends the trial:

- *keep*: the evidence of an improvement reaches 1 / level, the level that the stream grants.
- *drop*: the evidence of an improvement below the margin reaches 1 / ``drop_level``. To drop an
  idea is no discovery, so this costs nothing of the level of the stream: an idea that improves the
  loss by the margin or more is dropped with a probability of at most ``drop_level``.
- *cannot tell*: the pairs are used up; or it is futile to add more, because neither answer is in
  sight even if the true improvement is two standard errors above, or below, the one observed. To
  stop for futility cannot raise the number of false keeps, since ideas are kept by evidence alone.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from lmlab.study.e_process import one_sided_e

KEEP, DROP, CANNOT_TELL = "keep", "drop", "cannot tell"
_OPEN = "open"
ANSWERS = (KEEP, DROP, CANNOT_TELL)
Array = np.ndarray[Any, np.dtype[Any]]

_LEAST_PAIRS = 3  # fewer say too little about the spread to call a trial futile
_HOPE = 2.0  # standard errors by which the true improvement may differ from the observed one


@dataclasses.dataclass(frozen=True)
class IdeaRule:
    """How the trials of a stream are decided.

    Attributes:
        margin: smallest improvement of interest, in the unit of the metric.
        max_pairs: pairs after which a trial ends.
        drop_level: probability that an idea which improves by the margin is dropped.
    """

    margin: float
    max_pairs: int
    drop_level: float = 0.05


@dataclasses.dataclass(frozen=True)
class Decision:
    """Where a trial stands.

    Attributes:
        answer: ``keep``, ``drop`` or ``cannot tell``; None while it is open.
        pairs: the pairs that the answer rests on.
        keep_evidence: e-value against "no improvement", after the last of these pairs.
        drop_evidence: e-value against "an improvement of the margin or more".
        is_futile: whether it ended before the last pair although neither evidence suffices.
    """

    answer: str | None
    pairs: int
    keep_evidence: float
    drop_evidence: float
    is_futile: bool = False


def decide(improvements: Array, level: float, rule: IdeaRule) -> Decision:
    """Decide a trial by the pairs so far, in the order of their seeds.

    The answer is that of the first pair at which one applies, so that pairs beyond it, for example
    of a baseline that other ideas needed longer, change nothing.

    Args:
        improvements: shape (n,); no pairs are possible.
        level: the level of the idea in its stream.
        rule: how trials are decided.
    """
    if not len(improvements):
        return Decision(None, 0, 1.0, 1.0)
    answers, pairs = decide_all(np.asarray(improvements)[None], np.array([level]), rule)
    number = int(pairs[0])
    shown = np.asarray(improvements[:number])
    keep, drop = float(one_sided_e(shown)[-1]), float(one_sided_e(rule.margin - shown)[-1])
    answer = None if answers[0] == _OPEN else str(answers[0])
    is_futile = answer == CANNOT_TELL and number < rule.max_pairs
    return Decision(answer, number, keep, drop, is_futile)


def decide_all(improvements: Array, levels: Array, rule: IdeaRule) -> tuple[Array, Array]:
    """Decide many trials at once.

    Args:
        improvements: shape (trials, n), with n of at most ``rule.max_pairs``.
        levels: shape (trials,).
        rule: how trials are decided.

    Returns:
        The answers, ``open`` for a trial that needs further pairs, and the number of pairs that
        each rests on; both of shape (trials,).
    """
    x = np.asarray(improvements, dtype=np.float64)[:, : rule.max_pairs]
    number = x.shape[1]
    keeps = one_sided_e(x) >= 1 / np.asarray(levels)[:, None]
    drops = one_sided_e(rule.margin - x) >= 1 / rule.drop_level
    ends = np.zeros_like(keeps)
    for pairs in range(_LEAST_PAIRS, min(number, rule.max_pairs - 1) + 1):
        ends[:, pairs - 1] = _is_futile(x[:, :pairs], levels, rule)
    if number == rule.max_pairs:
        ends[:, -1] = True
    stops = keeps | drops | ends
    last = np.where(stops.any(axis=1), stops.argmax(axis=1), number - 1)
    rows = np.arange(len(x))
    choices = [keeps[rows, last], drops[rows, last], ends[rows, last]]
    return np.select(choices, list(ANSWERS), _OPEN), last + 1


def _is_futile(x: Array, levels: Array, rule: IdeaRule) -> Array:
    """Whether no answer is in sight: neither by hopeful further pairs, nor by equally bad ones."""
    pairs = x.shape[1]
    left = rule.max_pairs - pairs
    mean, sd = x.mean(axis=1, keepdims=True), x.std(axis=1, ddof=1, keepdims=True)
    # Further pairs are spread as those so far.
    expected = np.concatenate([x, mean + sd * (1 - 2 * (np.arange(left) % 2))], axis=1)
    error = sd / np.sqrt(pairs)
    better, worse = expected + _HOPE * error, expected - _HOPE * error
    can_keep = one_sided_e(better)[:, pairs:].max(axis=1) >= 1 / np.asarray(levels)
    can_drop = one_sided_e(rule.margin - worse)[:, pairs:].max(axis=1) >= 1 / rule.drop_level
    return np.asarray(~can_keep & ~can_drop)
