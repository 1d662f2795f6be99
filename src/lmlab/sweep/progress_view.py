"""The progress of a sweep: a live table on a terminal, otherwise one line per change."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lmlab.console.formatting import format_duration
from lmlab.console.stdout import stdout_console
from lmlab.run_folder import FINISHED, early_stop
from lmlab.study.study_facts import describe_states
from lmlab.sweep.scheduled_run import ScheduledRun

_STYLES = {"done": "green", "diverged": "yellow", "failed": "red", "running": "cyan"}
_METRIC_NAMES = {"loss": "validation loss", "bits_per_byte": "validation bits per byte"}
_MAX_ROWS = 12
_BAR_WIDTH = 20


class ProgressView:
    """Shows the runs of a sweep while it is driven.

    Args:
        title: name of the study.
        slots: the most runs at a time.
    """

    def __init__(self, title: str, slots: int) -> None:
        self.title, self.slots = title, slots
        self.console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._live: Live | None = None
        self._printed_states: dict[str, str] = {}
        self._started = time.monotonic()

    def __enter__(self) -> ProgressView:
        if self.console.is_terminal:
            self._live = Live(console=self.console, refresh_per_second=4, transient=True)
            self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)
            self._live = None

    def print_line(self, text: str) -> None:
        """Print a line above the table."""
        self.console.print(Text(text), soft_wrap=True)

    def update(self, runs: Sequence[ScheduledRun]) -> None:
        """Redraw the table, or print the runs whose state has changed."""
        if self._live is not None:
            self._live.update(self._render(runs))
            return
        for run in runs:
            previous = self._printed_states.get(run.key)
            if previous == run.state:
                continue
            self._printed_states[run.key] = run.state
            is_waiting = run.state in ("queued", "submitted")
            is_old_news = previous is None and run.was_finished
            if not (is_waiting or is_old_news):
                self.print_line(_describe(run))

    def _render(self, runs: Sequence[ScheduledRun]) -> Group:
        counts = Counter(run.state for run in runs)
        states = ", ".join(f"{number} {state}" for state, number in counts.items())
        title = f"{self.title}: {states}"
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        for column in ("run", "state", "progress", "time left"):
            table.add_column(column, overflow="fold")
        running = [run for run in runs if run.state in ("running", "elsewhere")]
        for run in running[:_MAX_ROWS]:
            fraction, seconds_left = run.progress()
            owner = f", {run.reason}" if run.state == "elsewhere" and run.reason else ""
            bar = "=" * round(_BAR_WIDTH * fraction)
            table.add_row(
                run.name,
                Text(run.state + owner, _STYLES.get(run.state, "")),
                Text.assemble((f"{bar:<{_BAR_WIDTH}}", "dim"), f" {fraction:4.0%}"),
                "" if seconds_left is None else format_duration(seconds_left),
            )
        elapsed = format_duration(time.monotonic() - self._started)
        footer = f"{len(running)} of {self.slots} slots in use, {elapsed} elapsed"
        seconds_left = self._seconds_left(runs)
        if seconds_left is not None:
            footer += f", about {format_duration(seconds_left)} left for the runs scheduled so far"
        return Group(table, Text(footer, "dim"))

    def _seconds_left(self, runs: Sequence[ScheduledRun]) -> float | None:
        finished_seconds = [run.seconds for run in runs if run.seconds]
        unfinished = [run for run in runs if run.state in ("queued", "running")]
        if not finished_seconds or not unfinished:
            return None
        remaining_runs = sum(1 - run.progress()[0] for run in unfinished)
        return statistics.median(finished_seconds) * remaining_runs / self.slots


def _shown_state(run: ScheduledRun) -> str:
    is_early = run.recorded_state == "done" and early_stop(run.folder.status())
    return "stopped early" if is_early else run.recorded_state


def _describe(run: ScheduledRun) -> str:
    line = f"{run.name}: "
    line += f"already {run.state}" if run.was_finished else run.state
    if run.state == "done" and (early := early_stop(run.folder.status())):
        line += f", {early}"
    if run.state in FINISHED and run.loss() is not None:
        line += f", {_METRIC_NAMES[run.metric]} {run.loss():.4f}"
    if run.was_finished:
        line += f", in {run.folder.path}"
    if run.reason:
        line += f", {run.reason}"
    return line


def print_results(runs: Sequence[ScheduledRun]) -> None:
    """Print one row per arm and learning rate, then every failure with its log."""
    console = stdout_console(160)
    table = Table(box=None, pad_edge=False)
    metric = _METRIC_NAMES[runs[0].metric] if runs else "validation loss"
    for column in ("arm", "lr", "seeds", metric, "sd", "state"):
        is_number = column not in ("arm", "state")
        table.add_column(column, justify="right" if is_number else "left", overflow="fold")
    groups: dict[tuple[str, float | None], list[ScheduledRun]] = {}
    for run in runs:
        groups.setdefault((run.job.arm, run.lr), []).append(run)
    for (arm, lr), group in sorted(groups.items(), key=lambda item: (item[0][0], item[0][1] or 0)):
        losses = [loss for run in group if (loss := run.loss()) is not None]
        table.add_row(
            arm,
            "" if lr is None else f"{lr:g}",
            str(len(group)),
            f"{statistics.fmean(losses):.4f}" if losses else "",
            f"{statistics.stdev(losses):.4f}" if len(losses) > 1 else "",
            describe_states(_shown_state(run) for run in group),
        )
    console.print(table)
    for run in runs:
        if run.state in ("failed", "interrupted"):
            text = f"{run.recorded_state}: {run.name}: {run.reason}\n    log: {run.log}"
            console.print(text, soft_wrap=True)
    states = [run.recorded_state for run in runs]
    done, counted = states.count("done"), "1 run is" if len(runs) == 1 else f"{len(runs)} runs are"
    others = describe_states(state for state in states if state != "done")
    console.print(f"{done} of {counted} done" + ("" if done == len(runs) else f"; {others}"))
