"""Which runs of two groups form pairs, and the verdict on them."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pytest
from found_runs import write_found_run, write_found_runs
from scipy import stats

from lmlab.study.exploratory.group_verdict import pairs_seeds, shared_seeds
from lmlab.study.exploratory.run_group import read_group
from lmlab.study.exploratory.write_comparison import Choices, compare_runs
from lmlab.study.named_runs import find_run_folders

A = {0: 3.00, 1: 3.02, 2: 2.99, 3: 3.01}
B = {0: 2.90, 1: 2.93, 2: 2.88, 3: 2.91}
POST = ["model.norm=post"]


def result(first: str, second: str, **choices: Any) -> dict[str, Any]:
    found: dict[str, Any] = compare_runs(first, second, Choices(**choices))["result"]
    return found


def test_equal_seeds_are_paired(tmp_path: Path) -> None:
    a, b = write_found_runs(tmp_path, "a", A), write_found_runs(tmp_path, "b", B, POST)
    found = result(a, b, test="t")
    by_scipy = stats.ttest_rel(list(B.values()), list(A.values()))
    assert found["p"] == pytest.approx(by_scipy.pvalue)
    interval = by_scipy.confidence_interval(0.95)
    assert (found["low"], found["high"]) == pytest.approx((interval.low, interval.high))
    assert found["difference"] == pytest.approx(statistics.fmean(B.values()) - 3.005)
    assert (found["verdict"], found["test"], found["paired_seeds"]) == ("better", "t", [0, 1, 2, 3])
    assert found["exploratory"] and found["settings"] == [
        ["model.norm", "PreRMSNorm", "PostRMSNorm"]
    ]
    assert result(b, a, test="t")["verdict"] == "worse"  # the first group is the reference


def test_other_seeds_are_compared_unpaired(tmp_path: Path) -> None:
    a = write_found_runs(tmp_path, "a", A)
    b = write_found_runs(tmp_path, "b", {7: 2.90, 9: 2.93, 30: 2.88}, POST)
    found = result(a, b)
    by_scipy = stats.ttest_ind([2.90, 2.93, 2.88], list(A.values()), equal_var=False)
    assert found["p"] == pytest.approx(by_scipy.pvalue)
    assert (found["test"], found["paired_seeds"], found["verdict"]) == ("welch", [], "better")


def test_seeds_that_only_one_group_has_are_left_out(tmp_path: Path) -> None:
    a = write_found_runs(tmp_path, "a", A)
    b = write_found_runs(tmp_path, "b", {2: 2.88, 3: 2.91, 4: 2.95}, POST)
    content = compare_runs(a, b, Choices())
    assert content["result"]["paired_seeds"] == [2, 3]
    told = "Left out, because only one group has a result: seeds 0, 1, 4."
    assert told in content["sections"][0]["notes"]


def test_pinned_seeds_form_no_pairs(tmp_path: Path) -> None:
    """Equal numbers do not make equal batches where the seed of the data is another."""
    a = write_found_runs(tmp_path, "a", A)
    b = write_found_runs(tmp_path, "b", B, [*POST, "seeds.data=50"])
    assert result(a, b)["test"] == "welch"


def test_one_run_of_one_group_is_no_sample(tmp_path: Path) -> None:
    a = write_found_runs(tmp_path, "a", A)
    b = write_found_run(tmp_path, "b", 9, 2.0, POST)
    content = compare_runs(a, str(b.path), Choices())
    assert content["result"]["verdict"] == "none"
    assert "One run of B cannot tell" in " ".join(content["headline"])


def test_lost_runs_decide_nothing_quietly(tmp_path: Path) -> None:
    a, b = write_found_runs(tmp_path, "a", A), write_found_runs(tmp_path, "b", B, POST)
    write_found_run(tmp_path, "b", 4, 3.0, POST, status="failed")
    content = compare_runs(a, b, Choices())
    assert content["result"]["verdict"] == "better"
    assert "seed4 is failed and does not count" in str(content["sections"])
    write_found_run(tmp_path, "a", 5, 3.0, status="diverged")
    write_found_run(tmp_path, "b", 5, 1.0, POST)
    content = compare_runs(a, b, Choices())
    assert content["result"]["verdict"] not in ("better", "worse")
    assert "A diverged with seed 5" in str(content["sections"])
    assert result(b, a)["verdict"] == "diverged"


def test_a_margin_allows_no_difference(tmp_path: Path) -> None:
    a, b = write_found_runs(tmp_path, "a", A), write_found_runs(tmp_path, "b", B, POST)
    assert result(a, b, margin=0.5)["verdict"] == "no difference"


@pytest.mark.parametrize(
    ("a", "b", "is_paired"),
    [
        ([0], [0], True),
        ([0], [1], False),
        ([0, 1, 2], [0], True),  # one pair, and too few runs for anything else
        ([0, 1, 2, 3], [2, 3, 4, 5], True),
        ([0, 1, 2, 3, 4], [3, 4, 5, 6, 7], False),  # most runs would be left out
        ([0, 1, 2], [2, 3, 4], False),
    ],
)
def test_pairs_depend_on_seeds_alone(
    tmp_path: Path, a: list[int], b: list[int], is_paired: bool
) -> None:
    folders = [write_found_runs(tmp_path, str(len(seeds)) + name, dict.fromkeys(seeds, 3.0))
               for name, seeds in (("A", a), ("B", b))]  # fmt: skip
    first, second = (read_group(name, find_run_folders([folder]))
                     for name, folder in zip("AB", folders, strict=True))  # fmt: skip
    assert pairs_seeds(first, second) is is_paired
    assert set(shared_seeds(first, second)) == set(a) & set(b)
