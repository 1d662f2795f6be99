"""The command line of ``python -m lmlab.outputs``."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from lmlab.console.command_line import Command, CommandGroup
from lmlab.console.options import argument, option
from lmlab.console.stdout import run_main
from lmlab.errors import ConfigError
from lmlab.outputs import note_commands
from lmlab.outputs.delete import delete, parse_targets
from lmlab.outputs.entries import find_caches, find_runs
from lmlab.outputs.list_command import LIST, FilterOptions, check_root
from lmlab.outputs.prune import prune
from lmlab.outputs.run_diff import compare, describe, read_run
from lmlab.outputs.tracker_commands import TRACK
from lmlab.storage.json_text import dump_json


@dataclasses.dataclass(frozen=True)
class PruneOptions(FilterOptions):
    """The options of ``prune``."""

    checkpoints_only: bool = option(
        False,
        help="remove only the checkpoints that runs resume from, and keep the best weights and all "
        "records; an unfinished run then restarts from step 0",
    )
    caches: bool = option(False, help="remove caches instead of runs")
    force: bool = option(
        False,
        help="also remove runs that another study uses, or another run continues or names in a "
        "setting",
    )
    yes: bool = option(False, help="do not ask for confirmation")
    dry_run: bool = option(False, help="print what would be removed, and remove nothing")

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_exclusive("--checkpoints-only", self.checkpoints_only, "--caches", self.caches)
        _check_exclusive("--yes", self.yes, "--dry-run", self.dry_run)
        if not (self.status or self.older_than or self.tag or self.caches):
            raise ConfigError(
                "prune: nothing is selected", "add --status, --older-than, --tag or --caches"
            )
        if self.caches and self.status:
            raise ConfigError(f"status={self.status}: caches have no status", "remove --status")
        if self.caches and self.tag:
            raise ConfigError(f"tag={self.tag}: caches have no tags", "remove --tag")
        _check_exclusive("--caches", self.caches, "--force", self.force)


@dataclasses.dataclass(frozen=True)
class DeleteOptions:
    """The options of ``delete``."""

    targets: tuple[str, ...] = argument(
        (),
        metavar="FOLDER",
        help="runs, arms or studies; or a condition such as 'loss>3.5' on the last validation loss",
        aliases=("run", "runs"),
    )
    study: str = option("", metavar="NAME,...", help="studies; * and ? match any characters")
    root: Path = option(Path("outputs"), metavar="FOLDER", help="the output folder")
    force: bool = option(
        False,
        help="also delete runs that another study uses, or another run continues or names in a "
        "setting",
    )
    yes: bool = option(False, help="do not ask for confirmation")
    dry_run: bool = option(False, help="print what would be deleted, and delete nothing")

    def __post_init__(self) -> None:
        check_root(self.root)
        _check_exclusive("--yes", self.yes, "--dry-run", self.dry_run)


@dataclasses.dataclass(frozen=True)
class DiffOptions:
    """The options of ``diff``."""

    runs: tuple[Path, ...] = argument(metavar="FOLDER", help="two runs", aliases=("run",))
    json: bool = option(False, help="print JSON, with the losses of every step")

    def __post_init__(self) -> None:
        if len(self.runs) != 2:
            raise ConfigError(f"diff: expected two runs, found {len(self.runs)}")


def _check_exclusive(first: str, has_first: bool, second: str, has_second: bool) -> None:
    if has_first and has_second:
        raise ConfigError(f"{first} {second}: expected only one of them", f"remove {second}")


def prune_entries(options: PruneOptions) -> int:
    """Remove runs, their checkpoints, or caches. Returns the exit code."""
    entries = find_caches(options.root) if options.caches else find_runs(options.root)
    return prune(
        options.root,
        options.select(entries),
        checkpoints_only=options.checkpoints_only,
        force=options.force,
        yes=options.yes,
        dry_run=options.dry_run,
    )


def delete_entries(options: DeleteOptions) -> int:
    """Delete the selected runs. Returns the exit code."""
    selection = parse_targets(options.targets, options.study, options.root)
    return delete(
        options.root, selection, force=options.force, yes=options.yes, dry_run=options.dry_run
    )


def diff_runs(options: DiffOptions) -> None:
    """Print the differences between two runs."""
    first, second = map(read_run, options.runs)
    difference = compare(first, second)
    lines = [dump_json(difference, indent=2)] if options.json else describe(difference)
    print("\n".join(lines))


COMMAND = CommandGroup(
    name="outputs",
    description="List the runs and caches on disk, compare and annotate runs, send them to a\n"
    "tracker, and remove what is obsolete.",
    default="list",
    commands={
        "list": LIST,
        "prune": Command(
            name="outputs prune",
            options=PruneOptions,
            act=prune_entries,
            description="Remove runs, their checkpoints, or caches, after confirmation.",
            notes="At least one of --status, --older-than, --tag and --caches is required. Runs "
            "that are being written or queued, that another study uses, or that another run "
            "continues or names in a setting are kept.",
            examples=[
                "--status failed,diverged",
                "--older-than 30d --yes",
                "--older-than 7d --dry-run",
                "--checkpoints-only --status done",
                "--caches",
            ],
        ),
        "delete": Command(
            name="outputs delete",
            options=DeleteOptions,
            act=delete_entries,
            description="Delete chosen runs or studies, after confirmation.",
            notes="Runs must meet all conditions. Runs that are being written, that another study "
            "uses, or that another run continues or names in a setting are kept, and named. Caches "
            "stay.",
            examples=[
                "outputs/runs/first/seed0",
                "study=first_sweep --dry-run",
                "study=first_sweep 'loss>3.5'",
            ],
        ),
        "diff": Command(
            name="outputs diff",
            options=DiffOptions,
            act=diff_runs,
            description="Print how two runs differ: settings, data, versions, losses, samples.",
            examples=["outputs/runs/first/seed0 outputs/runs/second/seed0", "A B --json"],
        ),
        "track": TRACK,
        **note_commands.COMMANDS,
    },
)


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    return COMMAND.run(argv)


if __name__ == "__main__":
    run_main(main)
