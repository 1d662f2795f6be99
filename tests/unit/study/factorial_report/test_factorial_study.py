"""A factorial study read from its records: complete seeds, lost cells, the checked rate."""

from __future__ import annotations

import pytest
from factorial_studies import a_factorial, a_loss, a_study

from lmlab.design.job import Job


def test_a_finished_study_has_all_its_effects() -> None:
    found = a_study(a_factorial())
    assert found.seeds == [0, 1, 2, 3]
    assert len(found.effects) == 15
    by_name = {found.design.label(one.effect): one for one in found.effects}
    # a and b lower the loss by 0.2 each, but not both: -0.1 on average, and +0.1 together.
    assert by_name["a"].estimate == pytest.approx(-0.1, abs=0.01)
    assert by_name["a x b"].estimate == pytest.approx(0.1, abs=0.01)
    assert by_name["d"].estimate == pytest.approx(0.05, abs=0.01)
    assert found.lost == {} and found.untrainable == []
    assert found.lenth is not None and found.lenth.error < 0.01


def test_a_lost_seed_of_one_cell_leaves_out_the_seed_and_all_verdicts() -> None:
    lost = a_study(
        a_factorial(),
        status=lambda job: "diverged" if job.arm == "a-b-c" and job.seed == 2 else "done",
    )
    assert lost.seeds == [0, 1, 3]
    assert lost.lost == {"a-b-c": {"diverged": [2]}}
    assert lost.one_at_a_time is None


def test_missing_runs_are_not_lost_ones() -> None:
    missing = a_study(
        a_factorial(), status=lambda job: "failed" if job.arm == "c" and job.seed == 0 else "done"
    )
    assert missing.seeds == [1, 2, 3]
    assert missing.lost == {} and missing.best is None and missing.check is None


def test_an_untrainable_cell_leaves_no_effects() -> None:
    found = a_study(
        a_factorial(lr="search"), status=lambda job: "diverged" if job.arm == "a-b" else "done"
    )
    assert found.untrainable == ["a-b"]
    assert found.effects == [] and found.lenth is None


def test_the_check_compares_the_predicted_rate_with_its_neighbours() -> None:
    # The best rate of the best cell is far from what main effects predict.
    def rate(on: list[str]) -> float:
        return 3e-3 * (4.0 if list(on) == ["a"] else 1.0)

    found = a_study(a_factorial(), a_loss(lambda on: 3 - 0.9 * (list(on) == ["a"]), rate))
    check = found.check
    assert check is not None and check.cell == "a" and check.seeds == 2
    assert check.rate == pytest.approx(3e-3, rel=0.1)
    best = min(check.means, key=lambda one: check.means[one])
    assert best > check.rate
    assert check.regret == pytest.approx(check.means[check.rate] - check.means[best])
    assert found.model is not None


def test_searched_and_fixed_rates_need_no_model() -> None:
    for lr in ("search", "fixed"):
        found = a_study(a_factorial(lr=lr))
        assert found.model is None and found.check is None
        assert found.best is not None


def test_earlier_looks_of_the_comparison_widen_the_rule() -> None:
    found = a_study(a_factorial())
    assert found.manifest.comparison is not None
    found.manifest.comparison.earlier_looks.append(3)
    assert found.rule.looks == (3, 4)


def test_jobs_of_the_study_are_those_of_its_cells() -> None:
    found = a_study(a_factorial())
    assert found.manifest.has(Job("a-b", 1e-3, 0))
    assert not found.manifest.has(Job("a-z", 1e-3, 0))
