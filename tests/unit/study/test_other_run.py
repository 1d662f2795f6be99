"""Studies compare the identity of each run with the configuration that they need."""

from __future__ import annotations

import contextlib
import io
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lmlab import status
from lmlab.config.compose import compose, settings_to_yaml
from lmlab.config.identity_settings import select_identity
from lmlab.outputs.__main__ import main as outputs
from lmlab.run_folder import RunFolder
from lmlab.study.markdown import render_markdown
from lmlab.study.other_run import why_another
from lmlab.study.report_content import build_content
from lmlab.study.run_records import load_study
from lmlab.study.sweep_folder import LedgerEntry, sweeps_in
from lmlab.study.write_records import write_compact


@pytest.fixture
def content() -> dict[str, Any]:
    return compose(["training.steps=5"]).as_dict()


def test_the_run_of_a_configuration_is_no_other(content: dict[str, Any], tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.append_row({"kind": "validation", "step": 5, "loss": 3.0})
    identity = {"config": select_identity(content)}
    assert why_another({"identity": identity}, run, content) == ""
    assert "nothing says whose" in why_another({}, run, content)
    run.config.write_text(settings_to_yaml(content))
    assert why_another({}, run, content) == ""


@pytest.mark.parametrize(
    "change", ["training.steps=6", "model.norm=post", "seeds.data=3", "optim.lr=0.5"]
)
def test_a_run_of_other_settings_is_another(
    content: dict[str, Any], tmp_path: Path, change: str
) -> None:
    run = RunFolder(tmp_path)
    run.append_row({"kind": "validation", "step": 5, "loss": 3.0})
    other = compose(["training.steps=5", change]).as_dict()
    reason = why_another({"identity": {"config": select_identity(other)}}, run, content)
    assert reason.startswith("the folder holds another run (there -> needed): ")
    assert change.partition("=")[0] in reason
    run.config.write_text(settings_to_yaml(other))
    by_config = reason.removesuffix("meta.json") + "config.yaml, since meta.json has no identity"
    assert why_another({}, run, content) == by_config


def shown(study: Path) -> tuple[str, str]:
    """Return what lmlab.status prints, and the Markdown of the report."""
    text = io.StringIO()
    status.show(Console(file=text, width=200), study)
    loaded = load_study(study)
    return text.getvalue(), render_markdown(build_content(loaded), [])


def replace(entry: LedgerEntry, **settings: Any) -> None:
    """Make the run of an entry one of other settings."""
    meta = entry.run.meta()
    entry.run.write_meta(meta | {"identity": {"config": settings}})


def test_another_run_is_no_result_and_said_everywhere(finished: Path, tmp_path: Path) -> None:
    entry = next(sweeps_in(finished)).entries()[0]
    manifest = load_study(finished).manifest
    assert manifest is not None
    needed = select_identity(manifest.job_config(entry.job))
    replace(entry, **needed)
    assert load_study(finished).records[0].outcome.loss is not None
    replace(entry, **needed | {"training": needed["training"] | {"steps": 7}})
    study = load_study(finished)
    assert (study.records[0].state, study.records[0].outcome.loss) == ("missing", None)
    printed, markdown = shown(finished)
    for text in (printed, markdown):
        assert "another run (there -> needed): training.steps: 7 -> " in text
    write_compact(study, tmp_path / "records")
    assert load_study(tmp_path / "records").records[0].state == "missing"


def test_rows_that_cannot_be_read_are_missing_and_said(finished: Path) -> None:
    sweep = next(sweeps_in(finished))
    rows = (sweep.path / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    (sweep.path / "ledger.jsonl").write_bytes(b"\0" * 50 + b"\n" + b"".join(rows[1:]))
    last = sweep.entries()[-1].run
    lines = (last.path / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (last.path / "metrics.jsonl").write_bytes(b"".join([lines[0][:9] + b"\n", *lines[1:]]))
    before = len(load_study(finished).records)
    assert before == len(rows), "the run that the damaged row named is missing"
    printed, markdown = shown(finished)
    for text in (printed, markdown):
        assert "metrics.jsonl: 1 row cannot be read and count as missing" in text
        assert "its row in ledger.jsonl cannot be read" in text
        assert "ledger.jsonl of the study: 1 row cannot be read" in text


def test_runs_behind_links_are_listed_once_with_what_is_damaged(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "outputs", tmp_path / "elsewhere"
    for number in range(2):
        run = RunFolder(elsewhere / "arm" / f"seed{number}")
        run.write_meta({"identity": {}})
        run.config.write_text("")
        run.write_status("done", step=5, steps=5)
        run.append_row({"kind": "validation", "step": 5, "loss": 3.0})
    root.mkdir()
    shutil.move(elsewhere / "arm" / "seed1", root / "seed1")
    (root / "study").mkdir()
    (root / "study" / "arm").symlink_to(elsewhere / "arm")
    (root / "again").symlink_to(root / "seed1")
    (elsewhere / "arm" / "loop").symlink_to(elsewhere)
    with open(root / "seed1" / "metrics.jsonl", "a") as file:
        file.write("zzz\n")
    (root / "seed1" / "meta.json").write_text("{")
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        assert outputs(["list", str(root)]) == 0
    listed = text.getvalue()
    assert listed.count("study/arm/seed0") == 1 and listed.count("seed1") == 1
    assert "1 row cannot be read, meta.json is missing or damaged" in listed
