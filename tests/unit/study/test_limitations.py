"""What a report says that a study does not show, on recorded runs."""

from __future__ import annotations

from pathlib import Path

from lmlab.study.limitations import limits
from lmlab.study.run_records import load_study

EXPERIMENTS = Path(__file__).parents[3] / "experiments"


def test_a_search_on_the_reported_text_and_what_flops_omit_are_limitations() -> None:
    for name, is_search in (("ablations", True), ("policies", False)):
        text = " ".join(limits(load_study(EXPERIMENTS / name / "records")))
        assert ("same validation text that is reported" in text) == is_search
        assert "FLOPs count matrix products" in text
        assert "weight decay, warm-up and schedule are not tuned" in text
