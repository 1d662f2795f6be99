"""Links from a report to the files around it: its own, run folders, logs and other studies.

Links are relative, so that a folder of outputs can be moved, and lead only to what exists.
"""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from lmlab.console.formatting import format_count
from lmlab.design.ladder import ISOFLOP
from lmlab.design.manifest import Manifest
from lmlab.errors import DataError
from lmlab.storage.fields import warn_once
from lmlab.storage.path_below import is_in_outputs
from lmlab.study.reused_runs import reused_runs
from lmlab.study.run_records import Study
from lmlab.study.sweep_folder import sweeps_in

INDEX_FILE = "index.html"
LOCAL_FILES = (
    "Run folders and logs are local files of the machine that trained the runs, below its output "
    "folder. They are not part of this write-up."
)


@dataclasses.dataclass(frozen=True)
class Links:
    """The links of a report.

    Attributes:
        files: label and name of each file beside the report.
        figures: the file names of each figure, by format.
        addresses: address of each run folder and log, by its path relative to the output root.
        studies: name, number of reused runs, and address of the report (empty without one) of each
            other study whose runs this one reuses.
        sweeps: for each further sweep in the folder of the study, which this report does not cover,
            what it is, the command that reports it, and the address of its report, or of
            its folder without one.
        index: address of the list of all studies; empty without one.
        is_published: whether the report is made from compact records, which have no run folders.
    """

    files: Sequence[tuple[str, str]] = ()
    figures: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    addresses: Mapping[str, str] = dataclasses.field(default_factory=dict)
    studies: Sequence[tuple[str, int, str]] = ()
    sweeps: Sequence[tuple[str, str, str]] = ()
    index: str = ""
    is_published: bool = False


def build_links(
    study: Study, target: Path, files: Sequence[tuple[str, str]], figures: Sequence[Path]
) -> Links:
    """Collect the links of a report in ``target``.

    Args:
        study: the study. Compact records have no run folders, so their report links to none.
        target: folder of the report.
        files: label and name of each file of the report that is there, or is about to be.
        figures: files of the figures.
    """
    by_figure: dict[str, dict[str, str]] = {}
    for path in figures:
        by_figure.setdefault(path.stem, {})[path.suffix[1:].upper()] = path.name
    root = _output_root(study)
    if root is None:
        beside = _write_up(study).parent  # published studies lie side by side
        reused = [
            (name, number, _report_of(beside / name, target))
            for name, number in reused_runs(study).items()
        ]
        return Links(files, by_figure, studies=reused, is_published=True)
    addresses = {}
    for record in study.records:
        for file in (record.folder, record.log):
            if is_in_outputs(root / file, root) and os.path.exists(root / file):
                addresses[file] = _address(root / file, target)
    studies = [
        (name, number, _report_of(root / name, target))
        for name, number in reused_runs(study).items()
    ]
    index = root / INDEX_FILE  # renewed after a report in the folder of its study
    is_listed = target.resolve() == study.folder.resolve() == root / target.resolve().name
    return Links(
        files, by_figure, addresses, studies, _further_sweeps(study, root, target),
        _address(index, target) if is_listed or index.exists() else "",
    )  # fmt: skip


def _further_sweeps(study: Study, root: Path, target: Path) -> list[tuple[str, str, str]]:
    """Return the sweeps in the folder of a study whose runs or verdicts its report leaves out.

    A damaged one is named in a warning.
    """
    shown = {(root / record.folder).resolve() for record in study.records}
    further = []
    for sweep in list(sweeps_in(study.folder))[1:]:
        try:
            manifest, entries = sweep.manifest(), sweep.entries()
        except DataError as error:
            warn_once(f"{error.message}; the report leaves this sweep out")
            continue
        if manifest.is_plain and all(entry.run.path.resolve() in shown for entry in entries):
            continue
        folder = Path(manifest.arms[0]["output_root"]) / study.folder.resolve().name
        path = folder / "sweeps" / sweep.path.name
        page = sweep.path / "report.html"
        number = format_count(len(entries), "run")
        further.append(
            (
                f"sweep {sweep.path.name} ({number} of {_describe(manifest)})",
                shlex.join(["python", "-m", "lmlab.report", str(path)]),
                _address(page if page.exists() else sweep.path, target),
            )
        )
    return further


def _describe(manifest: Manifest) -> str:
    """Return what a sweep compares: its arms, or the overrides in which its runs differ."""
    if manifest.factorial is not None:
        factors = format_count(len(manifest.factorial.factors), "factor")
        return f"a factorial study of {factors} in {len(manifest.names)} cells"
    if manifest.leave_one_out is not None:
        number = len(manifest.leave_one_out.changes)
        return f"a stack of {format_count(number, 'change')} taken apart"
    if manifest.comparison is not None:
        return f"a comparison of {format_count(len(manifest.comparison.arms), 'arm')}"
    if manifest.ladder is not None:
        arms, rungs = len(manifest.ladder.arms), len(manifest.ladder.rungs)
        if manifest.ladder.analysis == ISOFLOP:
            budgets = format_count(rungs, "budget")
            return f"an isoFLOP study of {format_count(arms, 'size')} at {budgets}"
        return f"a ladder of {format_count(arms, 'arm')} on {format_count(rungs, 'rung')}"
    shared = set.intersection(*map(set, manifest.overrides))
    typed = [one for overrides in manifest.overrides for one in overrides if one not in shared]
    keys = dict.fromkeys(one.partition("=")[0] for one in typed)
    return f"a sweep over {', '.join(keys)}" if keys else "a plain sweep"


def _output_root(study: Study) -> Path | None:
    """Return the folder to which the run folders of a study are relative; None for records."""
    folder = study.folder.resolve()
    if (folder / "records.jsonl").exists() or (folder / "records" / "records.jsonl").exists():
        return None
    return folder.parents[2] if folder.parent.name == "sweeps" else folder.parent


def _write_up(study: Study) -> Path:
    """Return the folder of the write-up to which compact records belong."""
    folder = study.folder.resolve()
    return folder.parent if folder.name == "records" else folder


def _report_of(folder: Path, target: Path) -> str:
    """Return the address of the report in the folder of another study; empty without one."""
    page = folder / "report.html"
    return _address(page, target) if page.exists() else ""


def _address(path: Path, target: Path) -> str:
    relative = os.path.relpath(path, target.resolve())
    return quote(relative.replace(os.sep, "/")) + ("/" if path.is_dir() else "")
