"""Weights of a mixture are axes of a sweep: an arm for each value."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from mixture_texts import mixture
from warm import run_command


@pytest.mark.long
def test_weights_are_axes(overrides: list[str], tmp_path: Path) -> None:
    words = mixture(tmp_path / "texts", overrides)
    planned = run_command(
        "train", "-m", *words, "data.weights.news=1,2.5", "data.sources.code.tokens=500,1000",
        "hydra.launcher.plan_only=true", cwd=tmp_path, env=dict(os.environ),
    )  # fmt: skip
    assert planned.returncode == 0, planned.stderr
    shown = planned.stdout + planned.stderr
    assert "runs: 4 runs: 4 to train" in shown
    for tokens in (500, 1000):
        for weight in (1, 2.5):
            assert f"data.sources.code.tokens-{tokens}+data.weights.news-{weight}+" in shown
