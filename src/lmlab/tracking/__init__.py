"""Where metrics go besides ``metrics.jsonl``. A tracker never fails, hangs or delays a run."""

from __future__ import annotations

import dataclasses
import importlib
import logging
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from lmlab.errors import ConfigError, UserError
from lmlab.storage.io import atomic_write_text
from lmlab.tracking.trackio import TrackioTracker
from lmlab.tracking.wandb_process import WandbTracker

log = logging.getLogger(__name__)

_MODES = ("auto", "online", "offline")


@dataclasses.dataclass(frozen=True)
class RunInfo:
    """What a tracker tells about a run.

    Attributes:
        folder: the run folder.
        name: short and readable, the arm and seed.
        group: the study.
        tags: for filtering.
        config: the whole configuration.
        resumed: whether this session goes on with an earlier one.
    """

    folder: Path
    name: str
    group: str
    tags: tuple[str, ...]
    config: dict[str, Any]
    resumed: bool = False


class Tracker(Protocol):
    """Receives what a run measures."""

    def log(self, row: dict[str, Any]) -> None:
        """Take a row of metrics, as it goes to ``metrics.jsonl``."""
        ...

    def samples(self, rows: Sequence[dict[str, str]]) -> None:
        """Take the texts that the trained model wrote, by ``prompt`` and ``text``."""
        ...

    def summary(self, values: dict[str, Any]) -> None:
        """Take the run's final numbers."""
        ...

    def finish(self, exit_code: int) -> None:
        """End the session."""
        ...


class NoTracker:
    """Drops everything."""

    def log(self, row: dict[str, Any]) -> None:
        """Drop a row."""

    def samples(self, rows: Sequence[dict[str, str]]) -> None:
        """Drop samples."""

    def summary(self, values: dict[str, Any]) -> None:
        """Drop the summary."""

    def finish(self, exit_code: int) -> None:
        """Do nothing."""


def no_tracker(run_info: RunInfo) -> NoTracker:
    """Keep ``metrics.jsonl`` only."""
    del run_info
    return NoTracker()


def wandb_tracker(
    run_info: RunInfo, *, project: str, mode: str, entity: str | None = None
) -> Tracker:
    """Track in Weights & Biases, files below the run folder.

    Args:
        run_info: about the run.
        project: where the run is filed.
        mode: ``auto`` is online where an API key is present and the server takes it, else offline
            with one warning that says why; ``online`` is the same but warns without a key too;
            ``offline`` never asks. wandb's own ``WANDB_MODE=offline`` and ``disabled`` are heeded.
        entity: account or team; None for the key's own.

    Raises:
        ConfigError: ``mode`` is none of the three.
    """
    if mode not in _MODES:
        raise ConfigError(f"logger.mode={mode}: accepted is auto, online or offline")
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
        log.warning("wandb cannot start (%s); metrics.jsonl has everything", error)
        return NoTracker()


def trackio_tracker(run_info: RunInfo, *, project: str) -> Tracker:
    """Track in trackio, on this machine only.

    Args:
        run_info: about the run.
        project: under which trackio's page shows the run.

    Raises:
        ConfigError: trackio is not installed.
    """
    try:
        library = importlib.import_module("trackio")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"logger=trackio: {error.name} is not installed; pip install 'lmlab[trackio]', or "
            "choose logger=none"
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
    """The wandb id of a run folder: drawn once and kept there, so that a resumed run keeps it.

    Not a hash of the path: two machines, or a run and the one that replaced it after a prune,
    would write to one wandb run.
    """
    if not path.exists():
        atomic_write_text(path, secrets.token_hex(8))
    return path.read_text("utf-8").strip()
