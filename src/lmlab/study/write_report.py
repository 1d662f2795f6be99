"""The report of a study: a page, Markdown, figures and a table, from the study's files."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lmlab.storage.io import atomic_write_text
from lmlab.study.csv_tables import (
    render_csv,
    render_effects_csv,
    render_gains_csv,
    render_optima_csv,
    render_sweep_csv,
    render_verdicts_csv,
)
from lmlab.study.figure_style import FORMATS
from lmlab.study.figures import draw_figures
from lmlab.study.index_page import write_index, write_summary
from lmlab.study.links import build_links
from lmlab.study.markdown import render_markdown
from lmlab.study.page import render_page
from lmlab.study.report_content import build_content
from lmlab.study.run_records import Study, is_study_folder, load_study


def write_report(folder: Path, target: Path | None = None) -> list[str]:
    """Write ``report.html``, ``report.md``, ``report.json``, ``results.csv`` and figures.

    A plain sweep also gets ``sweep.csv``, the table of its results, a study with ``design.metrics``
    ``verdicts.csv``, a ladder ``gains.csv``, an isoFLOP study ``optima.csv``, and a factorial study
    ``effects.csv``.

    A report in the folder of its study also renews ``index.html``, the list of all studies, beside
    that folder. The same files give the same bytes. Unfinished studies are reported with the
    results so far.

    Args:
        folder: folder of the study, or of compact records.
        target: folder for the report; None for ``folder``.

    Returns:
        Lines to print: the headline and the path of the report.

    Raises:
        DataError: the folder contains no study.
    """
    folder = Path(folder)
    target = target or folder
    study = load_study(folder)
    content = build_content(study)
    lines = _write(study, content, target, "report.md")
    write_summary(content, target)
    if target == folder and is_study_folder(folder):
        lines.append(f"all studies: {write_index(folder.absolute().parent)}")
    return lines


def write_report_of(
    study: Study, target: Path, markdown: str = "report.md", formats: Sequence[str] = FORMATS
) -> list[str]:
    """Write the page, Markdown, figures and table of a loaded study; see :func:`write_report`."""
    return _write(study, build_content(study), target, markdown, formats)


def _write(
    study: Study, content: dict[str, Any], target: Path, markdown: str,
    formats: Sequence[str] = FORMATS,
) -> list[str]:  # fmt: skip
    paths = draw_figures(content, target, formats)
    figures = [path.name for path in paths if path.suffix == ".png"]
    files = [("page", "report.html"), ("Markdown", markdown), ("results.csv", "results.csv")]
    if (target / "records" / "records.jsonl").exists():
        files.append(("records", "records/"))
    if content["sweep"]["rows"]:
        atomic_write_text(target / "sweep.csv", render_sweep_csv(content))
        files.append(("sweep.csv", "sweep.csv"))
    if content["metrics"]:
        atomic_write_text(target / "verdicts.csv", render_verdicts_csv(content))
        files.append(("verdicts.csv", "verdicts.csv"))
    if content["ladder"] is not None and content["ladder"]["gains"]:
        atomic_write_text(target / "gains.csv", render_gains_csv(content["ladder"]))
        files.append(("gains.csv", "gains.csv"))
    if content["factorial"] is not None and content["factorial"]["effects"]:
        atomic_write_text(target / "effects.csv", render_effects_csv(content["factorial"]))
        files.append(("effects.csv", "effects.csv"))
    if content["ladder"] is not None and content["ladder"].get("isoflop"):
        optima = render_optima_csv(content["ladder"]["isoflop"])
        atomic_write_text(target / "optima.csv", optima)
        files.append(("optima.csv", "optima.csv"))
    links = build_links(study, target, files, paths)
    atomic_write_text(target / markdown, render_markdown(content, figures, links))
    atomic_write_text(target / "results.csv", render_csv(content))
    in_page = dataclasses.replace(links, files=files[1:])
    atomic_write_text(target / "report.html", render_page(content, in_page))
    further = [f"not in this report: {sweep}: {command}" for sweep, command, _ in links.sweeps]
    return [*content["headline"], *further, f"report: {target / 'report.html'}"]
