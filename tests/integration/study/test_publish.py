"""``python -m lmlab.publish``: records and write-ups for git."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lmlab import publish, report
from lmlab.demos import Demo
from lmlab.demos.write_demo import write_demo
from lmlab.study.report_content import build_content
from lmlab.study.run_records import load_study


@pytest.mark.long
def test_a_write_up_is_reproduced_from_its_records(finished: Path, tmp_path: Path) -> None:
    target = tmp_path / "experiments" / "norms"
    assert publish.main([str(finished), str(target)]) == 0
    first = {path.name: path.read_bytes() for path in target.iterdir() if path.is_file()}
    assert {"README.md", "report.html", "results.csv", "curves.png"} < set(first)
    shutil.rmtree(finished)
    for name in first:
        (target / name).unlink()
    assert report.main([str(target), "--to", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "results.csv").read_bytes() == first["results.csv"]
    assert publish.main([str(target)]) == 0
    assert first == {path.name: path.read_bytes() for path in target.iterdir() if path.is_file()}
    text = first["README.md"].decode()
    for heading in ("Which one?", "## Verdicts", "## Commands", "## Limitations"):
        assert heading in text
    assert "All losses are simulated." in text


@pytest.mark.long
def test_the_write_up_of_another_study_is_not_overwritten(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "pub"
    demo = tmp_path / "outputs" / "bowl_walk"
    write_demo(Demo("bowl_walk", "Which way?", []), demo, "python -m lmlab.train")
    other = tmp_path / "outputs" / "other"
    shutil.copytree(finished, other)
    for path in (other / "sweeps").glob("*/manifest.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"study": "other"}))

    def refused(study: Path, *names: str) -> bool:
        before = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
        assert publish.main([str(study), str(target)]) == 2
        message = capsys.readouterr().err
        assert all(f'"{name}"' in message for name in names), message
        return before == {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}

    for _ in range(2):
        assert publish.main([str(finished), str(target)]) == 0
    assert refused(other, "norms", "other")
    assert refused(demo, "norms", "bowl_walk")
    shutil.rmtree(target)
    for _ in range(2):
        assert publish.main([str(demo), str(target)]) == 0
    assert refused(finished, "bowl_walk", "norms")
    (target / "README.md").write_text("# My project\n")
    assert refused(demo, "My project", "bowl_walk")


def test_compact_records_give_the_same_content_as_the_runs(finished: Path, tmp_path: Path) -> None:
    publish.publish(finished, tmp_path / "kept")
    direct = build_content(load_study(finished))
    kept = build_content(load_study(tmp_path / "kept" / "records"))
    for key in ("verdicts", "rates", "curves", "arms", "headline", "counts", "noise", "problems"):
        assert direct[key] == kept[key], key


def test_runs_without_a_study_are_not_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs").mkdir()
    assert publish.main([str(tmp_path / "runs"), str(tmp_path / "new")]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert not (tmp_path / "new").exists()
