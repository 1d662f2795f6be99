"""``python -m lmlab.status``: the progress of one study, or of all."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lmlab.console.command_line import Command
from lmlab.console.options import argument, option
from lmlab.console.stdout import run_main, stdout_console
from lmlab.design.job import Job
from lmlab.design.ladder import ISOFLOP
from lmlab.errors import DataError
from lmlab.run_folder import FINISHED, early_stop
from lmlab.study.run_records import RunRecord, Study, load_study, other_runs
from lmlab.study.shared_updates import shared_note
from lmlab.study.study_facts import describe_states, groups
from lmlab.study.sweep_folder import sweeps_in
from lmlab.sweep.slurm.job_status import JobStatus, job_status

_WATCH_SECONDS = 2


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of the command."""

    folder: Path = argument(
        Path("outputs"),
        aliases=("run", "study", "root"),
        metavar="FOLDER",
        help="folder of a study, or the output folder with all studies",
    )
    watch: bool = option(False, help=f"refresh every {_WATCH_SECONDS} seconds until Ctrl-C")


def act(options: Options) -> None:
    """Print the status once, or until Ctrl-C."""
    console = stdout_console(160)
    try:
        show(console, options.folder)
        while options.watch:
            time.sleep(_WATCH_SECONDS)
            console.clear()
            show(console, options.folder)
    except KeyboardInterrupt:
        return


def show(console: Console, folder: Path) -> None:
    """Print one study, or one line per study below ``folder``. Raises :class:`DataError`."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    try:
        study = load_study(folder)
    except DataError:
        studies = list(_studies_below(folder))
        if not studies and any(path.name != "cache" for path in folder.iterdir()):
            raise
        if not studies:
            console.print(Text(f"no studies in {folder} yet"))
            return
        _print_studies(console, studies)
        return
    study, jobs, messages = _with_slurm(study)
    console.print(_arms(study))
    for record in study.records:
        if record.state == "running":
            console.print(Text(_progress(record)))
    for record in study.records:
        has_reason = record.state == "missing" and record.status.get("reason")
        if record.state in ("failed", "interrupted") or has_reason:
            _print_failure(console, record, jobs)
        if record.shown_state == "stopped early":
            console.print(Text(f"{record.job.name}: {early_stop(record.status)}"))
    for record in [*study.records, *other_runs(study)]:
        if record.annotation:
            console.print(Text(f"note: {record.job.name}: {record.annotation}"), soft_wrap=True)
    reasons = Counter(str(record.status.get("reason", "")) for record in _queued(study, jobs))
    for reason, number in reasons.most_common():
        console.print(Text(f"queued: {number} in Slurm, {reason}"))
    for message in [*messages, *study.damage]:
        console.print(Text(message), soft_wrap=True)
    console.print(Text(f"{study.name}: {_counts(study.records)}"))
    if note := shared_note(study.records):
        console.print(Text(note), soft_wrap=True)
    for line in _ladder_lines(study):
        console.print(Text(line), soft_wrap=True)
    others = other_runs(study)
    if others:
        console.print(Text(f"other runs in {study.folder}: {_counts(others)}"))
    for sweep in list(sweeps_in(study.folder))[1:]:
        earlier = f"an earlier sweep: python -m lmlab.report {sweep.path}"
        console.print(Text(earlier), soft_wrap=True)


def _ladder_lines(study: Study) -> list[str]:
    """Return how far a ladder has come, and its seals or best sizes; nothing for other studies."""
    if study.manifest is None or study.manifest.ladder is None:
        return []
    from lmlab.study.ladder_report.ladder_study import LadderStudy  # scipy takes half a second
    from lmlab.study.ladder_report.rung_rows import progress_line, stage_name
    from lmlab.study.ladders.seals import describe_seal

    found = LadderStudy.of(study)
    progress = (
        progress_line(found)
        or f"All {len(found.ladder.rungs)} {stage_name(found)}s have their judged runs."
    )
    if found.ladder.analysis == ISOFLOP:
        from lmlab.study.isoflop_report.isoflop_content import build_isoflop
        from lmlab.study.isoflop_report.isoflop_study import IsoflopStudy

        lines = build_isoflop(IsoflopStudy(found))["headline"]
        return [progress, *(line for line in lines if line != progress)]
    return [progress, *map(describe_seal, found.seals.seals), *found.seals.problems]


def _print_studies(console: Console, studies: Sequence[Study]) -> None:
    table = _table(["study", "runs", "state"])
    for study in studies:
        runs = [*study.records, *other_runs(study)]
        table.add_row(study.folder.name, str(len(runs)), _counts(runs))
    console.print(table)


def _progress(record: RunRecord) -> str:
    step, steps = record.status.get("step", 0), record.status.get("steps") or 1
    seconds = record.status.get("seconds", 0)
    left = f", {seconds * (steps - step) / step:,.0f} s left" if step else ""
    return f"running: {record.job.name}, step {step:,} of {steps:,}{left}"


def _print_failure(console: Console, record: RunRecord, jobs: dict[Job, JobStatus]) -> None:
    lines = str(record.status.get("reason", "")).strip().splitlines()
    reason = f": {lines[-1]}" if lines else ""
    text = f"{record.state}: {record.job.name}{reason}\n    {record.folder}"
    console.print(Text(text), soft_wrap=True)
    log = jobs[record.job].log if record.job in jobs else record.log
    console.print(Text(f"    log: {log}"), soft_wrap=True)


def _queued(study: Study, jobs: dict[Job, JobStatus]) -> list[RunRecord]:
    return [one for one in study.records if one.state == "queued" and one.job in jobs]


def _with_slurm(study: Study) -> tuple[Study, dict[Job, JobStatus], list[str]]:
    """Return the study with Slurm's status of unfinished runs, their jobs, and messages."""
    jobs, messages = job_status(study.folder)
    records = []
    for record in study.records:
        job = jobs.get(record.job)
        if job is None or not job.state or record.state in (*FINISHED, "running"):
            records.append(record)
        elif job.state == "interrupted" and record.state == "failed":
            records.append(record)  # the run's own reason is more specific
        else:
            status = record.status | {"status": job.state, "reason": job.description}
            records.append(dataclasses.replace(record, status=status))
    return dataclasses.replace(study, records=records), jobs, messages


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
    table = _table(["arm", "lr", "seeds", "loss", "sd", "state"])
    for group in groups(study):
        table.add_row(
            Text(group.arm),
            "" if group.lr is None else f"{group.lr:g}",
            str(len(group.records)),
            "" if group.mean is None else f"{group.mean:.4f}",
            "" if group.sd is None else f"{group.sd:.4f}",
            group.states,
        )
    return table


def _counts(records: Sequence[RunRecord]) -> str:
    return describe_states(record.shown_state for record in records)


COMMAND = Command(
    name="status",
    options=Options,
    act=act,
    description="Show the progress of a study, or of every study in the output folder.",
    examples=["", "outputs/ablations"],
    allow_abbrev=True,
)


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    return COMMAND.run(argv)


if __name__ == "__main__":
    run_main(main)
