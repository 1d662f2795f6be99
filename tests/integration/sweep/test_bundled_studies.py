"""The studies that ship with lmlab compare fairly at every scale for a laptop."""

from __future__ import annotations

from pathlib import Path

import pytest
from sweep_fixtures import Sweeps


@pytest.mark.long
@pytest.mark.parametrize("scale", ["smoke", "cpu"])
def test_batch_sizes_are_compared_at_equal_tokens(tmp_path: Path, scale: str) -> None:
    sweeps = Sweeps(tmp_path, [f"scale={scale}", f"output_root={tmp_path / 'outputs'}"])
    printed = sweeps.run("experiment=batch_size", "hydra.launcher.plan_only=true")
    assert "batch_size: about" in printed
