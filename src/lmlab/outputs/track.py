"""Send runs that have ended to trackers."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from typing import Any

from lmlab.build.instantiate import BoundTarget
from lmlab.config.compose import compose, from_dict
from lmlab.config.interpolation import parse_text
from lmlab.console.formatting import format_count
from lmlab.errors import ConfigError, UserError
from lmlab.run_folder import RunFolder
from lmlab.runs.recorded_config import load_recorded
from lmlab.runs.run_summary import wandb_sync_command
from lmlab.storage.lock import is_alive
from lmlab.tracking import NoTracker, trackers_of
from lmlab.tracking.deliveries import is_delivered, record_delivery
from lmlab.tracking.run_info import describe_to_tracker, final_values, read_samples

_LOGGER = "logger"
_EXAMPLES = "wandb, tensorboard, trackio or your own"


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split the arguments of ``outputs track`` into folders and settings ``logger.KEY=VALUE``."""
    settings = [text for text in arguments if text.startswith("logger.") and "=" in text]
    return [text for text in arguments if text not in settings], settings


def track(runs: Sequence[RunFolder], logger: str | None, settings: Sequence[str]) -> int:
    """Send runs to trackers, and print what was sent.

    Args:
        runs: runs that have ended; others are skipped.
        logger: option of ``logger``, or a list of options; None for the trackers that each run was
            configured with.
        settings: overrides such as ``logger.project=mine``.

    Returns:
        The exit code: 1 if a run was not sent to a tracker, because of an error or for lack of one.

    Raises:
        ConfigError: a tracker or its settings are not valid.
    """
    chosen = None if logger is None else _compose_trackers(logger, settings)
    # All are composed first, so that a mistake in a setting is reported before anything is sent.
    trackers = [chosen or _trackers_of_run(run, settings) for run in runs]
    if not any(trackers):
        raise ConfigError("missing required option logger=NAME", f"set logger={_EXAMPLES}")
    failed, folders = 0, set()
    for run, components in zip(runs, trackers, strict=True):
        if not components:
            failed += 1
            print(f"{run.path}: not sent: it had no tracker; add logger=NAME", flush=True)
        for key, component in components.items():
            # Of several trackers, each line names its own.
            label = str(run.path) if key == _LOGGER else f"{run.path}, {key.partition('.')[2]}"
            try:
                print(f"{label}: {_track_run(run, component)}", flush=True)
            except UserError:
                raise
            except (Exception, SystemExit) as error:  # of a tracker; the rest is sent anyway
                logging.getLogger("lmlab").debug("tracking failed", exc_info=error)
                failed += 1
                print(f"{label}: not sent ({_first_line(error)})", flush=True)
            offline = run.offline_wandb() if "wandb" in str(component["_target_"]) else None
            if offline is not None:
                folders.add(offline if len(runs) == 1 else offline.parent)
    for folder in sorted(folders):
        print(f"wandb, offline: {wandb_sync_command(folder)}")
    return 1 if failed else 0


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".strip().splitlines()[0].removesuffix(":")


def _compose_trackers(logger: str, settings: Sequence[str]) -> dict[str, dict[str, Any]]:
    found = trackers_of(compose([f"logger={logger}", *settings]).logger.as_dict())
    if not found:
        raise ConfigError(f"logger={logger}: expected a tracker", f"set logger={_EXAMPLES}")
    return found


def _trackers_of_run(run: RunFolder, settings: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the trackers that a run was configured with, with the changed settings."""
    config = load_recorded(run).as_dict()
    if not trackers_of(config[_LOGGER]):
        return {}
    for setting in settings:
        keys, _, text = setting.partition("=")
        *parents, name = keys.split(".")
        node = config
        for parent in parents:
            if not isinstance(node.get(parent), dict):
                raise ConfigError(
                    f"{setting}: the run at {run.path} was configured with other trackers",
                    "add logger=NAME, or leave the setting out",
                )
            node = node[parent]
        node[name] = parse_text(text)
    return trackers_of(from_dict(config).logger.as_dict())


def _track_run(run: RunFolder, logger: dict[str, Any]) -> str:
    if is_alive(run.path / "run.lock"):
        return "skipped, because the run is being written"
    if is_delivered(run, logger):
        return "nothing to send; the tracker has all of it"
    config = load_recorded(run).as_dict()
    info = describe_to_tracker(run, config)
    parameters = {key: value for key, value in logger.items() if key != "_target_"}
    tracker = BoundTarget(logger["_target_"], parameters)(run_info=info)
    if isinstance(tracker, NoTracker):
        return "not sent, because the tracker is off"
    samples = read_samples(run.samples, config["samples"]["prompts"])
    try:
        if not getattr(tracker, "replays_earlier_rows", False):
            for row in info.earlier_rows:
                tracker.log(dict(row))
        if samples:
            tracker.samples(samples)
        tracker.summary(final_values(run, info.purpose))
    except BaseException:
        with contextlib.suppress(Exception, SystemExit):  # it releases what it holds
            tracker.finish(1)
        raise
    tracker.finish(0 if run.status().get("status") in ("done", "diverged") else 1)
    if getattr(tracker, "has_failed", False):
        raise RuntimeError("see the warning above")
    record_delivery(run, logger)
    step = info.earlier_rows[-1]["step"] if info.earlier_rows else 0
    return (
        f"sent {format_count(len(info.earlier_rows), 'row')} up to step {step:,}, "
        f"{format_count(len(samples), 'sample')} and the final values"
    )
