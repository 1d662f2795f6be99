"""``python -m lmlab.report``: write the report of a study, from its files alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from lmlab.console.command_line import Command
from lmlab.console.options import argument, option
from lmlab.console.stdout import run_main


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of the command."""

    study: Path = argument(
        aliases=("run", "folder"),
        metavar="STUDY",
        help="outputs/<study>, or a folder written by lmlab.publish",
    )
    to: Path | None = option(
        None, metavar="FOLDER", help="folder for the report; null: the folder of the study"
    )


def report(options: Options) -> None:
    """Write the report, and print its summary and path."""
    # Importing matplotlib and scipy takes a second; mistakes in the options are reported before.
    from lmlab.study.write_report import write_report

    for line in write_report(options.study, options.to):
        print(line)


COMMAND = Command(
    name="report",
    options=Options,
    act=report,
    description="Write report.html, report.md, results.csv and the figures of a study.\n"
    "Works on unfinished studies.\n"
    "Output is deterministic: identical inputs give byte-identical files.",
    examples=["outputs/ablations"],
    allow_abbrev=True,
)


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    return COMMAND.run(argv)


if __name__ == "__main__":
    run_main(main)
