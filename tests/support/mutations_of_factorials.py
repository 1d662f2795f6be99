"""Believable bugs in factorial designs and in stacks that are taken apart.

``python tests/mutations.py`` tries them.
"""

# ruff: noqa: E501 -- the code that is replaced is on one line
from __future__ import annotations

from mutation import Mutation

MUTATIONS = [
    Mutation(
        "signs of words without their length",
        "design/two_level.py",
        "return (-1) ** (_size(word) + flips)",
        "return (-1) ** flips",
        "tests/unit/design/test_two_level.py",
    ),
    Mutation(
        "a fraction of any aberration",
        "design/two_level.py",
        "return basic + min(itertools.combinations(candidates, num_factors - num_basic), key=pattern)",
        "return basic + next(itertools.combinations(candidates[::-1], num_factors - num_basic))",
        "tests/unit/design/test_two_level.py",
    ),
    Mutation(
        "main effects confounded in the searched cells",
        "design/two_level.py",
        "if 0 in known or len(set(known)) < len(known):",
        "if 0 in known:",
        "tests/unit/design/test_two_level.py",
    ),
    Mutation(
        "factors that set one setting",
        "design/factor_levels.py",
        "        if shared:\n",
        "        if False:\n",
        "tests/unit/design/test_factor_levels.py",
    ),
    Mutation(
        "rates fitted before all searches have ended",
        "design/factorial_rates.py",
        "        elif not manifest.is_untrainable(cell, outcomes):\n            return None\n    return rates",
        "    return rates",
        "tests/unit/design/test_factorial_rates.py",
    ),
    Mutation(
        "a cell that lost a seed is the best",
        "design/factorial_rates.py",
        "if len(losses) == len(jobs):",
        "if losses:",
        "tests/unit/design/test_factorial_rates.py",
    ),
    Mutation(
        "effects of half their size",
        "study/factorials/effects.py",
        "return losses @ signs.T * (2 / design.num_runs)",
        "return losses @ signs.T / design.num_runs",
        "tests/unit/study/factorials/test_effects.py",
    ),
    Mutation(
        "interactions of more factors share the level",
        "study/factorials/effects.py",
        "tested = design.low_order_effects",
        "tested = design.effects",
        "tests/unit/study/factorials/test_effects.py",
    ),
    Mutation(
        "noise from all effects",
        "study/factorials/lenth.py",
        "small = [size for size in sizes if size < _TRIMMED * first]",
        "small = sizes",
        "tests/unit/study/factorials/test_lenth.py",
    ),
    Mutation(
        "verdicts on a selection of seeds",
        "study/factorial_report/effect_rows.py",
        "    if found.lost:\n",
        "    if False:\n",
        "tests/unit/study/factorial_report/test_effect_rows.py",
    ),
    Mutation(
        "a sum over seeds that a part lost",
        "study/stack_report/stack_study.py",
        "if len(self.seeds) < 2 or self.lost_arms:",
        "if len(self.seeds) < 2:",
        "tests/unit/study/stack_report/test_stack_study.py",
    ),
    Mutation(
        "a stack without its sum of parts",
        "study/stack_report/stack_study.py",
        "gaps = [a - b for a, b in zip(parts, whole, strict=True)]",
        "gaps = parts",
        "tests/unit/study/stack_report/test_stack_study.py",
    ),
]
