"""``python -m lmlab.publish``: write a study's records and write-up, small enough for git."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from lmlab.console.command_line import Command
from lmlab.console.options import argument
from lmlab.console.stdout import run_main
from lmlab.demos import CONTENTS_FILE
from lmlab.errors import DataError
from lmlab.storage.fields import TEXT, TEXTS, read_valid
from lmlab.storage.io import atomic_write_bytes, make_folder, translate_read_errors
from lmlab.storage.path_below import path_below


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of the command."""

    study: Path = argument(
        aliases=("run", "folder"), metavar="STUDY", help="outputs/<study>, or a published folder"
    )
    target: Path | None = argument(
        None,
        aliases=("to",),
        metavar="TARGET",
        help="folder to write to; if omitted, regenerate the write-up in STUDY",
    )


def publish(study_folder: Path, target: Path) -> list[str]:
    """Write compact records to ``target/records``, and a write-up generated from them.

    ``python -m lmlab.publish target`` regenerates the same write-up from the records. A demo has no
    records: its write-up is copied, and the command in it regenerates it.

    Args:
        study_folder: ``outputs/<study>``, or ``target`` itself to regenerate the write-up.
        target: ``experiments/<study>``.

    Returns:
        The verdicts as sentences, and the path of the write-up.

    Raises:
        DataError: the study does not exist or has no manifest, ``target`` contains another study,
            or it contains none whose write-up could be regenerated.
    """
    if (study_folder / CONTENTS_FILE).exists():
        return _copy_demo(study_folder, target)
    from lmlab.study.run_records import load_study
    from lmlab.study.write_records import write_compact
    from lmlab.study.write_report import write_report_of

    records = target / "records"
    if study_folder.resolve() != target.resolve():
        study = load_study(study_folder)
        if study.manifest is None:
            raise DataError(
                f"{study_folder}: expected the runs of a study or sweep",
                "start them with experiment=..., design=... or a sweep (-m)",
            )
        _refuse_another(target, study.name)
        write_compact(study, records)
    elif not target.is_dir():
        raise DataError(f"{target}: no such folder", "pass outputs/<study> and a TARGET")
    elif not records.is_dir():
        raise DataError(
            f"{target}: not a published folder (no records/)", "add a TARGET to publish a study"
        )
    return write_report_of(
        load_study(records), target, markdown="README.md", formats=("png", "svg")
    )


def _copy_demo(folder: Path, target: Path) -> list[str]:
    listed = folder / CONTENTS_FILE
    contents = read_valid(listed, {"title": TEXT, "files": TEXTS}, ("title", "files"))
    _refuse_another(target, contents["title"])
    make_folder(target)
    # The repository keeps one binary form of each figure.
    names = [name for name in contents["files"] if Path(name).suffix != ".pdf"]
    sources = {name: path_below(folder, name, f"{listed}: files") for name in names}
    for name, source in sources.items():
        with translate_read_errors(f"{source}, which {listed} names,"):
            content = source.read_bytes()
        target_name = "README.md" if name == "report.md" else name
        atomic_write_bytes(target / target_name, content)
    return [f"write-up: {target / 'README.md'}"]


def _refuse_another(target: Path, study: str) -> None:
    """Raise :class:`DataError` if ``target`` holds the write-up of another study."""
    manifest, write_up = target / "records" / "manifest.json", target / "README.md"
    if manifest.is_file():
        path, found = manifest, read_valid(manifest, {"study": TEXT}).get("study")
    elif write_up.is_file():
        text = write_up.read_bytes().decode("utf-8", "replace")
        path, found = write_up, text.partition("\n")[0].removeprefix("# ")
    else:
        return
    if found not in (study, study.replace("_", " ")):  # the latter is the title of a report
        raise DataError(
            f'{path}: contains the study "{found}", not "{study}"',
            "choose another folder, or remove this one",
        )


def act(options: Options) -> None:
    """Publish a study, and print its summary."""
    for line in publish(options.study, options.target or options.study):
        print(line)


COMMAND = Command(
    name="publish",
    options=Options,
    act=act,
    description="Write a study's condensed run records (records.jsonl) and its write-up\n"
    "(README.md, report.html, figures, results.csv) to a folder that you can commit to Git.\n"
    "With only a published folder as argument, regenerate its write-up.",
    examples=["outputs/ablations experiments/ablations", "experiments/ablations"],
    allow_abbrev=True,
)


def main(argv: list[str]) -> int:
    """Run the command; return its exit code."""
    return COMMAND.run(argv)


if __name__ == "__main__":
    run_main(main)
