"""Reports link to what exists, by addresses that survive a move of the outputs."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from urllib.parse import unquote

import pytest
from factorial_studies import a_factorial, a_manifest
from stack_studies import a_stack, stack_manifest

from lmlab.publish import publish
from lmlab.run_folder import RunFolder
from lmlab.study.links import build_links
from lmlab.study.run_records import load_study
from lmlab.study.sweep_folder import sweeps_in
from lmlab.study.write_report import write_report
from tests.support.isoflop_folders import isoflop_ladder
from tests.support.ladder_folders import ladder_manifest


def addresses(folder: Path, markdown: str = "report.md") -> set[str]:
    """The addresses of the page and of the Markdown in a folder, without those inside the page."""
    page = (folder / "report.html").read_text("utf-8")
    found = re.findall(r'href="([^"]*)"', page)
    found += re.findall(r"\]\(([^)]*)\)", (folder / markdown).read_text("utf-8"))
    return {address for address in found if not address.startswith(("#", "data:"))}


def test_links_of_a_report_lead_to_its_files_and_runs(reported: Path, tmp_path: Path) -> None:
    moved = tmp_path / "a b" / "norms"
    shutil.move(reported.parent, moved.parent)
    found = addresses(moved)
    assert all((moved / unquote(address)).exists() for address in found), found
    figures = {f"{name}.{kind}" for name in ("verdicts", "curves", "rates")
               for kind in ("png", "svg", "pdf")}  # fmt: skip
    assert figures | {"report.md", "report.html", "results.csv", "../index.html"} <= found
    runs = {path.parent for path in moved.glob("*/seed*/status.json")}
    assert {(moved / unquote(address)).resolve() for address in found} > runs and len(runs) > 20


def test_a_published_study_links_to_nothing_outside(reported: Path, tmp_path: Path) -> None:
    kept = tmp_path / "experiments" / "norms"
    publish(reported, kept)
    found = addresses(kept, "README.md")
    assert {"README.md", "results.csv", "curves.png"} <= found
    assert "records/" in found
    assert all("/" not in one.removesuffix("/") and (kept / one).exists() for one in found), found


@pytest.mark.long
def test_studies_whose_runs_are_reused_are_named(finished: Path) -> None:
    sweep = next(sweeps_in(finished))
    entry = sweep.entries()[0]
    other = finished.parent / "earlier one" / "rms" / "seed0"
    shutil.move(entry.run.path, other)
    sweep.add_entry(entry.job, list(entry.purposes), RunFolder(other))
    write_report(finished)
    text = (finished / "report.md").read_text("utf-8")
    assert "Reused from other studies: earlier one (1 run)." in text, "it has no report yet"
    (other.parents[1] / "report.html").touch()
    write_report(finished)
    assert "../earlier%20one/report.html" in addresses(finished)
    assert "[earlier one](../earlier%20one/report.html) (1 run)" in (
        finished / "report.md"
    ).read_text("utf-8")


def test_an_earlier_sweep_is_described_and_a_damaged_one_is_named_and_left_out(
    finished: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, content in (
        ("iso", ladder_manifest(isoflop_ladder(), finished.parent, "norms").as_dict()),
        ("cells", a_manifest(a_factorial()).as_dict()),
        ("parts", stack_manifest(a_stack()).as_dict()),
        ("old", {"names": 3}),
    ):
        folder = finished / "sweeps" / name
        folder.mkdir()
        (folder / "manifest.json").write_text(json.dumps(content))
    links = build_links(load_study(finished), finished, [], [])
    assert {sweep for sweep, _, _ in links.sweeps} == {
        "sweep iso (0 runs of an isoFLOP study of 7 sizes at 4 budgets)",
        "sweep cells (0 runs of a factorial study of 4 factors in 16 cells)",
        "sweep parts (0 runs of a stack of 3 changes taken apart)",
    }
    assert f"{finished}/sweeps/old/manifest.json: invalid manifest: names=3: " in caplog.text
    assert "the report leaves this sweep out" in caplog.text
