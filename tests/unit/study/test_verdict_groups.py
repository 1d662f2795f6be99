"""Arms grouped by verdict: by the loss, and by a metric whose items are too few."""

from __future__ import annotations

import dataclasses

import pytest
from task_studies import task_manifest, write_task_study

from lmlab.study.run_records import Study, load_study
from lmlab.study.verdict_groups import grouped_arms, replicate_result, unit_of
from lmlab.study.verdict_section import judge_all
from lmlab.study.verdicts import Verdict


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return load_study(
        write_task_study(task_manifest(), tmp_path_factory.mktemp("tasks"), {"post": -0.5})
    )


@pytest.fixture(scope="module")
def verdicts(study: Study) -> dict[tuple[str, str], Verdict]:
    return {(one.metric.name, one.arm): one for one in judge_all(study)}


def test_a_group_is_told_with_its_unit(
    study: Study, verdicts: dict[tuple[str, str], Verdict]
) -> None:
    one = verdicts["order.margin", "post"]
    (line,) = grouped_arms(study, [one])
    assert line.startswith("Worse than rms, in nats per item: post by 0.")
    assert unit_of(one, study) == "nats per item"
    assert unit_of(verdicts["loss", "post"], study) == "nats per token"


def test_arms_that_need_items(study: Study, verdicts: dict[tuple[str, str], Verdict]) -> None:
    one = verdicts["order.margin", "none"]
    assert one.comparison is not None
    short = dataclasses.replace(one.comparison, needs_items=True, more_seeds=None, agreeing=None)
    found = dataclasses.replace(one, comparison=short)
    (line,) = grouped_arms(study, [found])
    assert line.startswith("Inconclusive (more items needed): none (score ")
    assert found.detail == ": more items needed, since more seeds alone would not decide"
    seeds = dataclasses.replace(short, needs_items=False, more_seeds=3)
    (line,) = grouped_arms(study, [dataclasses.replace(one, comparison=seeds)])
    assert line.startswith("Inconclusive (more seeds needed): none (score ")


def test_what_a_replicate_shows(study: Study, verdicts: dict[tuple[str, str], Verdict]) -> None:
    again = verdicts["order.margin", "again"]
    assert replicate_result(again) == "no difference found, as expected"
    wide = dataclasses.replace(again, margin=0.5, label="no difference")
    assert replicate_result(wide) == "no difference, as expected"
    false = dataclasses.replace(again, label="better")
    assert "check the study" in replicate_result(false)
