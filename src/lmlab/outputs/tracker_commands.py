"""``outputs track``: runs in trackers."""

from __future__ import annotations

import dataclasses

from lmlab.console.command_line import Command
from lmlab.console.logging import log_to_stderr
from lmlab.console.options import argument, option
from lmlab.study.named_runs import find_run_folders


@dataclasses.dataclass(frozen=True)
class TrackOptions:
    """The options of ``track``."""

    runs: tuple[str, ...] = argument(
        metavar="FOLDER",
        help="run folders, or folders of studies; and settings logger.KEY=VALUE",
        aliases=("run",),
    )
    logger: str | None = option(
        None,
        metavar="NAME",
        help="wandb, tensorboard, trackio or your own, or a list of these; null: those that the "
        "run had",
    )


def track_runs(options: TrackOptions) -> int:
    """Send runs that have ended to a tracker. Returns the exit code."""
    # Composing takes time to import.
    from lmlab.outputs.track import split_arguments, track

    log_to_stderr()
    folders, settings = split_arguments(options.runs)
    return track(find_run_folders(folders), options.logger, settings)


TRACK = Command(
    name="outputs track",
    options=TrackOptions,
    act=track_runs,
    description="Send runs that have ended to a tracker; what it has already is not sent.",
    examples=[
        "outputs/runs/default/seed0 logger=wandb",
        "outputs/ablations logger=trackio logger.project=mine",
    ],
)
