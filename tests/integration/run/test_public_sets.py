"""A run on a public set: one command from a repository to a model, with the commit recorded."""

from __future__ import annotations

import random
from pathlib import Path

import hub_server
import pytest
from record_files import json_lines

from lmlab.config.compose import compose
from lmlab.runs.execute import execute


@pytest.mark.long
def test_a_run_records_the_commit_of_its_text(
    overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))
    chance = random.Random(0)
    words = [f"word{n}" for n in range(200)]
    texts = [" ".join(chance.choices(words, k=15)) for _ in range(400)]
    kept = [w for w in overrides if not w.startswith(("data", "output_root"))]
    with hub_server.running("a/b", {"data/train-0.jsonl": json_lines(texts)}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        asked_for = [
            *kept, "data=hub", "data.repo=a/b", "data.files=data/*.jsonl",
            "data.valid_fraction=0.1", f"output_root={tmp_path / 'outputs'}",
            "training.steps=5", "validation.every_steps=5",
        ]  # fmt: skip
        meta = execute(compose(asked_for)).run.meta()
        assert meta["corpus"] == "b"
        assert meta["origin"]["commit"] == server.commit
        assert meta["origin"]["train"] == ["data/train-0.jsonl"]
        asked = len(server.asked)
        assert execute(compose(asked_for)).run.meta() == meta
        assert len(server.asked) == asked
