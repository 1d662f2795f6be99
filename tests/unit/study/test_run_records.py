"""Records of runs: where they are read from, what compact records keep, and their states."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lmlab.design.job import Job
from lmlab.errors import DataError
from lmlab.run_folder import RunFolder
from lmlab.storage.fields import warn_once
from lmlab.study.run_records import load_study, other_runs, read_run
from lmlab.study.sweep_folder import Failure, sweeps_in
from lmlab.study.write_records import write_compact

JOB = Job("rms", None, 3)


def test_a_run_that_does_not_exist_is_missing(tmp_path: Path) -> None:
    record = read_run(
        RunFolder(tmp_path / "norms" / "rms" / "seed3"), JOB, ["run"], tmp_path / "norms"
    )
    assert record.state == "missing" and record.outcome.status == "missing"
    assert record.folder == "norms/rms/seed3"
    assert record.log == "norms/rms/seed3/train.log"


def test_a_run_of_another_output_root_keeps_its_full_path(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "elsewhere" / "seed3")
    record = read_run(run, JOB, ["run"], tmp_path / "outputs" / "norms")
    assert record.folder == str(run.path)


@pytest.mark.parametrize(
    ("status", "losses", "loss"),
    [
        ("done", [5.0, 2.5], 2.5),
        ("done", [5.0, float("nan")], None),
        ("diverged", [5.0, 2.5], None),
        ("running", [5.0, 2.5], None),
    ],
)
def test_only_a_finished_run_has_a_result(
    tmp_path: Path, status: str, losses: list[float], loss: float | None
) -> None:
    run = RunFolder(tmp_path / "rms" / "seed3")
    run.path.mkdir(parents=True)
    for step, value in enumerate(losses):
        run.append_row({"kind": "validation", "step": step, "loss": value})
    run.write_status(status, step=1, steps=1)
    record = read_run(run, JOB, ["run"], tmp_path)
    assert record.outcome.loss == loss
    assert record.outcome.is_final == (status != "running")


def test_a_row_without_the_metric_of_the_study_is_refused(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "rms" / "seed3")
    run.path.mkdir(parents=True)
    run.append_row({"kind": "validation", "step": 1, "loss": 2.5, "bits_per_byte": 1.25})
    run.write_status("done", step=1, steps=1)
    assert read_run(run, JOB, ["run"], tmp_path, "bits_per_byte").outcome.loss == 1.25
    run.append_row({"kind": "validation", "step": 2, "loss": 2.5})
    with pytest.raises(DataError, match="bits_per_byte: missing in the validation row of step 2"):
        read_run(run, JOB, ["run"], tmp_path, "bits_per_byte")
    assert read_run(run, JOB, ["run"], tmp_path).outcome.loss == 2.5


def test_runs_without_a_sweep_are_read_by_folder(tmp_path: Path) -> None:
    for name in ("rms/seed3", "post/seed4-9f"):
        run = RunFolder(tmp_path / "plain" / name)
        run.path.mkdir(parents=True)
        (run.path / "config.yaml").touch()
    study = load_study(tmp_path / "plain")
    assert (study.name, study.manifest) == ("plain", None)
    assert [record.job for record in study.records] == [Job("post", None, 4), JOB]
    assert {record.purposes for record in study.records} == {("run",)}


def test_compact_records_hold_no_path_of_the_machine(finished: Path, tmp_path: Path) -> None:
    study = load_study(finished)
    target = tmp_path / "records"
    paths = write_compact(study, target)
    assert [path.name for path in paths] == ["manifest.json", "facts.json", "records.jsonl"]
    # Samples may contain line separators other than the newline.
    lines = paths[2].read_text("utf-8").rstrip("\n").split("\n")
    rows = [json.loads(line) for line in lines]
    assert str(tmp_path) not in paths[2].read_text("utf-8")
    for row, record in zip(rows, study.records, strict=True):
        assert len(row["train"]) <= 24
        assert row["train"][-1]["step"] == record.train[-1]["step"]
        assert set(row["train"][0]) <= {
            "step", "tokens", "seconds", "loss", "lr", "grad_norm", "tokens_per_second"
        }  # fmt: skip
        assert bool(row["samples"]) == ("judged" in row["purposes"])
        assert row["place"].startswith("norms/")


def test_a_write_up_is_loaded_by_its_folder_or_its_records(finished: Path, tmp_path: Path) -> None:
    write_compact(load_study(finished), tmp_path / "norms" / "records")
    by_folder = load_study(tmp_path / "norms")
    by_records = load_study(tmp_path / "norms" / "records")
    assert by_folder.records == by_records.records
    assert by_folder.outcomes == load_study(finished).outcomes


@pytest.mark.parametrize("number", [1, 24, 25, 100])
def test_compact_records_thin_out_training_rows_but_keep_the_last(
    finished: Path, tmp_path: Path, number: int
) -> None:
    study = load_study(finished)
    rows = [{"step": step, "loss": 1.0, "grad_norm": 2.0} for step in range(1, number + 1)]
    record = dataclasses.replace(study.records[0], train=rows)
    write_compact(dataclasses.replace(study, records=[record]), tmp_path / "records")
    steps = [row["step"] for row in load_study(tmp_path / "records").records[0].train]
    assert len(steps) == min(number, 24) if number <= 24 else 12 <= len(steps) <= 24
    assert steps[-1] == number
    assert len(set(np.diff(steps))) <= 1, "evenly spaced"


@pytest.mark.parametrize("name", ["manifest.json", "records.jsonl", "facts.json"])
def test_damaged_compact_records_are_refused(finished: Path, tmp_path: Path, name: str) -> None:
    records = tmp_path / "records"
    write_compact(load_study(finished), records)
    (records / name).write_text('{"job": 1}\n' if name == "records.jsonl" else "{")
    with pytest.raises(DataError) as caught:
        load_study(records)
    assert caught.value.message.startswith(f"{records}: invalid records: ")
    assert caught.value.help == "publish the study again"


def test_a_folder_without_a_study_names_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_study(tmp_path)
    assert caught.value.message == (
        f"{tmp_path}: not a study; expected sweeps/, records.jsonl, or run folders <arm>/seed<k>/"
    )


def test_the_failure_of_a_process_counts_until_its_run_finishes(
    write_study: Callable[..., Path],
) -> None:
    study = write_study(0)
    sweep = next(sweeps_in(study))
    entry = sweep.entries()[0]
    failure = Failure("exit code -9", sweep.job_file(entry.job, "log"))
    sweep.add_entry(entry.job, list(entry.purposes), entry.run, failure)
    record = load_study(study).records[0]
    assert (record.state, record.status["reason"]) == ("failed", "exit code -9")
    assert record.log.startswith("norms/sweeps/")
    entry.run.path.mkdir(parents=True)
    entry.run.write_status("interrupted", step=1, steps=10)
    record = load_study(study).records[0]
    assert (record.state, record.status["step"]) == ("failed", 1)
    entry.run.write_status("diverged", step=1, steps=10)
    assert load_study(study).records[0].state == "diverged"


def test_other_runs_are_those_that_the_newest_sweep_does_not_need(finished: Path) -> None:
    for config in finished.glob("*/seed*"):
        (config / "config.yaml").touch()
    assert other_runs(load_study(finished)) == []
    extra = finished / "extra" / "seed5-ab12"
    extra.mkdir(parents=True)
    (extra / "config.yaml").touch()
    (record,) = other_runs(load_study(finished))
    assert (record.job, record.folder) == (Job("extra", None, 5), "norms/extra/seed5-ab12")


@pytest.mark.parametrize("change", [{"arm": "other"}, {"purposes": []}, {"run": "../../../../x"}])
def test_a_row_of_the_ledger_that_fits_no_run_is_told(
    finished: Path, change: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    warn_once.cache_clear()
    (sweep,) = sweeps_in(finished)
    path = sweep.path / "ledger.jsonl"
    first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps(json.loads(first) | change), *rest]) + "\n")
    study = load_study(finished)
    assert study.num_damaged_rows == 1 and "ledger.jsonl" in study.damage[-1]
    assert [record.state for record in study.records].count("missing") == 1
    assert [message.partition(":")[0] for message in caplog.messages] == [str(path)]
