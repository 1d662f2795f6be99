"""``outputs track`` and ``outputs annotate``: runs in trackers, and notes and tags of runs."""

from __future__ import annotations

import dataclasses

from lmlab.console.command_line import Command
from lmlab.console.logging import log_to_stderr
from lmlab.console.options import argument, option
from lmlab.errors import ConfigError

_UNCHANGED = "unchanged"


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


@dataclasses.dataclass(frozen=True)
class AnnotateOptions:
    """The options of ``annotate``."""

    runs: tuple[str, ...] = argument(
        metavar="FOLDER",
        help="run folders, or folders of studies for all of their runs",
        aliases=("run",),
    )
    notes: str = option(_UNCHANGED, metavar="TEXT", help="replaces the notes; empty removes them")
    tags: str = option(_UNCHANGED, metavar="TAG,...", help="replaces the tags; empty removes them")

    def __post_init__(self) -> None:
        if self.notes == self.tags == _UNCHANGED:
            raise ConfigError("annotate: nothing to change", "set notes=TEXT or tags=TAG,...")


def track_runs(options: TrackOptions) -> int:
    """Send runs that have ended to a tracker. Returns the exit code."""
    # Composing takes time to import.
    from lmlab.outputs.track import find_run_folders, split_arguments, track

    log_to_stderr()
    folders, settings = split_arguments(options.runs)
    return track(find_run_folders(folders), options.logger, settings)


def annotate_runs(options: AnnotateOptions) -> None:
    """Replace notes and tags of runs."""
    from lmlab.outputs.track import find_run_folders

    notes = None if options.notes == _UNCHANGED else options.notes
    tags = None if options.tags == _UNCHANGED else _split_tags(options.tags)
    for run in find_run_folders(options.runs):
        run.annotate(notes, tags)
        kept_notes, kept_tags = run.annotations()
        print(f"{run.path}: notes: {kept_notes or 'none'}; tags: {', '.join(kept_tags) or 'none'}")


def _split_tags(text: str) -> list[str]:
    return [tag.strip() for tag in text.strip("[]").split(",") if tag.strip()]


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
ANNOTATE = Command(
    name="outputs annotate",
    options=AnnotateOptions,
    act=annotate_runs,
    description="Set notes and tags of runs, which status, reports and trackers show.",
    examples=['outputs/runs/default/seed0 notes="loss spike at step 300" tags=odd,keep'],
)
