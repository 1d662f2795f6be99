"""``python -m lmlab.status``: how far a study is, or all of them; while they run or after."""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lmlab.console.command_line import run_main, stdout_console
from lmlab.design.manifest import Job
from lmlab.errors import DataError, UserError
from lmlab.run_folder import FINISHED
from lmlab.study.run_records import RunRecord, Study, load_study, other_runs
from lmlab.study.sweep_folder import sweeps_in
from lmlab.sweep.slurm.job_status import JobStatus, job_status


def main(argv: list[str]) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m lmlab.status",
        description="Show how far a study is, or every study below the output folder.",
        epilog="examples: python -m lmlab.status   ·   python -m lmlab.status outputs/ablations",
    )
    parser.add_argument(
        "folder", type=Path, nargs="?", default=Path("outputs"),
        help="a study, or the folder of all; default: outputs",
    )  # fmt: skip
    parser.add_argument("--watch", action="store_true", help="show it again every two seconds")
    arguments = parser.parse_args(argv)
    console = stdout_console(160)
    try:
        show(console, arguments.folder)
        while arguments.watch:
            time.sleep(2)
            console.clear()
            show(console, arguments.folder)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


def show(console: Console, folder: Path) -> None:
    """Print one study, or a line for each below ``folder``. Raises :class:`DataError`."""
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder")
    try:
        study = load_study(folder)
    except DataError:
        studies = list(_studies_below(folder))
        if not studies:
            raise
        table = _table(["study", "runs", "state"])
        for one in studies:
            runs = [*one.records, *other_runs(one)]
            table.add_row(one.folder.name, str(len(runs)), _counts(runs))
        console.print(table)
        return
    study, jobs, lines = _with_slurm(study)
    console.print(_arms(study))
    running = [record for record in study.records if record.state == "running"]
    for record in running:
        step, steps = record.status.get("step", 0), record.status.get("steps") or 1
        seconds = record.status.get("seconds", 0)
        left = f", {seconds * (steps - step) / step:,.0f} s left" if step else ""
        console.print(Text(f"running: {record.job.name}, step {step:,} of {steps:,}{left}"))
    for record in study.records:
        if record.state in ("failed", "interrupted"):
            told = str(record.status.get("reason", "")).strip().splitlines()
            reason = f": {told[-1]}" if told else ""
            line = f"{record.state}: {record.job.name}{reason}\n    {record.folder}"
            console.print(Text(line), soft_wrap=True)
            log = jobs[record.job].log if record.job in jobs else record.log
            console.print(Text(f"    log: {log}"), soft_wrap=True)
    waits = Counter(str(record.status.get("reason", "")) for record in _queued(study, jobs))
    for reason, number in waits.most_common():
        console.print(Text(f"queued: {number} in Slurm, {reason}"))
    for line in lines:
        console.print(Text(line))
    console.print(Text(f"{study.name}: {_counts(study.records)}"))
    others = other_runs(study)
    if others:
        console.print(Text(f"other runs in {study.folder}: {_counts(others)}"))
    for sweep in list(sweeps_in(study.folder))[1:]:
        earlier = f"an earlier sweep: python -m lmlab.report {sweep.path}"
        console.print(Text(earlier), soft_wrap=True)


def _queued(study: Study, jobs: dict[Job, JobStatus]) -> list[RunRecord]:
    return [one for one in study.records if one.state == "queued" and one.job in jobs]


def _with_slurm(study: Study) -> tuple[Study, dict[Job, JobStatus], list[str]]:
    """The study with what Slurm says of runs that are not finished."""
    jobs, lines = job_status(study.folder)
    records = []
    for record in study.records:
        there = jobs.get(record.job)
        settled = record.state in (*FINISHED, "running")
        if there is None or not there.state or settled:
            records.append(record)
        elif there.state == "interrupted" and record.state == "failed":
            records.append(record)  # the run's own reason says more
        else:
            told = record.status | {"status": there.state, "reason": there.told}
            records.append(dataclasses.replace(record, status=told))
    return dataclasses.replace(study, records=records), jobs, lines


def _studies_below(folder: Path) -> Iterator[Study]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name != "cache":
            try:
                yield load_study(path)
            except DataError:
                continue


def _table(columns: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        right = column in ("lr", "seeds", "loss", "sd", "runs")
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    return table


def _arms(study: Study) -> Table:
    groups: dict[tuple[str, float], list[RunRecord]] = {}
    for record in study.records:
        groups.setdefault((record.job.arm, record.job.lr or 0.0), []).append(record)
    table = _table(["arm", "lr", "seeds", "loss", "sd", "state"])
    for (arm, lr), records in sorted(groups.items(), key=lambda item: item[0]):
        losses = [o.loss for record in records if (o := record.outcome).loss is not None]
        known = [loss for loss in losses if loss is not None]
        table.add_row(
            arm,
            f"{lr:g}" if lr else "",
            str(len(records)),
            f"{statistics.fmean(known):.4f}" if known else "",
            f"{statistics.stdev(known):.4f}" if len(known) > 1 else "",
            _counts(records),
        )
    return table


def _counts(records: Sequence[RunRecord]) -> str:
    counts = Counter(record.state for record in records)
    return ", ".join(f"{number} {state}" for state, number in counts.most_common()) or "no runs"


if __name__ == "__main__":
    run_main(main)
