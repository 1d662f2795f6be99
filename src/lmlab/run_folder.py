"""The run folder: the contract between the program that trains and everything that reads.

``outputs/<study>/<arm>/seed<k>/`` holds

- ``config.yaml``: the resolved configuration,
- ``meta.json``: where the run comes from and what it computes with, and its identity,
- ``status.json``: how far it is; see :data:`STATUSES`,
- ``metrics.jsonl``: one row an event, with step, tokens and seconds,
- ``preflight.json``: what was predicted of its last session, and what that took,
- ``checkpoints/``, ``tokenizer/``, ``samples.md``, ``train.log``, ``learning_curve.png``.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lmlab.storage.io import (
    append_jsonl,
    atomic_write_text,
    hash_json,
    read_json,
    read_jsonl,
    write_json,
)
from lmlab.storage.lock import Lock, is_alive

STATUSES = ("queued", "running", "done", "diverged", "failed", "preempted", "interrupted")
FINISHED = ("done", "diverged")


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """One run's files. Reading never fails on a folder that is not there yet."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """Where the saved states lie."""
        return self.path / "checkpoints"

    @property
    def tokenizer(self) -> Path:
        """Where the run's own copy of its tokenizer lies."""
        return self.path / "tokenizer"

    @property
    def log(self) -> Path:
        """The log of all sessions of the run."""
        return self.path / "train.log"

    @property
    def samples(self) -> Path:
        """Text written by the trained model."""
        return self.path / "samples.md"

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    def lock(self) -> Lock:
        """The one-writer lock; entering it raises :class:`LockedError` while another writes."""
        return Lock(self.path / "run.lock", wait=False)

    def meta(self) -> dict[str, Any]:
        """The content of ``meta.json``; empty where there is none or it was damaged."""
        return _read(self.path / "meta.json")

    def write_meta(self, meta: dict[str, Any]) -> None:
        """Replace ``meta.json``."""
        write_json(self.path / "meta.json", meta)

    def status(self) -> dict[str, Any]:
        """The content of ``status.json``, where a dead writer's ``running`` is ``interrupted``."""
        status = _read(self.path / "status.json")
        if status.get("status") == "running" and not is_alive(self.path / "run.lock"):
            status["status"] = "interrupted"
        return status

    def write_status(self, status: str, **details: Any) -> None:
        """Replace ``status.json`` by ``status``, the time, and ``details``."""
        assert status in STATUSES, status
        write_json(self.path / "status.json", {"status": status, "time": _utc_now(), **details})

    def preflight(self) -> dict[str, Any]:
        """The content of ``preflight.json``: ``from_step``, ``predicted`` and ``actual``."""
        return _read(self.path / "preflight.json")

    def rows(self, kind: str | None = None) -> list[dict[str, Any]]:
        """The rows of ``metrics.jsonl``, all or of one kind."""
        rows = read_jsonl(self.path / "metrics.jsonl")
        return [row for row in rows if kind in (None, row.get("kind"))]

    def append_row(self, row: dict[str, Any]) -> None:
        """Append a row to ``metrics.jsonl``."""
        append_jsonl(self.path / "metrics.jsonl", row)

    def keep_rows_up_to(self, step: int, rows: list[dict[str, Any]] | None = None) -> None:
        """Drop the rows after ``step``, which a resumed run writes again.

        Args:
            step: the step of the checkpoint that the run goes on from; -1 for none.
            rows: what to keep from; by default the rows of this run.
        """
        former = self.rows() if rows is None else rows
        kept = [row for row in former if row.get("step", 0) <= step]
        if rows is not None or len(kept) < len(former):
            lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in kept)
            atomic_write_text(self.path / "metrics.jsonl", "".join(lines))


def _read(path: Path) -> dict[str, Any]:
    try:
        value = read_json(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _utc_now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def choose(base: Path, identity: dict[str, Any]) -> tuple[RunFolder, list[str]]:
    """Find the folder of the run with ``identity`` whose first choice is ``base``.

    The folder is ``base`` when that is free or holds this very run; otherwise ``base`` with a
    suffix of the identity's hash, so that another configuration never lands in the same folder.

    Returns:
        The folder, and when it is not ``base`` the differences, one ``key: there -> here`` each.
    """
    there = RunFolder(base).meta().get("identity")
    if there is None or there == identity:
        return RunFolder(base), []
    suffixed = base.with_name(f"{base.name}-{hash_json(identity)[:8]}")
    return RunFolder(suffixed), differences(there, identity)


def register(output_root: Path, run: RunFolder, identity: dict[str, Any]) -> None:
    """Note where the run with ``identity`` lies, so that other studies find it."""
    place = os.path.relpath(run.path.resolve(), output_root.resolve())
    atomic_write_text(_index(output_root, identity), place)


def find_registered(output_root: Path, identity: dict[str, Any]) -> RunFolder | None:
    """The run with ``identity`` of any study below ``output_root``, if it is still there."""
    try:
        place = _index(output_root, identity).read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    run = RunFolder(Path(os.path.normpath(output_root / place)))
    return run if run.meta().get("identity") == identity else None


def _index(output_root: Path, identity: dict[str, Any]) -> Path:
    return output_root / "cache" / "runs" / hash_json(identity)[:32]


def differences(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """Describe in which keys two nested dictionaries differ, one ``key: there -> here`` each."""
    left, right = dict(_flatten(there)), dict(_flatten(here))
    keys = [key for key in {**left, **right} if left.get(key) != right.get(key)]
    return [f"{key}: {left.get(key)} -> {right.get(key)}" for key in keys]


def _flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value


def describe(run: RunFolder) -> str:
    """A run in a few lines for a person, from its files alone."""
    status, meta = run.status(), run.meta()
    state = status.get("status", "not started")
    lines = [f"{run.path}: {state} at step {status.get('step', 0):,} of {status.get('steps', 0):,}"]
    if status.get("tokens"):
        lines[0] += f", {status['tokens'] / 1e6:.2f} M tokens in {status['seconds']:,.0f} s"
    if state == "failed":
        lines.append(f"  log              {run.log}")
    evaluated = run.rows("validation")
    if evaluated:
        last = evaluated[-1]
        lines.append(
            f"  validation loss  {last['loss']:.4f} nats a token, "
            f"perplexity {last['perplexity']:.2f} (step {last['step']:,})"
        )
        lines.append(f"  bits per byte    {last['bits_per_byte']:.4f}")
        floor = meta.get("floor")
        if floor:
            lines.append(f"  floor            {floor['bits_per_byte']:.4f} ({floor['note']})")
    figure = run.path / "learning_curve.png"
    if figure.exists():
        lines.append(f"  learning curve   {figure}")
    if run.samples.exists():
        lines.append(f"  samples          {run.samples}")
        lines.append(_first_sample(run.samples))
    return "\n".join(lines)


def _first_sample(path: Path) -> str:
    found = re.search(r"```text\n(.*?)\n```", path.read_text("utf-8"), flags=re.DOTALL)
    return "\n" + found[1] + "\n" if found else ""
