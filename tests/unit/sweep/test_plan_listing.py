"""The plan says what would happen to each run, and writes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from designs import a_design
from recording_executor import write_metadata, write_run

from lmlab.config.compose import compose
from lmlab.design.comparison import Comparison
from lmlab.design.manifest import Manifest
from lmlab.runs import auto_settings
from lmlab.study.sweep_folder import SweepFolder
from lmlab.sweep.plan_listing import PlannedSchedule, print_plan
from lmlab.sweep.run_data_cache import RunDataCache


@pytest.fixture(scope="module")
def data() -> RunDataCache:
    return RunDataCache()


def planned(
    overrides: list[str], root: Path, data: RunDataCache, design: Comparison | None
) -> PlannedSchedule:
    names = {"a": "model.norm=rms", "b": "model.norm=post"}
    arms = [compose([*overrides, norm, "study=s", f"output_root={root}"]).as_dict()
            for norm in names.values()]  # fmt: skip
    given = [["reuse=true", f"samples.prompts=[{norm[-4:]}]", norm] for norm in names.values()]
    manifest = Manifest("s", "", arms, list(names), given, design)
    folder = SweepFolder.of(manifest, root)
    return PlannedSchedule(manifest, folder, data, auto_settings.build_device)


def test_each_run_is_listed_with_what_would_happen_to_it(
    overrides: list[str], tmp_path: Path, data: RunDataCache, capsys: pytest.CaptureFixture[str]
) -> None:
    design = a_design(lr="fixed", num_seeds=3, extra_seeds=2, at_baseline_lr=False)
    first = planned(overrides, tmp_path, data, design)
    print_plan(first)
    text = capsys.readouterr().out
    assert "0-2" in text and "model.norm=post" in text
    assert "s: 6 runs: 6 to train; an arm without a verdict then gets 2 more seeds" in text
    assert not (tmp_path / "s").exists(), "a plan writes nothing but prepared texts"

    complete, interrupted = first.runs[0], first.runs[1]
    write_run(complete, 9.0, 2.0)
    write_metadata(interrupted)
    (interrupted.folder.checkpoints / "step_00000015").mkdir(parents=True)
    print_plan(planned([*overrides, "notes=planned", "tags=[x]"], tmp_path, data, design))
    text = capsys.readouterr().out
    assert "1 complete, 1 to resume at step 15, 1 to train" in text
    assert "s: 6 runs: 1 complete, 1 to resume, 4 to train" in text
    assert complete.folder.annotations() == (None, []), "a plan changes no notes"


def test_the_plan_of_a_search_says_that_more_runs_follow(
    overrides: list[str], tmp_path: Path, data: RunDataCache, capsys: pytest.CaptureFixture[str]
) -> None:
    print_plan(planned(overrides, tmp_path, data, a_design(num_seeds=1, num_tuning_seeds=1)))
    text = capsys.readouterr().out
    assert "the search for learning rates adds runs as results arrive" in text
    assert "1000" in text and "0.00949" in text


def test_a_plain_sweep_shows_the_overrides_that_its_jobs_do_not_share(
    overrides: list[str], tmp_path: Path, data: RunDataCache, capsys: pytest.CaptureFixture[str]
) -> None:
    print_plan(planned(overrides, tmp_path, data, None))
    text = capsys.readouterr().out
    assert "samples.prompts=[post] model.norm=post" in text and "reuse=true" not in text
    assert text.endswith("s: 2 runs: 2 to train\n")


def test_runs_that_differ_in_a_pinned_seed_are_counted_and_told_apart(
    overrides: list[str], tmp_path: Path, data: RunDataCache, capsys: pytest.CaptureFixture[str]
) -> None:
    arms = [
        compose([*overrides, f"seeds.init={seed}", "arm=a", f"output_root={tmp_path}"]).as_dict()
        for seed in (0, 1)
    ]
    manifest = Manifest("s", "", arms, ["a", "a"], [[], []])
    folder = SweepFolder.of(manifest, tmp_path)
    schedule = PlannedSchedule(manifest, folder, data, auto_settings.build_device)
    print_plan(schedule)
    text = capsys.readouterr().out
    assert "s: 2 runs: 2 to train" in text
    assert "0, 0 with seeds.init=1" in text
    assert [run.name for run in schedule.runs] == ["a/seed0", "a/seed0 (seeds.init=1)"]


def test_one_run_in_two_arms_is_counted_once(
    overrides: list[str], tmp_path: Path, data: RunDataCache, capsys: pytest.CaptureFixture[str]
) -> None:
    same = compose([*overrides, f"output_root={tmp_path}"]).as_dict()
    manifest = Manifest("s", "", [same | {"arm": arm} for arm in "ab"], ["a", "b"], [[], []])
    folder = SweepFolder.of(manifest, tmp_path)
    schedule = PlannedSchedule(manifest, folder, data, auto_settings.build_device)
    print_plan(schedule)
    assert "s: 1 run: 1 to train" in capsys.readouterr().out
