"""The notes that say how to read verdicts and wall times."""

from __future__ import annotations

import dataclasses
import math
import statistics
from pathlib import Path

from lmlab.study.report_notes import time_notes, verdict_notes
from lmlab.study.run_records import load_study
from lmlab.study.verdict_section import judge_all
from lmlab.study.verdicts import OWN_RATE


def test_wall_times_of_equal_work_are_told_to_vary(finished_study: Path) -> None:
    done = [record for record in load_study(finished_study).records if record.state == "done"]

    def with_seconds(*seconds: float) -> list[str]:
        return time_notes(
            [
                dataclasses.replace(
                    done[0],
                    status=done[0].status | {"seconds": one},
                    validation=[row | {"seconds": 0.0} for row in done[0].validation],
                    train=[],
                )
                for one in seconds
            ]
        )

    assert with_seconds(100.0, 119.0) == []
    (note,) = with_seconds(100.0, 130.0)
    assert "up to a factor of 1.3" in note


def test_arms_with_fewer_seeds_name_the_mean_that_they_are_compared_with(
    finished_study: Path,
) -> None:
    study = load_study(finished_study)
    verdict = next(v for v in judge_all(study) if v.arm == "post")
    base = {
        record.job.seed: record.outcome.loss
        for record in study.records
        if record.job.arm == "rms" and record.job.lr == verdict.baseline_lr
    }
    pairs = verdict.pairs[:3]
    expected = statistics.fmean(loss for seed in pairs if (loss := base[seed]) is not None)
    shown = dataclasses.replace(verdict, pairs=pairs, baseline_seeds=pairs)
    notes = verdict_notes(study, [shown])
    assert f"(mean {expected:.4f} over 3)" in notes[0]


def test_notes_tell_of_two_looks_and_of_levels_only_where_they_are(
    finished_study: Path,
) -> None:
    study = load_study(finished_study)
    assert study.manifest is not None and study.manifest.comparison is not None
    once = verdict_notes(study, judge_all(study))
    assert not any("twice" in note for note in once)
    assert any(
        note.startswith("The confidence differs by row of the first table:") for note in once
    )
    own = [verdict for verdict in judge_all(study) if verdict.at == OWN_RATE]
    assert any("differs by row: it" in note for note in verdict_notes(study, own))
    design = dataclasses.replace(study.manifest.comparison, extra_seeds=3)
    twice = dataclasses.replace(
        study, manifest=dataclasses.replace(study.manifest, comparison=design)
    )
    notes = verdict_notes(twice, judge_all(twice))
    assert any("account for testing twice (after 5 and 8 seeds)" in note for note in notes)


def test_two_intervals_are_explained_where_a_row_shows_two(finished_study: Path) -> None:
    study = load_study(finished_study)
    verdict = next(v for v in judge_all(study) if v.arm == "post")
    assert verdict.comparison is not None
    for low, is_told in ((-0.1, True), (-math.inf, False)):
        found = dataclasses.replace(
            verdict.comparison, low=low, high=-low, equivalence=(low, -low), confidence=0.975
        )
        shown = dataclasses.replace(verdict, label="inconclusive", comparison=found)
        notes = verdict_notes(study, [shown])
        assert any("two intervals" in note for note in notes) == is_told
