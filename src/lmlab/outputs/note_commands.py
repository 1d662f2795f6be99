"""Commands for the notes and tags of runs, which ``notes.json`` in each run folder holds.

``annotate`` replaces both. ``tag`` and ``untag`` change single tags, and ``note`` the notes alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lmlab.console.command_line import Command
from lmlab.console.options import argument, option
from lmlab.errors import ConfigError
from lmlab.run_folder import RunFolder
from lmlab.study.named_runs import find_run_folders

_UNCHANGED = "unchanged"
_RUNS = "run folders, or folders of studies for all of their runs"


@dataclasses.dataclass(frozen=True)
class AnnotateOptions:
    """The options of ``annotate``."""

    runs: tuple[str, ...] = argument(metavar="FOLDER", help=_RUNS, aliases=("run",))
    notes: str = option(_UNCHANGED, metavar="TEXT", help="replaces the notes; empty removes them")
    tags: str = option(_UNCHANGED, metavar="TAG,...", help="replaces the tags; empty removes them")

    def __post_init__(self) -> None:
        if self.notes == self.tags == _UNCHANGED:
            raise ConfigError("annotate: nothing to change", "set notes=TEXT or tags=TAG,...")


@dataclasses.dataclass(frozen=True)
class TagOptions:
    """The options of ``tag`` and ``untag``: run folders, then tags."""

    words: tuple[str, ...] = argument(
        metavar="FOLDER ... TAG,...", help=f"{_RUNS}; at the end, tags separated by commas"
    )

    def __post_init__(self) -> None:
        _check_last(self.words, "a tag", "outputs tag FOLDER good")
        if not split_tags(self.words[-1]):
            raise ConfigError(f"tags={self.words[-1]}: expected one tag or more", "as in good,keep")


@dataclasses.dataclass(frozen=True)
class NoteOptions:
    """The options of ``note``: run folders, then a text."""

    words: tuple[str, ...] = argument(
        metavar="FOLDER ... TEXT", help=f"{_RUNS}; at the end, the note; empty removes it"
    )

    def __post_init__(self) -> None:
        _check_last(self.words, "a note", 'outputs note FOLDER "a text"')


def _check_last(words: Sequence[str], expected: str, example: str) -> None:
    """Refuse a command line whose last word is a run: what to set is missing."""
    if len(words) < 2 or (words[-1] and Path(words[-1]).is_dir()):
        raise ConfigError(f"{words[-1]}: expected run folders and then {expected}",
                          f"for example {example}")  # fmt: skip


def split_tags(text: str) -> list[str]:
    """Return the tags in a list such as ``good,keep``, each once; brackets are ignored."""
    tags = (tag.strip() for tag in text.strip("[]").split(","))
    return list(dict.fromkeys(tag for tag in tags if tag))


def annotate_runs(options: AnnotateOptions) -> None:
    """Replace notes and tags of runs."""
    notes = None if options.notes == _UNCHANGED else options.notes
    tags = None if options.tags == _UNCHANGED else split_tags(options.tags)
    _change(options.runs, notes, lambda old: tags)


def tag_runs(options: TagOptions) -> None:
    """Add tags to runs; those that a run has stay in their order."""
    *runs, tags = options.words
    _change(runs, None, lambda old: list(dict.fromkeys([*old, *split_tags(tags)])))


def untag_runs(options: TagOptions) -> None:
    """Remove tags from runs; a run without one of them stays as it is."""
    *runs, tags = options.words
    removed = split_tags(tags)
    _change(runs, None, lambda old: [tag for tag in old if tag not in removed])


def note_runs(options: NoteOptions) -> None:
    """Replace the notes of runs."""
    *runs, text = options.words
    _change(runs, text, lambda old: None)


def _change(
    paths: Sequence[str], notes: str | None, new_tags: Callable[[list[str]], list[str] | None]
) -> None:
    """Change all runs, once every path is known to lead to some, and print what they have now."""
    for run in find_run_folders(paths):
        run.annotate(notes, new_tags(run.annotations()[1]))
        print(f"{run.path}: {_describe(run)}")


def _describe(run: RunFolder) -> str:
    notes, tags = run.annotations()
    return f"notes: {notes or 'none'}; tags: {', '.join(tags) or 'none'}"


ANNOTATE = Command(
    name="outputs annotate",
    options=AnnotateOptions,
    act=annotate_runs,
    description="Set notes and tags of runs, which status, reports and trackers show.",
    examples=['outputs/runs/default/seed0 notes="loss spike at step 300" tags=odd,keep'],
)
TAG = Command(
    name="outputs tag",
    options=TagOptions,
    act=tag_runs,
    description="Add tags to runs; annotate replaces all of them.",
    examples=["outputs/runs/default/seed0 good"],
)
UNTAG = Command(
    name="outputs untag",
    options=TagOptions,
    act=untag_runs,
    description="Remove tags from runs.",
    examples=["outputs/ablations odd,keep"],
)
NOTE = Command(
    name="outputs note",
    options=NoteOptions,
    act=note_runs,
    description="Replace the notes of runs.",
    examples=['outputs/runs/default/seed0 "loss spike at step 300"'],
)
COMMANDS: dict[str, Command[Any]] = {"annotate": ANNOTATE, "tag": TAG, "untag": UNTAG, "note": NOTE}
