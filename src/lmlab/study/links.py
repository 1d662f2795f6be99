"""Links from a report to what lies beside it: files, run folders, logs and other studies.

Links are relative, so that a folder of outputs can be moved, and lead only to what exists.
"""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from lmlab.study.run_records import Study

INDEX_FILE = "index.html"


@dataclasses.dataclass(frozen=True)
class Links:
    """The links of a report.

    Attributes:
        files: label and name of each file beside the report.
        figures: the file names of each figure, by format.
        places: address of each run folder and log, by its path relative to the output root.
        studies: name, number of reused runs, and address of the report (empty without one) of each
            other study whose runs this one reuses.
        index: address of the list of all studies; empty without one.
    """

    files: Sequence[tuple[str, str]] = ()
    figures: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    places: Mapping[str, str] = dataclasses.field(default_factory=dict)
    studies: Sequence[tuple[str, int, str]] = ()
    index: str = ""


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
        return Links(files, by_figure, studies=[(*one, "") for one in _reused(study).items()])
    places = {}
    for record in study.records:
        for place in (record.folder, record.log):
            if (root / place).exists():
                places[place] = _address(root / place, target)
    studies = []
    for name, number in _reused(study).items():
        page = root / name / "report.html"
        studies.append((name, number, _address(page, target) if page.exists() else ""))
    index = root / INDEX_FILE  # renewed after a report in the folder of its study
    is_listed = target.resolve() == study.folder.resolve() == root / target.resolve().name
    return Links(
        files, by_figure, places, studies,
        _address(index, target) if is_listed or index.exists() else "",
    )  # fmt: skip


def _output_root(study: Study) -> Path | None:
    """Return the folder to which the run folders of a study are relative; None for records."""
    folder = study.folder.resolve()
    if (folder / "records.jsonl").exists() or (folder / "records" / "records.jsonl").exists():
        return None
    return folder.parents[2] if folder.parent.name == "sweeps" else folder.parent


def _reused(study: Study) -> dict[str, int]:
    """Return how many runs of each other study this one reuses."""
    folder = study.folder.resolve()
    own = {study.name, folder.parents[1].name if folder.parent.name == "sweeps" else folder.name}
    owners = (_owner(record.folder) for record in study.records)
    return dict(sorted(Counter(name for name in owners if name not in own).items()))


def _owner(folder: str) -> str:
    """Return the study in whose folder a run lies: ``<study>/<arm>/seed<k>``."""
    parts = Path(folder).parts
    return parts[0] if not Path(folder).is_absolute() else str(Path(folder).parents[1])


def _address(path: Path, target: Path) -> str:
    relative = os.path.relpath(path, target.resolve())
    return quote(relative.replace(os.sep, "/")) + ("/" if path.is_dir() else "")
