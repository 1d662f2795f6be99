"""A study that is repeated with a further arm uses its runs again, and counts the arm."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from study_fixtures import write_simulated_study

from lmlab.design.comparison import Comparison
from lmlab.design.manifest import Manifest
from lmlab.study.added_arms import describe_added_arms
from lmlab.study.earlier_looks import count_earlier_looks
from lmlab.study.run_records import load_study
from lmlab.study.sweep_folder import SweepFolder
from lmlab.study.verdicts import judge
from lmlab.study.write_report import write_report


def with_arms(manifest: Manifest, *names: str) -> Manifest:
    """The study with some of its arms, the baseline rms first."""
    assert manifest.comparison is not None
    kept = [manifest.names.index(name) for name in names]
    arms = {name: manifest.comparison.arms[name] for name in names}
    return dataclasses.replace(
        manifest,
        comparison=dataclasses.replace(manifest.comparison, arms=arms, replicate=None),
        **{key: [getattr(manifest, key)[index] for index in kept]
           for key in ("arms", "names", "overrides")},
    )  # fmt: skip


def counted(manifest: Manifest, root: Path) -> Comparison:
    found = count_earlier_looks(manifest, SweepFolder.of(manifest, root)).comparison
    assert found is not None
    return found


def test_an_added_arm_is_known_and_changes_no_id(manifest: Manifest, tmp_path: Path) -> None:
    first, second = with_arms(manifest, "rms", "post"), with_arms(manifest, "rms", "post", "none")
    assert counted(second, tmp_path).added_arms == []  # nothing was judged before
    write_simulated_study(first, tmp_path, 10_000)
    design = counted(second, tmp_path)
    assert (design.earlier_arms, design.added_arms, design.dropped_arms) == (["post"], ["none"], [])
    assert design.earlier_looks == []  # as many seeds: no further look
    extended = dataclasses.replace(second, comparison=design)
    assert extended.id == second.id != first.id
    assert Manifest.from_dict(extended.as_dict()) == extended
    assert second.comparison is not None and "earlier_arms" not in second.comparison.as_dict()
    # The same arms again are none that were added; one that was left out is named.
    assert counted(first, tmp_path) == first.comparison
    design = counted(with_arms(manifest, "rms", "none"), tmp_path)
    assert (design.added_arms, design.dropped_arms) == ([], [])  # no arm in common: another study


def test_dropped_arms_are_named(manifest: Manifest, tmp_path: Path) -> None:
    write_simulated_study(with_arms(manifest, "rms", "post", "none"), tmp_path, 10_000)
    design = counted(with_arms(manifest, "rms", "post"), tmp_path)
    assert (design.added_arms, design.dropped_arms) == ([], ["none"])
    (line,) = describe_added_arms(design)
    assert line.startswith("1 arm that the study judged before is no longer in it: none.")


def test_an_unfinished_study_has_judged_nothing(manifest: Manifest, tmp_path: Path) -> None:
    write_simulated_study(with_arms(manifest, "rms", "post"), tmp_path, 5)
    assert counted(with_arms(manifest, "rms", "post", "none"), tmp_path).added_arms == []


def test_only_the_new_arm_needs_runs(manifest: Manifest, tmp_path: Path) -> None:
    first, second = with_arms(manifest, "rms", "post"), with_arms(manifest, "rms", "post", "none")
    study = load_study(write_simulated_study(first, tmp_path, 10_000))
    needed = second.required_jobs(study.outcomes)
    assert {job.arm for job in needed if job not in study.outcomes} == {"none"}
    for job in study.outcomes:  # the runs of before have the same configurations, hence folders
        assert second.job_config(job) == first.job_config(job)


def test_the_report_counts_the_arm_and_says_so(manifest: Manifest, tmp_path: Path) -> None:
    first, second = with_arms(manifest, "rms", "post"), with_arms(manifest, "rms", "post", "none")
    before = load_study(write_simulated_study(first, tmp_path, 10_000))
    second = dataclasses.replace(second, comparison=counted(second, tmp_path))
    folder = write_simulated_study(second, tmp_path, 10_000)
    after = load_study(folder)
    assert before.manifest is not None and after.manifest is not None
    (alone,) = judge(before.manifest, before.outcomes)
    post, none = judge(after.manifest, after.outcomes)
    assert alone.differences == pytest.approx(post.differences)  # the same pairs of runs
    assert alone.comparison is not None
    assert alone.comparison.adjusted_p == alone.comparison.p
    smaller = min((post.comparison, none.comparison), key=lambda one: one.p)  # type: ignore[union-attr]
    assert smaller is not None and smaller.adjusted_p == pytest.approx(2 * smaller.p)
    write_report(folder)
    for name in ("report.md", "report.html"):
        text = " ".join((folder / name).read_text("utf-8").split())
        assert "1 arm was added after the study had judged 1 other arm: none." in text
        assert "is tested at a level of 2.5%, not 5%" in text
    shutil.rmtree(folder)


def test_levels_account_for_metrics(manifest: Manifest) -> None:
    assert manifest.comparison is not None
    design = dataclasses.replace(
        manifest.comparison, metrics=["loss", "blimp.accuracy"], earlier_arms=["post"]
    )
    (line,) = describe_added_arms(design)
    assert "a level of 1.25%, not 2.5%" in line
    assert describe_added_arms(manifest.comparison) == []
