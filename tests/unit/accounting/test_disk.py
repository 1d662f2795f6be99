"""Predicted disk space compared with the folders of real runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmlab.accounting.disk import run_folder_bytes
from lmlab.accounting.model_counts import count_model, count_optimizer
from lmlab.config.compose import compose
from lmlab.preflight.machine_resources import size_of
from lmlab.runs.execute import execute


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["checkpoint.keep_last=1", "optim=sgd"],
        ["checkpoint.every_steps=100", "checkpoint.keep_steps=[3,12]"],
    ],
)
def test_a_run_folder_is_as_large_as_predicted(
    tmp_path: Path, overrides: list[str], words: list[str]
) -> None:
    chosen = [*overrides, "model.d_model=128", "model.num_layers=3", *words]
    config = compose(chosen)
    content = config.as_dict()
    model = count_model(content["model"])
    left, most = run_folder_bytes(content, model, count_optimizer(content["optim"], model))
    size = size_of(execute(config).run.path)
    assert left == pytest.approx(size, rel=0.05)
    assert most >= left
