"""The level at which each idea of a stream is tested, so that an error rate holds over all of them.

The ideas are not known beforehand, nor is their number, and they share the runs of a baseline, so
that their evidence is dependent. Two rules hold all the same. Idea t is kept if its e-value reaches
1 / alpha[t], where w[1], w[2], ... are weights with sum 1 and

- ``fdr``: alpha[t] = alpha w[t] (K + 1), where K counts the ideas kept before t. The expected share
  of false ones among all kept ideas is at most alpha, whatever the dependence (e-LOND: Xu and
  Ramdas 2024, "Online multiple testing with e-values", section 3).
- ``fwer``: alpha[t] = alpha w[t]. The probability of one or more false keeps is at most alpha
  (alpha spending: Foster and Stine 2008, J. R. Stat. Soc. B 70(2), without their rewards).

LORD and SAFFRON give larger levels, but need p-values that are independent.

The weights are w[t] = t^-1.2 / zeta(1.2). A slower decline favours later ideas: that of idea 200 is
1/577 of that of the first one, and would be 1/4,800 with an exponent of 1.6.
"""

from __future__ import annotations

from collections.abc import Callable

from scipy import special

_EXPONENT = 1.2
FDR, FWER = "fdr", "fwer"


def weight(number: int) -> float:
    """Return the weight of idea ``number``, counted from 1; all weights together have sum 1."""
    return float(number**-_EXPONENT / special.zeta(_EXPONENT))


def e_lond_level(alpha: float, number: int, keeps: int) -> float:
    """Return the level of idea ``number`` by e-LOND; see the module.

    Args:
        alpha: bound of the false discovery rate.
        number: of the idea, from 1.
        keeps: number of ideas kept before. It may be counted when the idea begins or later: ideas
            that are kept stay kept, so that the proof holds for either.
    """
    return alpha * weight(number) * (keeps + 1)


def spending_level(alpha: float, number: int, keeps: int) -> float:
    """Return the level of idea ``number`` by alpha spending, which keeps do not change."""
    del keeps
    return alpha * weight(number)


LEVELS: dict[str, Callable[[float, int, int], float]] = {FDR: e_lond_level, FWER: spending_level}
