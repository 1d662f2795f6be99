"""Trackers receive metrics in addition to ``metrics.jsonl``; they never stop or delay a run."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lmlab.errors import ConfigError, UserError, suggestion
from lmlab.tracking.run_info import RunInfo, Tracker
from lmlab.tracking.run_token import run_token
from lmlab.tracking.trackio import TrackioTracker
from lmlab.tracking.wandb_process import WandbTracker

__all__ = [
    "NO_TRACKER", "NoTracker", "RunInfo", "Tracker", "check_tracker", "no_tracker",
    "trackio_tracker", "wandb_tracker",
]  # fmt: skip

log = logging.getLogger(__name__)

NO_TRACKER = "lmlab.tracking.no_tracker"
_MODES = ("auto", "online", "offline", "disabled")
_OLD_MODES = {"run": "online", "dryrun": "offline"}  # wandb still takes them in WANDB_MODE


class NoTracker:
    """Discards everything."""

    has_failed, has_delivered = True, False  # nothing was delivered

    def log(self, row: dict[str, Any]) -> None:
        """Discard a row."""

    def samples(self, rows: Sequence[dict[str, Any]]) -> None:
        """Discard samples."""

    def summary(self, values: dict[str, Any]) -> None:
        """Discard the summary."""

    def finish(self, exit_code: int) -> None:
        """Do nothing."""


def check_tracker(target: str, parameters: Mapping[str, Any]) -> None:
    """Check the settings of a tracker as far as possible before anything is prepared.

    Args:
        target: dotted path of its class or function.
        parameters: from the configuration.

    Raises:
        ConfigError: the mode of wandb is not valid, or trackio is not installed.
    """
    if target == f"{__name__}.wandb_tracker":
        _resolve_mode(str(parameters.get("mode", "auto")))
    if target == f"{__name__}.trackio_tracker" and importlib.util.find_spec("trackio") is None:
        raise _missing_trackio("trackio")


def _missing_trackio(package: str | None) -> ConfigError:
    return ConfigError(
        f"logger=trackio: the package {package} is not installed",
        "run pip install 'lmlab[trackio]', or set logger=none",
    )


def no_tracker(run_info: RunInfo) -> NoTracker:
    """Record nothing in addition to ``metrics.jsonl``."""
    del run_info
    return NoTracker()


def wandb_tracker(
    run_info: RunInfo,
    *,
    project: str,
    mode: str,
    entity: str | None = None,
    group: str | None = None,
    name: str | None = None,
    tags: Sequence[str] = (),
    notes: str | None = None,
    job_type: str | None = None,
    dir: str | None = None,
    base_url: str | None = None,
) -> Tracker:
    """Track the run in Weights & Biases; the history of each session is complete.

    Args:
        run_info: of the run.
        project: wandb project of the run.
        mode: ``auto`` is online where an API key is set and the server accepts it, otherwise
            offline; ``online`` also warns where no key is set; ``offline`` makes no connection;
            ``disabled`` records nothing. ``WANDB_MODE`` and ``WANDB_DISABLED`` decide ``auto``.
        entity: account or team; None for the default of the key.
        group: None for the study.
        name: name of the run; None for arm and seed. In a study, it precedes them.
        tags: in addition to the name of the corpus and the tags of the run.
        notes: for a run without notes.
        job_type: None for ``train``.
        dir: the folder in which wandb makes its folder ``wandb``; None for that of the study.
        base_url: the server; None for wandb's default.

    Raises:
        ConfigError: ``mode`` is not valid.
    """
    mode = _resolve_mode(mode)
    if mode == "disabled":
        return NoTracker()
    own = run_info.folder.resolve() / "wandb"
    try:
        return WandbTracker(
            own,
            mode=mode,
            base_url=base_url,
            earlier_rows=run_info.earlier_rows,
            init={
                "project": project,
                "entity": entity,
                "dir": str(Path(dir).expanduser().resolve() if dir else run_info.study_folder),
                "id": run_token(own / "run_id"),
                "name": _display_name(name, run_info),
                "group": group or run_info.group,
                "job_type": job_type or "train",
                "notes": run_info.notes or notes,
                "tags": [
                    *dict.fromkeys([*run_info.tags, *tags]),
                    *(["resumed"] if run_info.resumed else []),
                ],
                "config": run_info.config,
            },
        )
    except (OSError, UserError) as error:
        log.warning("wandb cannot start (%s); metrics are in metrics.jsonl only", error)
        return NoTracker()


def _resolve_mode(mode: str) -> str:
    """Return a mode without ``auto`` where the environment of this process decides it."""
    if mode == "auto":
        is_disabled = os.environ.get("WANDB_DISABLED", "").lower() in ("1", "true", "yes", "on")
        mode = "disabled" if is_disabled else os.environ.get("WANDB_MODE") or mode
    mode = _OLD_MODES.get(mode, mode)
    if mode not in _MODES:
        raise ConfigError(
            f"logger.mode={mode}: expected one of {', '.join(_MODES)}", suggestion(mode, _MODES)
        )
    return mode


def _display_name(name: str | None, run_info: RunInfo) -> str:
    if name is None:
        return run_info.name
    return f"{name}/{run_info.name}" if run_info.purpose else name


def trackio_tracker(
    run_info: RunInfo,
    *,
    project: str,
    dir: str | None = None,
    space_id: str | None = None,
    server_url: str | None = None,
) -> Tracker:
    """Track the run in trackio, on this machine unless a Space or a server is given.

    Args:
        run_info: of the run.
        project: trackio project of the run.
        dir: the folder of trackio's databases; None for trackio's default.
        space_id: a Space of Hugging Face that receives the metrics.
        server_url: a trackio server that receives the metrics.

    Raises:
        ConfigError: trackio is not installed.
    """
    if dir is not None:  # read when trackio is imported
        os.environ["TRACKIO_DIR"] = str(Path(dir).expanduser().resolve())
    try:
        library = importlib.import_module("trackio")
    except ModuleNotFoundError as error:
        raise _missing_trackio(error.name) from error
    token = run_token(run_info.folder / "trackio" / "run_id")
    init = {
        "project": project,
        # trackio merges runs of one name, whatever folder they come from.
        "name": f"{run_info.group}/{run_info.name} ({token[:8]})",
        "group": run_info.group,
        "config": run_info.config
        | {"run_folder": str(run_info.folder), "tags": list(run_info.tags)}
        | {"notes": run_info.notes},
        "resume": "never",
        "embed": False,
        "auto_log_gpu": False,
        "auto_log_cpu": False,
    }
    remote = {"space_id": space_id, "server_url": server_url}
    return TrackioTracker(
        library,
        init=init | {key: value for key, value in remote.items() if value},
        earlier_rows=run_info.earlier_rows,
    )
