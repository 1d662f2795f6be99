"""What a report says of sequential looks; tests/unit/study/test_waves.py has how arms end."""

from __future__ import annotations

import dataclasses

from lmlab.design.job import Job
from lmlab.design.search import TrialOutcome
from lmlab.study.group_bounds import crossing_probability
from lmlab.study.wave_section import describe_ends, looks_rule
from tests.support.designs import a_design
from tests.support.simulated_verdicts import a_study


def test_the_stated_levels_have_the_stated_sum() -> None:
    text = looks_rule(a_design(look="sequential", max_seeds=6))
    assert "after 3 seeds" in text and "up to 6" in text and "all 4 looks" in text
    level = float(text.split("differences): ")[1].split("%")[0]) / 100
    total = crossing_probability((level,) * 4, (3, 4, 5, 6))
    assert abs(total - 0.05) < 3e-4


def test_futility_is_stated_where_it_may_happen() -> None:
    assert "below 5%" in looks_rule(a_design(look="sequential"))
    assert "below" not in looks_rule(a_design(look="sequential", futility=0.0))


def test_each_arm_is_listed_with_its_seeds_and_reason() -> None:
    study = a_study(2, lr="fixed", look="sequential", max_seeds=5, test="auto", futility=0.0)
    outcomes = {
        Job(arm, 3e-3, seed): TrialOutcome("done", 3.0 + shift + 1e-4 * seed**2 * (shift > 0), 9.0)
        for arm, shift in (("arm0", 0.0), ("arm1", 1.0))
        for seed in range(3)
    }
    (text,) = describe_ends(study, outcomes)
    assert "arm1 after 3 seeds (worse)" in text
    assert "arm2 after 3 seeds (undecided, since runs are missing, so it may go on)" in text
    assert study.comparison is not None
    timed = dataclasses.replace(study.comparison, max_minutes=5.0)
    (text,) = describe_ends(dataclasses.replace(study, comparison=timed), outcomes)
    assert "or design.max_minutes allow no more" in text
