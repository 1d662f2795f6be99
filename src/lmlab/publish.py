"""``python -m lmlab.publish``: keep a study's records beside a write-up, small enough for git."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lmlab.console.command_line import run_main
from lmlab.demos import CONTENTS_FILE
from lmlab.errors import DataError, UserError
from lmlab.storage.io import atomic_write_bytes, make_folder, read_json


def publish(study_folder: Path, target: Path) -> list[str]:
    """Write compact records into ``target/records``, and the write-up made of them.

    The write-up is made from the records just written, so that it can be made again from them by
    ``python -m lmlab.publish target`` and is the same then. An exhibit has no records: its write-up
    is copied, and made again by the command that stands in it.

    Args:
        study_folder: ``outputs/<study>``, or ``target`` itself to make the write-up again.
        target: ``experiments/<study>``.

    Returns:
        The verdicts in words, and where the write-up is.

    Raises:
        DataError: there is no study, it has no manifest, or the write-up of another one stands in
            ``target``.
    """
    if (study_folder / CONTENTS_FILE).exists():
        return _copy_demo(study_folder, target)
    from lmlab.study.run_records import load_study, write_compact
    from lmlab.study.write_report import write_report_of

    records = target / "records"
    if study_folder.resolve() != target.resolve():
        study = load_study(study_folder)
        if study.manifest is None:
            raise DataError(f"{study_folder}: these runs were made by no study or sweep")
        _refuse_another(target, study.name)
        write_compact(study, records)
    return write_report_of(load_study(records), target, markdown="README.md")


def _copy_demo(folder: Path, target: Path) -> list[str]:
    contents = read_json(folder / CONTENTS_FILE)
    _refuse_another(target, contents["title"])
    make_folder(target)
    for name in contents["files"]:
        kept = "README.md" if name == "report.md" else name
        atomic_write_bytes(target / kept, (folder / name).read_bytes())
    return [f"write-up: {target / 'README.md'}"]


def _refuse_another(target: Path, study: str) -> None:
    """Raise :class:`DataError` where ``target`` holds something else than ``study`` kept."""
    manifest, write_up = target / "records" / "manifest.json", target / "README.md"
    if manifest.is_file():
        path, there = manifest, read_json(manifest).get("study")
    elif write_up.is_file():
        path, there = write_up, write_up.read_text("utf-8").partition("\n")[0].removeprefix("# ")
    else:
        return
    if there not in (study, study.replace("_", " ")):  # as the title of a report has it
        raise DataError(
            f'{path} is of "{there}", not of the study "{study}"; choose another folder, or remove '
            "what stands there"
        )


def main(argv: list[str]) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m lmlab.publish",
        description="Write a study's compact run records and its write-up (README.md, report.html, "
        "figures, results.csv) into a folder, for keeping in git.",
        epilog="examples: python -m lmlab.publish outputs/ablations experiments/ablations   ·   "
        "python -m lmlab.publish experiments/ablations   (makes the write-up again)",
    )
    parser.add_argument("study", type=Path, help="outputs/<study>, or a folder written before")
    parser.add_argument("target", type=Path, nargs="?", help="default: the study itself")
    arguments = parser.parse_args(argv)
    try:
        for line in publish(arguments.study, arguments.target or arguments.study):
            print(line)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    run_main(main)
