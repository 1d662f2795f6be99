"""Updates that runs took over from the checkpoint of another, and that no run trained twice."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.console.formatting import format_count
from lmlab.run_folder import sessions_of
from lmlab.study.run_records import RunRecord


@dataclasses.dataclass(frozen=True)
class TakenOver:
    """What a run took over from the run that its records name as its parent.

    Attributes:
        updates: number of its first updates.
        tokens: of these updates.
        seconds: training time of these updates; 0 where an earlier version recorded none.
        flops: of these updates, forward and backward.
    """

    updates: int = 0
    tokens: float = 0.0
    seconds: float = 0.0
    flops: float = 0.0


def taken_over(record: RunRecord) -> TakenOver:
    """Return what a run took over; nothing for one that trained all its updates."""
    found, step = recorded_start(record.meta), record.reached("step")
    if not found or not step:
        return TakenOver()
    tokens = (record.reached("tokens") or 0.0) * found["updates"] / step
    flops = 3 * int(record.meta.get("forward_flops_per_token") or 0) * tokens
    return TakenOver(found["updates"], tokens, found["seconds"], flops)


def recorded_start(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``updates`` and ``seconds`` that a run took over; empty where it did not.

    Args:
        meta: content of ``meta.json``, or of a compact record, which holds them as they are.
    """
    sessions = sessions_of(meta)
    if "taken_over" in meta or not meta.get("parent") or not sessions:
        return dict(meta.get("taken_over") or {})
    # A later session may have started over.
    first = min(sessions, key=lambda session: session.get("from_step", 0))
    updates = first.get("from_step", 0)
    return {"updates": updates, "seconds": first.get("from_seconds", 0.0)} if updates else {}


def shared_note(records: Sequence[RunRecord]) -> str:
    """State how much the runs of a study took over; empty where none did."""
    found = [one for record in records if (one := taken_over(record)).updates]
    if not found:
        return ""
    updates = sum(one.updates for one in found)
    flops = sum(one.flops for one in found)
    return (
        f"{format_count(len(found), 'run')} started from a checkpoint of another: "
        f"{updates:,} updates ({flops:.2g} FLOPs) were not trained again"
    )
