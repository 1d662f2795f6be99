"""A run in a few lines of text, from its files alone."""

from __future__ import annotations

import math
import os
import re
import shlex
from pathlib import Path

from lmlab.errors import shorten
from lmlab.run_folder import RunFolder, early_stop
from lmlab.storage.record_fields import source_rows

_SHOWN_SCORES = ("accuracy", "bits_per_byte", "margin", "log_likelihood")  # of a task: the first


def describe(run: RunFolder) -> str:
    """Summarize a run in a few lines, from its files alone."""
    status, meta = run.status(), run.meta()
    state = status.get("status", "not started")
    where = f"at step {status.get('step', 0):,} of {status.get('steps', 0):,}"
    early = early_stop(status)
    lines = [f"{run.path}: {state}{', ' + early if early else ' ' + where}"]
    if status.get("tokens"):
        lines[0] += f", {status['tokens'] / 1e6:.2f} M tokens in {status.get('seconds', 0):,.0f} s"
    if state == "failed":
        lines.append(f"  log              {run.log}")
    evaluated = run.evaluations()
    if evaluated:
        last = evaluated[-1]
        lines.append(
            f"  validation loss  {last['loss']:.4f} nats per token, "
            f"perplexity {last.get('perplexity', math.nan):.2f} (step {last['step']:,})"
        )
        for row in source_rows([last]):
            name = row["name"].partition("/")[2]
            lines.append(f"    of {name:<13} {row.get('loss', math.nan):.4f} nats per token")
        lines.append(f"  bits per byte    {last.get('bits_per_byte', math.nan):.4f}")
        floor = meta.get("floor")
        if floor and {"bits_per_byte", "note"} <= floor.keys():
            lines.append(
                f"  text entropy     {floor['bits_per_byte']:.4f} bits per byte ({floor['note']})"
            )
    lines += _task_lines(run)
    notes, tags = run.annotations()
    if notes:
        lines.append(f"  notes            {notes}")
    if tags:
        lines.append(f"  tags             {', '.join(tags)}")
    figure = run.path / "learning_curve.png"
    if figure.exists():
        lines.append(f"  learning curve   {figure}")
    if run.samples.exists():
        lines.append(f"  samples          {run.samples}")
    offline = run.offline_wandb()
    if offline is not None:
        lines.append(f"  wandb, offline   {wandb_sync_command(offline)}")
    if run.samples.exists():
        lines.append(_first_sample(run.samples))
    return "\n".join(lines)


def _task_lines(run: RunFolder) -> list[str]:
    """Return a line per task: the first score of its last evaluation that is no count."""
    last = {row["name"]: row for row in run.rows("tasks") if isinstance(row.get("name"), str)}
    lines = []
    for name, row in last.items():
        shown = next((key for key in _SHOWN_SCORES if isinstance(row.get(key), int | float)), None)
        if shown is not None:
            score = f"{shown.replace('_', ' ')} {row[shown]:.4f}"
            lines.append(f"  {name:<15}  {score} (step {row['step']:,})")
    return lines


def wandb_sync_command(folder: Path) -> str:
    """Return the command that uploads the runs in a folder of wandb from the working folder."""
    relative = os.path.relpath(folder)
    return f"wandb sync {shlex.quote(min(relative, str(folder), key=len))}"


def _first_sample(path: Path) -> str:
    found = re.search(
        r"```text\n(.*?)\n```", path.read_bytes().decode("utf-8", "replace"), flags=re.DOTALL
    )
    return "\n" + shorten(found[1]) + "\n" if found else ""
