"""A run by itself gets what the experiment file sets besides the study."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmlab.study import experiment_overrides as module
from lmlab.study.experiment_overrides import experiment_overrides


def test_settings_of_shipped_experiments_are_spelled_out() -> None:
    assert experiment_overrides("lr_transfer") == ["schedule.warmup=0.1", "model.num_layers=2"]
    assert experiment_overrides("ablate_norm") == []
    assert experiment_overrides("none_of_this_name") == []


def test_options_of_groups_and_nested_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(
        "defaults:\n  - override /design: ladder\n  - override /model/norm: post\n  - _self_\n"
        "study: mine\ndesign: {lr: fixed}\nladder: {sizes: 4}\n"
        "optim: {betas: [0.9, 0.95]}\nruntime: {compile: false}\nparent: null\n"
    )
    monkeypatch.setattr(module, "conf_folder", lambda: tmp_path)
    assert experiment_overrides("mine") == [
        "model/norm=post", "optim.betas=[0.9, 0.95]", "runtime.compile=false", "parent=null",
    ]  # fmt: skip
