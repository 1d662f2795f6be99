"""What a person sees of a sweep: a live table on a terminal, else one line a change."""

from __future__ import annotations

import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lmlab.console.formatting import format_duration
from lmlab.sweep.task import Task

_STYLES = {"done": "green", "diverged": "yellow", "failed": "red", "running": "cyan"}
_SHOWN = 12


class View:
    """Shows the tasks of a sweep while it goes on."""

    def __init__(self, title: str, slots: int) -> None:
        self.title, self.slots = title, slots
        self.console = Console(stderr=True, highlight=False)
        self._live: Live | None = None
        self._told: dict[str, str] = {}
        self._started = time.monotonic()

    def __enter__(self) -> View:
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

    def say(self, text: str) -> None:
        """Print a line above the table."""
        self.console.print(Text(text), soft_wrap=True)

    def update(self, tasks: Sequence[Task]) -> None:
        """Show the tasks as they are now."""
        if self._live is not None:
            self._live.update(self._render(tasks))
            return
        for task in tasks:
            key = task.key
            if self._told.get(key) != task.state:
                known, self._told[key] = self._told.get(key), task.state
                if task.state not in ("queued", "submitted") and not (
                    known is None and task.was_done
                ):
                    self.say(_line(task))

    def _render(self, tasks: Sequence[Task]) -> Group:
        counts = Counter(task.state for task in tasks)
        told = ", ".join(f"{number} {state}" for state, number in counts.items())
        table = Table(title=f"{self.title}: {told}", title_justify="left", box=None, pad_edge=False)
        for column in ("run", "state", "progress", "time left"):
            table.add_column(column, overflow="fold")
        running = [task for task in tasks if task.state in ("running", "elsewhere")]
        for task in running[:_SHOWN]:
            share, left = task.progress()
            bar = "=" * round(20 * share)
            table.add_row(
                task.job.name,
                Text(task.state, _STYLES.get(task.state, "")),
                f"[dim]{bar:<20}[/dim] {share:4.0%}",
                "" if left is None else format_duration(left),
            )
        left = self._left(tasks)
        foot = f"{len(running)} of {self.slots} places in use, {format_duration(self._passed())} so far"
        if left is not None:
            foot += f", about {format_duration(left)} for what is queued now"
        return Group(table, Text(foot, "dim"))

    def _passed(self) -> float:
        return time.monotonic() - self._started

    def _left(self, tasks: Sequence[Task]) -> float | None:
        took = [task.seconds for task in tasks if task.seconds]
        open_ones = [task for task in tasks if task.state in ("queued", "running")]
        if not took or not open_ones:
            return None
        shares = sum(1 - task.progress()[0] for task in open_ones)
        return statistics.median(took) * shares / self.slots


def _line(task: Task) -> str:
    told = f"{task.job.name}: {task.state}"
    if task.state in ("done", "diverged") and task.loss() is not None:
        told += f", validation loss {task.loss():.4f}"
    if task.was_done:
        told += f" before, in {task.run.path}"
    if task.reason:
        told += f", {task.reason}"
    return told


def print_results(tasks: Sequence[Task]) -> None:
    """Print one row an arm and rate with its seeds, then every failure with its log."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    table = Table(box=None, pad_edge=False)
    for column in ("arm", "lr", "seeds", "validation loss", "sd", "state"):
        right = column in ("lr", "seeds", "validation loss", "sd")
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    groups: dict[tuple[str, float | None], list[Task]] = {}
    for task in tasks:
        groups.setdefault((task.job.arm, task.job.lr), []).append(task)
    for (arm, lr), group in sorted(groups.items(), key=lambda item: (item[0][0], item[0][1] or 0)):
        losses = [loss for task in group if (loss := task.loss()) is not None]
        counts = Counter(task.state for task in group)
        table.add_row(
            arm,
            "" if lr is None else f"{lr:g}",
            str(len(group)),
            f"{statistics.fmean(losses):.4f}" if losses else "-",
            f"{statistics.stdev(losses):.4f}" if len(losses) > 1 else "",
            ", ".join(state if len(group) == n else f"{n} {state}" for state, n in counts.items()),
        )
    console.print(table)
    trouble = [task for task in tasks if task.state in ("failed", "interrupted")]
    for task in trouble:
        told = f"{task.state}: {task.job.name}: {task.reason}\n    log: {task.log}"
        console.print(Text(told), soft_wrap=True)
    done = sum(task.state in ("done", "diverged") for task in tasks)
    console.print(Text(f"{done} of {len(tasks)} runs are done"))
