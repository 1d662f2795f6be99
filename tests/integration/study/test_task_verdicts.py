"""The shipped study of verdicts by tasks and probes, from its command to its tables."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from lmlab.train import main


@pytest.mark.long
def test_the_shipped_study_judges_arms_by_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    overrides = [
        "experiment=task_verdicts", "scale=smoke", "training.steps=6", "schedule.warmup_steps=1",
        "validation.every_steps=6", "validation.probes=12", "design.num_seeds=2",
        "~design.arms.learned", "validation.tasks.story_order.max_items=30",
        "data.num_train_documents=300", "data.num_valid_documents=60",
        "samples.max_new_tokens=2", "design.replicate=null",
    ]  # fmt: skip
    assert main(overrides) == 0
    told = capfd.readouterr().err
    assert "story_order (accuracy), 30 items: varies by 0.0913 over seeds (assumed" in told
    assert "This task cannot separate arms at this size" in told
    folder = tmp_path / "outputs" / "task_verdicts"
    with open(folder / "verdicts.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    found = {(row["metric"], row["arm"]): row for row in rows}
    names = ["loss", "probes.pronouns", "probes.plots.kl", "story_order", "story_order.margin"]
    assert list(found) == [(name, "nope") for name in names]
    assert {found[name, "nope"]["pairs"] for name in names} == {"2"}
    assert found["story_order", "nope"]["items"] == "30"
    assert "### probes.plots.kl" in (folder / "report.md").read_text()
