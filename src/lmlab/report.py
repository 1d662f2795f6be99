"""``python -m lmlab.report``: write the report of a study, from its files alone."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lmlab.console.command_line import run_main
from lmlab.errors import UserError


def main(argv: list[str]) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m lmlab.report",
        description="Write report.html, report.md, results.csv and figures of a study, finished or "
        "not. The same files give the same bytes.",
        epilog="example: python -m lmlab.report outputs/ablations",
    )
    parser.add_argument("study", type=Path, help="outputs/<study>, or a folder of compact records")
    parser.add_argument("--to", type=Path, help="where the report goes; default: into the folder")
    arguments = parser.parse_args(argv)
    # Matplotlib and scipy take a second to import: help comes before.
    from lmlab.study.write_report import write_report

    try:
        for line in write_report(arguments.study, arguments.to):
            print(line)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    run_main(main)
