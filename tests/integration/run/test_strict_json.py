"""Every JSON file that a diverged run leaves can be read by strict readers."""

from __future__ import annotations

import contextlib
import io
import json
import math
import re
from pathlib import Path

import pytest

from lmlab import report, status
from lmlab.config.compose import compose
from lmlab.outputs.entries import find_runs
from lmlab.run_folder import RunFolder
from lmlab.runs.execute import execute
from lmlab.runs.run_summary import describe

DIVERGING = ["optim.lr=1e9", "training.grad_clip_norm=null", "arm=wild"]


def refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


@pytest.fixture(scope="module")
def diverged(tmp_path_factory: pytest.TempPathFactory, texts: tuple[Path, Path]) -> RunFolder:
    """A run whose loss becomes NaN."""
    root = tmp_path_factory.mktemp("outputs")
    small = [
        f"output_root={root}", "data=text", f"data.train={texts[0]}", f"data.valid={texts[1]}",
        "model.vocab_size=280", "model.context_length=16", "model.d_model=16",
        "model.num_layers=2", "model.num_heads=2", "training.steps=20", "training.batch_size=4",
        "training.log_every=1", "validation.every_steps=1", "logger=none", "runtime.device=cpu",
        "training.divergence_margin=inf", "schedule.warmup_steps=0", "samples.prompts=[]",
    ]  # fmt: skip
    return execute(compose([*small, *DIVERGING])).run


def test_every_file_of_a_diverged_run_is_strict_json(diverged: RunFolder) -> None:
    files = [path for path in diverged.path.rglob("*") if path.suffix in (".json", ".jsonl")]
    assert len(files) >= 4
    for path in files:
        lines = path.read_text("utf-8")
        for text in lines.splitlines() if path.suffix == ".jsonl" else [lines]:
            json.loads(text, parse_constant=refuse)
    raw = [json.loads(line) for line in (diverged.path / "metrics.jsonl").read_text().splitlines()]
    assert any(row["loss"] is None and row["nonfinite"]["loss"] in ("nan", "inf") for row in raw)
    assert any(not math.isfinite(row["loss"]) for row in diverged.rows("train"))


BARE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def as_earlier_versions_wrote(line: str) -> str:
    row = json.loads(line)
    names = row.pop("nonfinite", {})
    text = json.dumps({key: f"<{names[key]}>" if key in names else v for key, v in row.items()})
    return re.sub(r'"<(-?\w+)>"', lambda found: BARE[found[1]], text)


def as_others_write(line: str) -> str:
    row = json.loads(line)
    row.pop("nonfinite", None)
    return json.dumps(row)


@pytest.mark.parametrize("rewrite", [as_earlier_versions_wrote, as_others_write, str])
def test_readers_take_null_and_bare_nan_alike(diverged: RunFolder, rewrite) -> None:
    """Status, summary, list and report say the same whichever form the file has."""
    metrics = diverged.path / "metrics.jsonl"
    before = metrics.read_text()
    said = [describe(diverged), find_runs(diverged.path.parents[2])[0].detail]
    try:
        metrics.write_text("".join(rewrite(line) + "\n" for line in before.splitlines()))
        printed = [describe(diverged), find_runs(diverged.path.parents[2])[0].detail]
        assert [text.replace("inf", "nan") for text in printed] == [
            text.replace("inf", "nan") for text in said
        ]
        with contextlib.redirect_stdout(io.StringIO()) as output:
            assert status.main([str(diverged.path.parents[1])]) == 0
            assert report.main([str(diverged.path.parents[1])]) == 0
        assert "diverged" in output.getvalue()
        kept = diverged.rows()
        diverged.keep_rows_up_to(diverged.rows()[-2]["step"] - 1)
        assert len(diverged.rows()) < len(kept)
        for line in metrics.read_text().splitlines():
            json.loads(line, parse_constant=refuse)
    finally:
        metrics.write_text(before)
