"""A study that is repeated with more seeds counts its earlier reports as looks."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from study_fixtures import write_simulated_study

from lmlab.design.manifest import Manifest
from lmlab.study.earlier_looks import count_earlier_looks
from lmlab.study.sweep_folder import SweepFolder


def with_design(manifest: Manifest, **changes: Any) -> Manifest:
    assert manifest.comparison is not None
    return dataclasses.replace(
        manifest, comparison=dataclasses.replace(manifest.comparison, **changes)
    )


def looks(manifest: Manifest, root: Path) -> list[int]:
    found = count_earlier_looks(manifest, SweepFolder.of(manifest, root)).comparison
    assert found is not None
    return found.earlier_looks


def test_a_repetition_with_more_seeds_is_another_look(manifest: Manifest, tmp_path: Path) -> None:
    write_simulated_study(manifest, tmp_path, 10_000)
    longer = with_design(manifest, num_seeds=8)
    assert looks(longer, tmp_path) == [5]
    counted = count_earlier_looks(longer, SweepFolder.of(longer, tmp_path))
    assert counted.id == longer.id, "the folder of a sweep does not depend on earlier ones"
    assert Manifest.from_dict(counted.as_dict()) == counted
    # The same study again, or with fewer seeds, is no new look.
    assert looks(manifest, tmp_path) == []
    assert looks(with_design(manifest, num_seeds=3), tmp_path) == []
    # A third one counts both.
    write_simulated_study(with_design(manifest, num_seeds=7), tmp_path, 10_000)
    assert looks(longer, tmp_path) == [5, 7]


def test_other_comparisons_are_no_looks(manifest: Manifest, tmp_path: Path) -> None:
    write_simulated_study(manifest, tmp_path, 10_000)
    longer = with_design(manifest, num_seeds=8)
    assert looks(with_design(longer, metric="bits_per_byte"), tmp_path) == []
    assert looks(with_design(longer, baseline="post"), tmp_path) == []
    one_arm = dataclasses.replace(with_design(longer, arms={"rms": [], "post": []}),
                                  names=["rms", "post"], arms=manifest.arms[:2])  # fmt: skip
    assert looks(one_arm, tmp_path) == [5], "one of the arms has been judged"


def test_settings_that_change_no_result_hide_no_look(manifest: Manifest, tmp_path: Path) -> None:
    """The repetition takes the runs of the first study, so their results count."""
    write_simulated_study(manifest, tmp_path, 10_000)
    longer = with_design(manifest, num_seeds=8)

    def with_settings(section: str, **changes: Any) -> Manifest:
        arms = [arm | {section: arm[section] | changes} for arm in longer.arms]
        return dataclasses.replace(longer, arms=arms)

    assert looks(with_settings("training", log_every=7), tmp_path) == [5]
    assert looks(with_settings("logger", project="other"), tmp_path) == [5]
    assert looks(with_settings("checkpoint", every_steps=9), tmp_path) == [5]
    assert looks(with_settings("training", steps=7), tmp_path) == []
    assert looks(with_settings("seeds", data=7), tmp_path) == []


def test_a_study_that_was_never_finished_was_not_judged(manifest: Manifest, tmp_path: Path) -> None:
    write_simulated_study(manifest, tmp_path, 20)
    assert looks(with_design(manifest, num_seeds=8), tmp_path) == []
