"""``outputs list``: runs and caches in the terminal, or all results as one file."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

from lmlab.console.command_line import Command
from lmlab.console.options import option
from lmlab.errors import ConfigError, DataError, suggestion
from lmlab.outputs.entries import (
    AGE_UNITS,
    Entry,
    find_caches,
    find_runs,
    print_entries,
    select,
)
from lmlab.outputs.note_commands import split_tags
from lmlab.run_folder import STATUSES, RunFolder

# What the table in the terminal shows of each run anyway.
_OF_ENTRIES = ("run", "size", "age", "status")
_FILES = "- prints it"


@dataclasses.dataclass(frozen=True)
class FilterOptions:
    """The options that choose runs and caches."""

    root: Path = option(
        Path("outputs"), by_position=True, metavar="FOLDER", help="the output folder"
    )
    status: str = option(
        "",
        metavar="STATUS,...",
        help=f"only runs with one of these statuses: {', '.join(STATUSES)}",
    )
    older_than: str = option(
        "", metavar="AGE", help="only entries of at least this age, e.g. 90m, 12h, 7d"
    )
    tag: str = option("", metavar="TAG,...", help="only runs with one of these tags")

    def __post_init__(self) -> None:
        parse_statuses(self.status)
        parse_age(self.older_than)
        check_root(self.root)

    def select(self, entries: list[Entry]) -> list[Entry]:
        """Return the entries that meet all conditions."""
        tags = split_tags(self.tag)
        chosen = select(entries, parse_statuses(self.status), parse_age(self.older_than))
        return [one for one in chosen if not tags or set(tags) & set(one.tags)]


@dataclasses.dataclass(frozen=True)
class ListOptions(FilterOptions):
    """The options of ``list``."""

    sort: str = option(
        "",
        metavar="KEY",
        help="only runs, in the order of size, age, or a column of the results, such as loss, "
        "tokens or optim.lr; -KEY: the largest first",
    )
    csv: Path | None = option(None, metavar="FILE", help=f"write all results as CSV; {_FILES}")
    json: Path | None = option(None, metavar="FILE", help=f"write them as JSON; {_FILES}")
    parquet: Path | None = option(None, metavar="FILE", help="write them as Parquet")

    def files(self) -> dict[str, Path]:
        """The files to write, by their form."""
        forms = {"csv": self.csv, "json": self.json, "parquet": self.parquet}
        return {form: path for form, path in forms.items() if path is not None}


def check_root(root: Path) -> None:
    """Raise :class:`DataError` unless there is an output folder."""
    if not root.is_dir():
        raise DataError(f"root={root}: no such folder")


def parse_age(text: str) -> float:
    """Convert an age such as ``90m``, ``12h``, ``7d``, ``2w`` to seconds; an empty text is 0.

    Raises:
        ConfigError: the text is not an age.
    """
    if not text:
        return 0.0
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([mhdw])", text)
    if not found:
        raise ConfigError(f"older_than={text}: expected an age such as 90m, 12h, 7d or 2w")
    return float(found[1]) * AGE_UNITS[found[2]]


def parse_statuses(text: str) -> list[str]:
    """Split a comma-separated list of statuses. Raises :class:`ConfigError` for unknown ones."""
    statuses = [part for part in text.split(",") if part]
    for status in statuses:
        if status not in STATUSES:
            raise ConfigError(
                f"status={status}: expected one of {', '.join(STATUSES)}",
                suggestion(status, STATUSES),
            )
    return statuses


def list_entries(options: ListOptions) -> None:
    """Print runs and caches, or write the results of the runs to files."""
    root = options.root
    if options.files():
        _write(options, options.select(find_runs(root)))
    elif options.sort:
        print_entries(root, _sorted(options, options.select(find_runs(root))))
    else:
        has_runs_only = bool(options.status or options.tag)
        entries = find_runs(root) if has_runs_only else [*find_runs(root), *find_caches(root)]
        print_entries(root, options.select(entries))


def _write(options: ListOptions, entries: list[Entry]) -> None:
    from lmlab.study.result_files import write_results
    from lmlab.study.result_rows import read_results

    table = read_results(options.root, [RunFolder(entry.path) for entry in entries])
    table = table.sorted_by(options.sort) if options.sort else table
    for form, path in options.files().items():
        write_results(table, form, path)


def _sorted(options: ListOptions, entries: list[Entry]) -> list[Entry]:
    """Return runs in the order of a key, with its value where the list would not show it."""
    key, sign = options.sort.removeprefix("-"), -1 if options.sort.startswith("-") else 1
    if key in ("size", "age"):
        return sorted(
            entries, key=lambda one: sign * (one.bytes if key == "size" else one.age_seconds)
        )
    from lmlab.design.run_keys import typed_text
    from lmlab.study.result_rows import read_results

    table = read_results(options.root, [RunFolder(entry.path) for entry in entries])
    by_path = {str(entry.path): entry for entry in entries}

    def shown() -> Iterator[Entry]:
        for row in table.sorted_by(options.sort).rows:
            entry, value = by_path[str(row["run"])], row[key]
            is_new = key not in (*_OF_ENTRIES, "loss") and value is not None
            text = f", {key}={typed_text(value)}" if is_new else ""
            yield dataclasses.replace(entry, detail=entry.detail + text)

    return list(shown())


LIST = Command(
    name="outputs list",
    options=ListOptions,
    act=list_entries,
    description="List runs and caches with status, size, age and progress, or write all results "
    "to a file.",
    notes="A file has one row for each run: its names, all settings that differ between the runs, "
    "by dotted key, and its results. lmlab.results(FOLDER) returns the same as a DataFrame.",
    examples=["", "--status failed", "sort=loss", "tag=good --parquet runs.parquet"],
)
