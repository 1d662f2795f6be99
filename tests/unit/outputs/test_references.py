"""Runs that other studies or runs need are found, wherever a path is relative to."""

from __future__ import annotations

from pathlib import Path

from output_folders import make_outputs

from lmlab.design.job import Job
from lmlab.outputs.references import find_references
from lmlab.run_folder import RunFolder
from lmlab.study.sweep_folder import SweepFolder


def test_references_of_other_studies_and_of_continued_runs(tmp_path: Path) -> None:
    root = make_outputs(tmp_path)
    sweep = SweepFolder(root / "t" / "sweeps" / "id")
    sweep.path.mkdir(parents=True)
    (sweep.path / "manifest.json").write_text('{"arms": [{"parent": null}]}')
    for arm, place in (("a", "s/a/seed0"), ("c", "t/c/seed0")):
        sweep.add_entry(Job(arm, None, 0), ["judged"], RunFolder(root / place))
    child = RunFolder(root / "t" / "c" / "seed0")
    child.write_meta(
        {"parent": "outputs/s/b/seed0", "sessions": [{"folder": str(tmp_path)}], "identity": {}}
    )
    found = {
        (str(one.run.relative_to(root.resolve())), one.description) for one in find_references(root)
    }
    assert found == {
        ("s/a/seed0", "study t uses it"),  # its own run t/c/seed0 is no reference
        ("s/b/seed0", "parent of t/c/seed0"),
    }


def test_a_finished_run_needs_no_checkpoints_of_its_parent(tmp_path: Path) -> None:
    root = make_outputs(tmp_path)
    child = RunFolder(root / "s" / "a" / "seed0")
    child.write_meta(child.meta() | {"parent": f"{root}/s/b/seed0"})
    for status, needs_checkpoints in (("failed", True), ("diverged", False)):
        child.write_status(status, step=20, steps=20, tokens=0, seconds=0.0)
        (reference,) = find_references(root)
        assert reference.needs_checkpoints == needs_checkpoints


def test_runs_that_share_a_trunk_by_themselves_refer_to_no_parent(tmp_path: Path) -> None:
    root = make_outputs(tmp_path)
    sweep = root / "t" / "sweeps" / "id"
    sweep.mkdir(parents=True)
    (sweep / "manifest.json").write_text('{"arms": [{"parent": "auto"}]}')
    assert find_references(root) == []


def test_a_study_that_has_not_started_refers_to_its_parents(tmp_path: Path) -> None:
    root = make_outputs(tmp_path)
    sweep = root / "t" / "sweeps" / "id"
    sweep.mkdir(parents=True)
    (sweep / "manifest.json").write_text(f'{{"arms": [{{"parent": "{root}/s/a/seed0"}}]}}')
    (reference,) = find_references(root)
    assert reference.run == (root / "s" / "a" / "seed0").resolve()
    assert reference.description == "study t continues it"
    (sweep / "manifest.json").write_text("damaged")
    assert find_references(root) == []


def test_runs_whose_files_another_run_names_in_a_setting_are_found(tmp_path: Path) -> None:
    root = make_outputs(tmp_path)
    run = RunFolder(root / "t" / "c" / "seed0")
    run.write_meta({"sessions": [{"folder": str(tmp_path)}], "identity": {}})
    run.config.write_text(
        "tokenizer: {path: outputs/s/a/seed0/tokenizer}\n"
        f"model: {{init: {{path: {root}/s/b/seed0}}}}\n"
        "data: {train: [story.txt, outputs/s/a/seed1/samples.md]}\n"
        "output_root: outputs\nstudy: s\nnotes: outputs/s/a/seed1\n"
    )
    found = [(str(one.run.relative_to(root)), one.description) for one in find_references(root)]
    assert found == [
        ("s/a/seed0", "tokenizer.path of t/c/seed0"),
        ("s/b/seed0", "model.init.path of t/c/seed0"),
        ("s/a/seed1", "data.train of t/c/seed0"),
    ]
