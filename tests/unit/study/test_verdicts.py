"""Which runs a verdict pairs, what counts as diverged or missing, and how it is worded."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import pytest
from designs import a_design
from scipy import stats

from lmlab.design.comparison import FIRST_REPLICATE_SEED
from lmlab.design.job import Job
from lmlab.design.manifest import Manifest
from lmlab.design.search import TrialOutcome
from lmlab.study.sequential_test import Rule
from lmlab.study.statistics import compare
from lmlab.study.t_test import Pairs
from lmlab.study.verdicts import (
    BASELINE_RATE,
    OWN_RATE,
    Verdict,
    baseline_losses,
    judge,
    undecided_arms,
)

LR = 0.003


def a_study(**changes: object) -> Manifest:
    design = a_design(**({"lr": "fixed", "at_baseline_lr": False} | changes))
    content = {"optim": {"lr": LR}, "seed": 0, "seeds": {}}
    return Manifest(
        "study",
        "",
        [content] * len(design.arms),
        list(design.arms),
        [[]] * len(design.arms),
        design,
    )


def outcomes_of(
    arm: str, losses: Iterable[float | None], first: int = 0
) -> dict[Job, TrialOutcome]:
    """One outcome per seed; None for a run that diverged."""
    return {
        Job(arm, LR, first + seed): TrialOutcome("diverged" if loss is None else "done", loss, 7.0)
        for seed, loss in enumerate(losses)
    }


BASE = outcomes_of("a", [3.00, 3.01, 2.99, 3.02, 2.98])


def test_differences_are_paired_by_seed() -> None:
    # Seeds differ by far more than the arms: only pairs show the difference.
    base = outcomes_of("a", [1.0, 2.0, 3.0, 4.0, 5.0])
    arm = outcomes_of("b", [1.10, 2.11, 3.09, 4.10, 5.10])
    (verdict,) = judge(a_study(), base | arm)
    assert verdict.label == "worse"
    assert verdict.comparison is not None
    assert verdict.comparison.difference == pytest.approx(0.1)
    assert verdict.mean == pytest.approx(3.1)


def test_a_missing_run_drops_its_pair_only() -> None:
    arm = outcomes_of("b", [3.1, 3.2, 2.9, 3.0, 3.3])
    del arm[Job("b", LR, 1)]
    (verdict,) = judge(a_study(), BASE | arm)
    assert verdict.comparison is not None and verdict.comparison.seeds == 4
    expected = (0.1 - 0.09 - 0.02 + 0.32) / 4  # seeds 0, 2, 3, 4
    assert verdict.comparison.difference == pytest.approx(expected)
    assert verdict.losses[1] is None


def test_one_diverged_seed_makes_the_verdict() -> None:
    (verdict,) = judge(a_study(), BASE | outcomes_of("b", [2.0, 2.0, None, 2.0, 2.0]))
    assert (verdict.label, verdict.diverged) == ("diverged", 1)


def test_a_finished_run_without_a_finite_loss_counts_as_diverged() -> None:
    arm = outcomes_of("b", [3.0] * 5) | {Job("b", LR, 2): TrialOutcome("done", None, 7.0)}
    assert judge(a_study(), BASE | arm)[0].label == "diverged"


@pytest.mark.parametrize(("number", "label"), [(0, "missing"), (1, "missing"), (2, "inconclusive")])
def test_fewer_than_two_pairs_are_missing(number: int, label: str) -> None:
    arm = outcomes_of("b", [3.4, 2.7][:number])
    (verdict,) = judge(a_study(), BASE | arm)
    assert verdict.label == label


def test_a_replicate_is_compared_unpaired() -> None:
    # By position, all differences are 0.001; seeds that are not shared make no pairs.
    study = a_study(replicate="again", arms={"a": []})
    losses = [3.001, 3.011, 2.991, 3.021, 2.981]
    (verdict,) = judge(study, BASE | outcomes_of("again", losses, FIRST_REPLICATE_SEED))
    assert verdict.is_replicate and verdict.comparison is not None
    assert verdict.comparison.seeds == 5
    assert verdict.comparison.difference == pytest.approx(0.001)
    base = [one.loss for one in BASE.values()]
    expected = stats.ttest_ind(losses, base, equal_var=False).pvalue
    assert verdict.comparison.p == pytest.approx(expected)
    assert verdict.baseline_seeds == (0, 1, 2, 3, 4)
    assert verdict.differences == pytest.approx([loss - 3.0 for loss in losses])


def test_a_replicate_is_compared_with_the_planned_seeds_of_the_baseline() -> None:
    """Added seeds of the baseline depend on the first look at other arms."""
    study = a_study(replicate="again", extra_seeds=3)
    again = outcomes_of("again", [3.0, 3.1, 2.9, 3.05, 2.95], FIRST_REPLICATE_SEED)
    arm = outcomes_of("b", [3.3, 2.8, 3.1, 2.7, 3.2])
    added = outcomes_of("a", [7.0, 7.0, 7.0], 5)
    *_, verdict = judge(study, BASE | again | arm | added)
    assert verdict.is_replicate and verdict.comparison is not None
    assert verdict.comparison.difference == pytest.approx(0.0)
    assert verdict.baseline_seeds == (0, 1, 2, 3, 4)


def test_a_replicate_does_not_count_in_the_family() -> None:
    arm = outcomes_of("b", [3.02, 3.01, 3.00, 3.04, 2.98])
    again = outcomes_of("again", [3.0] * 5, FIRST_REPLICATE_SEED)
    without = judge(a_study(), BASE | arm)[0].comparison
    with_replicate = judge(a_study(replicate="again"), BASE | arm | again)[0].comparison
    assert without is not None and with_replicate is not None
    assert with_replicate.adjusted_p == without.adjusted_p


def test_only_arms_open_at_their_own_rate_get_a_second_look() -> None:
    study = a_study(arms={"a": [], "b": [], "c": []}, extra_seeds=3)
    noisy = outcomes_of("b", [3.3, 2.8, 3.1, 2.7, 3.2])
    clear = outcomes_of("c", [3.5, 3.51, 3.49, 3.52, 3.48])
    assert undecided_arms(study, BASE | noisy | clear) == {"b"}


def test_extra_seeds_count_once_they_are_finished() -> None:
    study = a_study(extra_seeds=3)
    arm = outcomes_of("b", [3.3, 2.8, 3.1, 2.7, 3.2])
    assert len(judge(study, BASE | arm)[0].losses) == 5
    extra = outcomes_of("a", [3.0], 5) | outcomes_of("b", [3.1], 5)
    assert len(judge(study, BASE | arm | extra)[0].losses) == 6


def test_at_the_baselines_rate_the_replicate_is_left_out() -> None:
    study = a_study(replicate="again")
    found = judge(study, BASE, BASELINE_RATE)
    assert [(verdict.arm, verdict.at, verdict.lr) for verdict in found] == [
        ("b", BASELINE_RATE, LR)
    ]


def test_without_a_baseline_there_are_losses_but_no_verdicts() -> None:
    study = a_study()
    assert study.comparison is not None
    study = dataclasses.replace(
        study, comparison=dataclasses.replace(study.comparison, baseline=None)
    )
    assert judge(study, BASE) == []
    assert baseline_losses(study, BASE) == [3.00, 3.01, 2.99, 3.02, 2.98]


@pytest.mark.parametrize(
    ("pairs", "detail"),
    [
        ([0.0, 1e-6, 0.0, -1e-6], " larger than 0.0001"),  # never rounded to zero
        ([0.5], ": at least 3 more seeds needed"),
        ([0.5, -0.2, 0.1], ": about {} more seeds needed"),
        ([1.0, 1.1, 0.9, 1.0], ", by {} or more"),
    ],
)
def test_a_verdict_states_its_bound_or_the_seeds_needed(pairs: list[float], detail: str) -> None:
    found = compare([Pairs(pairs)], Rule(seeds=4))[0]
    verdict = Verdict("b", OWN_RATE, LR, LR, found.verdict, found, {})
    number = found.more_seeds if found.verdict == "inconclusive" else f"{found.low:.4f}"
    assert verdict.detail == detail.format(number)


def test_a_single_seed_is_named_in_the_singular() -> None:
    found = dataclasses.replace(compare([Pairs([0.5])], Rule(seeds=2))[0], more_seeds=1)
    verdict = Verdict("b", OWN_RATE, LR, LR, "inconclusive", found, {})
    assert verdict.detail == ": at least 1 more seed needed"


def test_a_baseline_that_diverged_is_not_the_fault_of_the_arm() -> None:
    """The pairs that remain are a selection: no verdict and no interval rest on them."""
    base = outcomes_of("a", [None, 3.01, None, 3.02, None])
    arm = outcomes_of("b", [3.2, 3.211, 3.2, 3.22, 3.2])
    (verdict,) = judge(a_study(extra_seeds=3), base | arm)
    assert (verdict.label, verdict.comparison) == ("inconclusive", None)
    assert verdict.detail == ": the baseline diverged with seeds 0, 2, 4"
    assert undecided_arms(a_study(extra_seeds=3), base | arm) == frozenset()


def test_a_run_that_collapsed_counts_as_diverged() -> None:
    arm = outcomes_of("b", [3.0, 3.02, 5.97, 3.01, 2.99])
    (verdict,) = judge(a_study(), BASE | arm)
    assert (verdict.label, verdict.diverged, verdict.collapsed) == ("diverged", 1, (2,))
    assert verdict.losses[2] is None and verdict.mean == pytest.approx(3.005)
    assert verdict.shown_label == "failed to learn"
    mixed = arm | {Job("b", LR, 0): TrialOutcome("diverged", None, 7.0)}
    (verdict,) = judge(a_study(), BASE | mixed)
    assert (verdict.shown_label, verdict.diverged, verdict.collapsed) == ("diverged", 2, (2,))
    base = outcomes_of("a", [3.0, 3.02, 5.97, 3.01, 2.99])
    (verdict,) = judge(a_study(), base | outcomes_of("b", [3.0, 3.1, 3.0, 3.0, 3.0]))
    assert (verdict.label, verdict.baseline_lost) == ("inconclusive", {"failed to learn": [2]})
    assert verdict.detail == ": the baseline failed to learn with seed 2"
    assert baseline_losses(a_study(), base) == [3.0, 3.02, 3.01, 2.99]


def test_runs_that_collapsed_to_different_losses_are_all_found() -> None:
    """The losses of runs that collapsed differ among themselves by more than from the others."""
    for lost in ([5.2, 7.5], [5.2, 6.4, 9.0]):
        arm = outcomes_of("b", [3.0, 3.01, 3.02, *lost])
        study = a_study(num_seeds=3 + len(lost))
        assert judge(study, BASE | arm)[0].collapsed == tuple(range(3, 3 + len(lost)))


@pytest.mark.parametrize(
    "losses",
    [
        [3.0, 3.1, 3.4, 4.9, 5.1],  # no gap
        [4.8, 4.9, 5.1, 5.2, 4.85],  # the arm as a whole learns little: that is a verdict
        [3.0, 3.01, 2.99, 4.9, 3.0],  # more than half of the progress: an outlier, not a collapse
    ],
)
def test_no_other_spread_is_a_collapse(losses: list[float]) -> None:
    (verdict,) = judge(a_study(), BASE | outcomes_of("b", losses))
    assert verdict.collapsed == () and verdict.diverged == 0


def test_comparisons_at_the_baselines_rate_are_descriptive() -> None:
    """The verdicts of a study are one family, for which alone alpha holds."""
    study = a_study(arms={"a": [], "b": [], "c": []})
    arms = outcomes_of("b", [3.2, 3.211, 3.19, 3.22, 3.18]) | outcomes_of("c", [3.0] * 5)
    found = judge(study, BASE | arms, BASELINE_RATE)
    assert [(one.label, one.detail) for one in found] == [("descriptive", "")] * 2
    own = judge(study, BASE | arms)
    assert own[0].label == "worse" and own[0].comparison and found[0].comparison
    assert own[0].comparison.confidence == pytest.approx(0.975)
    assert found[0].comparison.confidence == 0.95, "not corrected for comparing several arms"
    lost = judge(study, BASE | outcomes_of("b", [None] * 5), BASELINE_RATE)
    assert lost[0].label == "diverged"
    base = outcomes_of("a", [3.0, None, 2.99, 3.02, 2.98])
    for arm in (arms, outcomes_of("b", [3.3, 2.8, 3.1, 2.7, 3.2])):
        (found, _) = judge(study, base | arm, BASELINE_RATE)
        assert (found.label, found.comparison) == ("descriptive", None), "whatever is left shows"
        assert found.detail == ": the baseline diverged with seed 1"


def test_arms_stay_undecided_while_the_second_look_goes_on() -> None:
    """A study that is interrupted at its second look goes on with the same arms."""
    study = a_study(extra_seeds=3)
    arm = outcomes_of("b", [3.3, 2.8, 3.1, 2.7, 3.2])
    assert undecided_arms(study, BASE | arm) == {"b"}
    equal = outcomes_of("a", [3.0, 3.0], 5) | outcomes_of("b", [3.0, 3.0], 5)
    clear = outcomes_of("a", [3.0, 3.0], 5) | outcomes_of("b", [9.0, 9.0], 5)
    for extra in (equal, clear):
        assert undecided_arms(study, BASE | arm | extra) == {"b"}


def test_the_sign_flip_test_judges_where_the_design_says_so() -> None:
    study = a_study(num_seeds=8, test="sign_flips")
    base = outcomes_of("a", [3.0] * 8)
    (verdict,) = judge(study, base | outcomes_of("b", [3.01, 3.5, 3.02, 3.01, 3.9, 3.1, 3.1, 3.2]))
    assert verdict.label == "worse" and verdict.comparison
    assert verdict.comparison.p == 2 / 2**8
    (by_t,) = judge(
        a_study(num_seeds=8), base | outcomes_of("b", [3.01, 3.5, 3.02, 3.01, 3.9, 3.1, 3.1, 3.2])
    )
    assert by_t.label == "inconclusive"
