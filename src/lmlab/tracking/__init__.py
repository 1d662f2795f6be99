"""Trackers receive metrics in addition to ``metrics.jsonl``; they never stop or delay a run."""

from __future__ import annotations

import dataclasses
import importlib
import logging
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from lmlab.errors import ConfigError, UserError, suggestion
from lmlab.storage.io import atomic_write_text
from lmlab.tracking.trackio import TrackioTracker
from lmlab.tracking.wandb_process import WandbTracker

log = logging.getLogger(__name__)

_MODES = ("auto", "online", "offline")


@dataclasses.dataclass(frozen=True)
class RunInfo:
    """Describes a run to a tracker.

    Attributes:
        folder: the run folder.
        name: arm and seed.
        group: the study.
        tags: for filtering.
        config: the full configuration as plain values.
        resumed: whether this session resumes an earlier one.
    """

    folder: Path
    name: str
    group: str
    tags: tuple[str, ...]
    config: dict[str, Any]
    resumed: bool = False


class Tracker(Protocol):
    """Receives the metrics and samples of a run."""

    def log(self, row: dict[str, Any]) -> None:
        """Record a row of ``metrics.jsonl``."""
        ...

    def samples(self, rows: Sequence[dict[str, str]]) -> None:
        """Record generated texts; each row has a ``prompt`` and a ``text``."""
        ...

    def summary(self, values: dict[str, Any]) -> None:
        """Record the final metrics of the run."""
        ...

    def finish(self, exit_code: int) -> None:
        """End the session with the exit code of the run."""
        ...


class NoTracker:
    """Discards everything."""

    def log(self, row: dict[str, Any]) -> None:
        """Discard a row."""

    def samples(self, rows: Sequence[dict[str, str]]) -> None:
        """Discard samples."""

    def summary(self, values: dict[str, Any]) -> None:
        """Discard the summary."""

    def finish(self, exit_code: int) -> None:
        """Do nothing."""


def no_tracker(run_info: RunInfo) -> NoTracker:
    """Record nothing in addition to ``metrics.jsonl``."""
    del run_info
    return NoTracker()


def wandb_tracker(
    run_info: RunInfo, *, project: str, mode: str, entity: str | None = None
) -> Tracker:
    """Track the run in Weights & Biases, with files in the run folder.

    Args:
        run_info: of the run.
        project: wandb project of the run.
        mode: ``auto`` is online where an API key is set and the server accepts it, otherwise
            offline; ``online`` also warns where no key is set; ``offline`` makes no connection.
            ``WANDB_MODE=offline`` and ``WANDB_MODE=disabled`` take precedence.
        entity: account or team; None for the default of the key.

    Raises:
        ConfigError: ``mode`` is not valid.
    """
    if mode not in _MODES:
        raise ConfigError(
            f"logger.mode={mode}: expected one of {', '.join(_MODES)}", suggestion(mode, _MODES)
        )
    if os.environ.get("WANDB_MODE") == "disabled":
        return NoTracker()
    try:
        return WandbTracker(
            run_info.folder.resolve() / "wandb",
            mode="offline" if os.environ.get("WANDB_MODE") in ("offline", "dryrun") else mode,
            init={
                "project": project,
                "entity": entity,
                "dir": str(run_info.folder.resolve()),
                "id": _run_id(run_info.folder / "wandb" / "run_id"),
                "resume": "allow",
                "name": run_info.name,
                "group": run_info.group,
                "job_type": "train",
                "tags": [*run_info.tags, *(["resumed"] if run_info.resumed else [])],
                "config": run_info.config,
            },
        )
    except (OSError, UserError) as error:
        log.warning("wandb cannot start (%s); metrics are in metrics.jsonl only", error)
        return NoTracker()


def trackio_tracker(run_info: RunInfo, *, project: str) -> Tracker:
    """Track the run in trackio, on this machine only.

    Args:
        run_info: of the run.
        project: trackio project of the run.

    Raises:
        ConfigError: trackio is not installed.
    """
    try:
        library = importlib.import_module("trackio")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"logger=trackio: the package {error.name} is not installed",
            "run pip install 'lmlab[trackio]', or set logger=none",
        ) from error
    init = {
        "project": project,
        "name": f"{run_info.group}/{run_info.name}",
        "group": run_info.group,
        "config": run_info.config,
        "resume": "allow",
        "embed": False,
        "auto_log_gpu": False,
        "auto_log_cpu": False,
    }
    return TrackioTracker(library, init=init)


def _run_id(path: Path) -> str:
    """Return the wandb id of a run folder; it is drawn once and kept for resumed sessions.

    The id is not a hash of the path: otherwise equal paths on two machines, or a run that replaces
    a pruned one, would share a wandb run.
    """
    if not path.exists():
        atomic_write_text(path, secrets.token_hex(8))
    return path.read_text("utf-8").strip()
