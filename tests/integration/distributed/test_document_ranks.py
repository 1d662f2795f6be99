"""Ranks that share a model separate documents as one process does."""

from __future__ import annotations

from pathlib import Path

import pytest
from launching import Launcher, assert_same_curve


@pytest.mark.long
def test_ranks_that_shard_the_model_separate_documents(settings: list[str], tmp_path: Path) -> None:
    trained = []
    for ranks, parallel in ((1, "none"), (2, "fsdp")):
        root = tmp_path / parallel
        root.mkdir()
        words = [
            *settings, "data.windows=document", "training.steps=8", "training.diagnose_every=null",
            f"runtime.parallel={parallel}", f"output_root={root / 'outputs'}",
        ]  # fmt: skip
        trained.append(Launcher(root)(words, ranks))
        assert set(trained[-1].codes) == {0}
    single, sharded = (one.run for one in trained)
    assert sharded.meta()["sessions"][0]["parallel"] == "fsdp"
    assert "documents" in sharded.meta()["identity"]
    assert_same_curve(sharded, single)
