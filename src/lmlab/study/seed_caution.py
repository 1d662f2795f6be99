"""A caution at verdicts whose seeds do not look alike, so that mean and spread mislead."""

from __future__ import annotations

from scipy import stats

from lmlab.study.statistics import INCONCLUSIVE
from lmlab.study.verdicts import OWN_RATE, Verdict

_MIN_PAIRS = 4  # of three, the test finds only that two are almost equal
_LEVEL = 0.01
_JUDGED = ("better", "worse", "no difference", INCONCLUSIVE)


def seed_caution(verdict: Verdict, test: str) -> str:
    """Return in what way the seeds of a verdict do not look alike; empty if they do.

    A few seeds far from all others are named. For the t test, which assumes normal differences,
    normality is tested (Shapiro and Wilk 1965), at a level that one arm in a hundred fails by
    chance.

    Args:
        verdict: the verdict on an arm.
        test: the test of the study, ``t`` or ``sign_flips``.
    """
    if verdict.at != OWN_RATE or verdict.label not in _JUDGED:
        return ""
    if verdict.agreement:  # an inconclusive arm states it as its detail
        told = verdict.label == INCONCLUSIVE
        return "" if told else f"the seeds do not look alike: {verdict.agreement}"
    differences = verdict.differences
    if test != "t" or len(differences) < _MIN_PAIRS or len(set(differences)) == 1:
        return ""
    p = float(stats.shapiro(differences).pvalue)
    if p >= _LEVEL:
        return ""
    return (
        "the seeds do not look alike: the differences are far from normal, which the t test "
        f"assumes (Shapiro-Wilk p = {p:.1g})"
    )
