"""Trackers receive metrics in addition to ``metrics.jsonl``; they never stop or delay a run."""

from __future__ import annotations

import importlib.util
import logging
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lmlab.config.several_options import components_of
from lmlab.errors import ConfigError, UserError, suggestion
from lmlab.tracking.run_info import RunInfo, Tracker
from lmlab.tracking.run_token import run_token
from lmlab.tracking.tensorboard import TensorBoardTracker
from lmlab.tracking.trackio import TrackioTracker
from lmlab.tracking.wandb_process import WandbTracker

__all__ = [
    "NO_TRACKER", "NoTracker", "RunInfo", "Tracker", "check_tracker", "no_tracker",
    "tensorboard_tracker", "trackers_of", "trackio_tracker", "wandb_tracker",
]  # fmt: skip

log = logging.getLogger(__name__)

NO_TRACKER = "lmlab.tracking.no_tracker"
_MODES = ("auto", "online", "offline", "disabled")
# Extras of lmlab have the names of the packages that the options of their name need.
_PACKAGES = {f"{__name__}.{name}_tracker": name for name in ("tensorboard", "trackio")}
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


def trackers_of(logger: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the components of the trackers of a run by their dotted keys, without ``none``.

    Args:
        logger: ``logger`` of a configuration, as plain values.
    """
    components = components_of("logger", logger)
    return {key: one for key, one in components.items() if one["_target_"] != NO_TRACKER}


def check_tracker(key: str, target: str, parameters: Mapping[str, Any]) -> None:
    """Check the settings of a tracker as far as possible before anything is prepared.

    Args:
        key: its dotted key in the configuration.
        target: dotted path of its class or function.
        parameters: from the configuration.

    Raises:
        ConfigError: the mode of wandb or an interval is not valid, or the package of the tracker is
            not installed.
    """
    if target == f"{__name__}.wandb_tracker":
        _resolve_mode(str(parameters.get("mode", "auto")), key)
    seconds = parameters.get("flush_seconds", 1.0)
    if target == f"{__name__}.tensorboard_tracker" and not 0 < seconds < math.inf:
        raise ConfigError(f"{key}.flush_seconds={seconds}: expected a number above 0")
    package = _PACKAGES.get(target)
    if package is not None and importlib.util.find_spec(package) is None:
        raise _not_installed(package, package)


def _not_installed(option: str, package: str | None) -> ConfigError:
    return ConfigError(
        f"logger={option}: the package {package} is not installed",
        f"run pip install 'lmlab[{option}]', or set logger=none",
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


def _resolve_mode(mode: str, key: str = "logger") -> str:
    """Return a mode without ``auto`` where the environment of this process decides it."""
    if mode == "auto":
        is_disabled = os.environ.get("WANDB_DISABLED", "").lower() in ("1", "true", "yes", "on")
        mode = "disabled" if is_disabled else os.environ.get("WANDB_MODE") or mode
    mode = _OLD_MODES.get(mode, mode)
    if mode not in _MODES:
        raise ConfigError(
            f"{key}.mode={mode}: expected one of {', '.join(_MODES)}", suggestion(mode, _MODES)
        )
    return mode


def _display_name(name: str | None, run_info: RunInfo) -> str:
    if name is None:
        return run_info.name
    return f"{name}/{run_info.name}" if run_info.purpose else name


def tensorboard_tracker(
    run_info: RunInfo, *, dir: str | None = None, flush_seconds: float = 30.0
) -> Tracker:
    """Write event files for TensorBoard, which ``tensorboard --logdir`` shows.

    Args:
        run_info: of the run.
        dir: a folder in which each run gets a folder of its own; None for the folder
            ``tensorboard`` in the run folder.
        flush_seconds: the longest time until a row is in the file.

    Raises:
        ConfigError: tensorboard is not installed.
    """
    own = run_info.folder / "tensorboard"
    folder = own
    if dir is not None:
        # Another run of these names, in another output folder, is another run.
        token = run_token(own / "run_id")[:8]
        folder = Path(dir).expanduser() / run_info.group / f"{run_info.name}-{token}"
    try:
        return TensorBoardTracker(
            folder,
            config=run_info.config,
            earlier_rows=run_info.earlier_rows,
            flush_seconds=flush_seconds,
        )
    except ModuleNotFoundError as error:
        raise _not_installed("tensorboard", error.name) from error


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
        raise _not_installed("trackio", error.name) from error
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
