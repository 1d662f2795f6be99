"""The headline of a factorial study, from finished, unfinished and failed ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from factorial_studies import a_factorial, a_loss, a_study

from lmlab.design.job import Job
from lmlab.study.factorial_report.factorial_content import build_factorial


def headline(
    loss: Any = None, status: Callable[[Job], str] = lambda job: "done", **changes: Any
) -> str:
    found = a_study(a_factorial(**changes), loss, status)
    return "\n".join(build_factorial(found)["headline"])


def test_a_finished_study() -> None:
    text = headline()
    assert "a lowers the loss by 0." in text
    assert "a x b: worse together. The effect of a is -0.20" in text
    assert "without b and" in text
    assert "Too small to matter (within \u00b10.02): c," in text
    assert "Lowest mean loss:" in text and "chosen from 16 cells" in text
    assert "a and b would have been kept, with -0.40" in text


def test_an_unfinished_study_says_what_is_there() -> None:
    text = headline(status=lambda job: "done" if job.seed >= 1000 else "failed")
    assert "0 of 16 cells have their judged runs." in text
    assert "lowers" not in text
    partly = headline(status=lambda job: "failed" if job.seed == 3 else "done")
    assert "effects rest on 3 seeds so far." in partly


def test_lost_seeds_withhold_all_verdicts() -> None:
    text = headline(status=lambda job: "diverged" if job.arm == "a" and job.seed == 1 else "done")
    assert (
        "No verdicts, because runs of these cells have no final loss: a (diverged with seed 1)"
        in text
    )
    assert "lowers the loss" not in text


def test_an_untrainable_cell_is_named() -> None:
    text = headline(status=lambda job: "diverged" if job.arm == "b" else "done", lr="search")
    assert "Diverged at every learning rate tried: b." in text


def test_one_seed_names_what_stands_out() -> None:
    text = headline(num_seeds=1)
    assert "By Lenth's method, these effects stand out from all others: a, b, d, a x b." in text
    nothing = headline(a_loss(lambda on: 3.0), num_seeds=1)
    assert "no effect stands out" in nothing


def test_nothing_that_helps() -> None:
    text = headline(a_loss(lambda on: 3 + 0.1 * len(on)))
    assert "No combination has a lower mean loss than the baseline." in text
    assert "no factor would have been kept" in text


def test_the_check_of_the_best_cell() -> None:
    good = headline(a_loss(lambda on: 3 - 0.2 * (list(on) == ["a"])))
    assert "is the best of the three that check it (2 seeds)" in good
    bad = headline(a_loss(lambda on: 3 - 0.9 * (list(on) == ["a"]),
                          lambda on: 3e-3 * (4.0 if list(on) == ["a"] else 1.0)))  # fmt: skip
    assert "may not be the best: the loss at" in bad
