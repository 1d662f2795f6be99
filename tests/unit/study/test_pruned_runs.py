"""The sentence on what searches left out, on the recorded study of ablations."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from lmlab.study.pruned_runs import describe_pruning
from lmlab.study.run_records import load_study

RECORDED = Path(__file__).parents[3] / "experiments" / "ablations"


def test_the_report_counts_the_runs_that_searches_left_out() -> None:
    study = load_study(RECORDED)
    assert describe_pruning(study) == []
    assert study.manifest is not None and study.manifest.comparison is not None
    pruned = dataclasses.replace(study.manifest.comparison, prune="always")
    manifest = dataclasses.replace(study.manifest, comparison=pruned)
    (text,) = describe_pruning(dataclasses.replace(study, manifest=manifest))
    assert "43 runs of 25,800 updates fewer in all" in text
    assert "pos-nope 3 (at 0.000949, 0.003 and 0.03)" in text
    assert "norm-post 1 (at 0.000949)" in text, "its basin is skewed"
