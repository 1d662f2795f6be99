"""The page that lists all studies of an output folder, from the summaries beside their reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lmlab.storage.fields import COUNT, warn_once, wrong_field
from lmlab.storage.io import atomic_write_text, read_json
from lmlab.storage.json_text import dump_json
from lmlab.storage.record_fields import SUMMARY
from lmlab.study.links import INDEX_FILE
from lmlab.study.page import render_template
from lmlab.study.study_facts import STATES

SUMMARY_FILE = "report.json"
_OMITTED = (
    "curves",
    "train_curves",
    "samples",
)  # most of the size of a report, and of no use in a list
_LINKED = (("report.md", "Markdown"), ("results.csv", "CSV"))


def write_summary(content: dict[str, Any], target: Path) -> None:
    """Write the content of a report, without curves and samples, as ``report.json``.

    Args:
        content: result of :func:`lmlab.study.report_content.build_content`.
        target: folder of the report.
    """
    summary = {key: value for key, value in content.items() if key not in _OMITTED}
    text = dump_json(summary, indent=1, sort_keys=True)
    atomic_write_text(target / SUMMARY_FILE, text + "\n")


def write_index(output_root: Path) -> Path:
    """Write ``index.html``, which lists the studies in ``output_root`` that have a report.

    The newest result comes first. The same reports give the same bytes.
    """
    studies = [_entry(path.parent) for path in output_root.glob(f"*/{SUMMARY_FILE}")]
    known = [study for study in studies if study is not None]
    known.sort(key=lambda study: study["folder"])
    known.sort(key=lambda study: study["generated"], reverse=True)
    path = output_root / INDEX_FILE
    atomic_write_text(path, render_template("index.html", studies=known))
    return path


def _entry(folder: Path) -> dict[str, Any] | None:
    """Read what the list shows of a study; None without a readable summary and page."""
    path = folder / SUMMARY_FILE
    try:
        summary = read_json(path)
    except OSError:
        return None  # a report that is being deleted
    except ValueError as error:
        warn_once(f"{path}: cannot be read ({error}); the list leaves the study out")
        return None
    wrong = wrong_field(summary, SUMMARY, (*SUMMARY, "finished"))
    if wrong is not None:
        warn_once(f"{path}: {wrong}; the list leaves the study out")
        return None
    if not (folder / "report.html").exists():
        return None
    newest = summary["generated"]
    facts = [f"newest result {newest[:16].replace('T', ' ')} UTC"] if newest else []
    return {
        "folder": folder.name,
        "facts": facts if summary["finished"] else [*facts, "not finished"],
        "links": [(name, label) for name, label in _LINKED if (folder / name).exists()],
        "counts": {state: _count(summary["counts"].get(state)) for state in STATES},
        **{key: summary[key] for key in ("study", "title", "question", "headline", "generated")},
    }


def _count(value: Any) -> int:
    return int(value) if COUNT.accepts(value) else 0
