"""``outputs delete`` removes what is selected, and keeps what something else needs."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from fake_slurm import FakeSlurm
from output_folders import make_outputs, make_run, queue, use

from lmlab.outputs.__main__ import main
from lmlab.outputs.entries import find_runs, measure
from lmlab.run_folder import RunFolder

ALL = {"s/a/seed0", "s/a/seed1", "s/b/seed0", "t/c/seed0"}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    root = make_outputs(tmp_path)
    RunFolder(root / "s/a/seed1").append_row({"kind": "validation", "step": 7, "loss": 9.5})
    RunFolder(root / "s/b/seed0").append_row(
        {"kind": "validation", "step": 7, "loss": float("nan")}
    )
    return root


def left(root: Path) -> set[str]:
    return {str(entry.path.relative_to(root)) for entry in find_runs(root)}


@pytest.mark.parametrize(
    ("arguments", "deleted"),
    [
        (["outputs/s/a/seed0"], {"s/a/seed0"}),
        (["s/a"], {"s/a/seed0", "s/a/seed1"}),
        (["study=s"], {"s/a/seed0", "s/a/seed1", "s/b/seed0"}),
        (["study=?"], ALL),
        (["study=s,t"], ALL),
        (["loss>9"], {"s/a/seed1", "s/b/seed0"}),  # the last loss; NaN is above any number
        (["loss > 9.5"], {"s/b/seed0"}),
        (["loss>=9.5", "s/a"], {"s/a/seed1"}),
        (["loss<1.3", "study=s"], {"s/a/seed0"}),
        (["loss<1"], set()),
    ],
)
def test_runs_that_meet_all_conditions_are_deleted(
    root: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], deleted: set[str]
) -> None:
    assert main(["delete", *arguments, "--dry-run"]) == 0
    assert left(root) == ALL
    assert main(["delete", *arguments, "--yes"]) == 0
    assert left(root) == ALL - deleted
    assert measure(root / "cache").bytes == 5000, "caches stay"
    assert (root / "notes" / "config.yaml").exists()
    printed = capsys.readouterr().out
    assert ("freed " in printed) is bool(deleted)
    folders = {path.name for path in (root / "s").glob("*")} if (root / "s").exists() else set()
    assert folders == {place.split("/")[1] for place in ALL - deleted if place.startswith("s/")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "delete: nothing is selected"),
        (["nowhere"], "nowhere: no such folder"),
        (["study=u"], "study=u: no such study in outputs"),
        (["loss=3"], "loss=3: expected loss<X"),
        (["loss>x"], "loss>x: expected a number"),
        (["/tmp"], "/tmp: expected a folder in outputs"),
        (["outputs"], "outputs: expected a folder in outputs"),
        (["cache/tokens"], "cache/tokens: expected runs, found a cache"),
        (["s", "--yes", "--dry-run"], "--yes --dry-run: expected only one"),
        (["s"], "delete: cannot ask for confirmation"),
    ],
)
def test_mistakes_delete_nothing(
    root: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    def no_terminal(question: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", no_terminal)
    assert main(["delete", *arguments]) == 2
    assert f"error: {message}" in capsys.readouterr().err
    assert left(root) == ALL


def test_a_run_that_starts_after_the_question_is_kept(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.ExitStack() as running:

        def start_and_agree(question: str) -> str:
            running.enter_context(RunFolder(root / "s/a/seed0").lock())
            return "y"

        monkeypatch.setattr("builtins.input", start_and_agree)
        assert main(["delete", "s/a"]) == 1
    assert "kept: s/a/seed0: a process is writing it" in capsys.readouterr().out
    assert left(root) == ALL - {"s/a/seed1"}


def test_a_run_that_another_study_uses_is_kept_and_named(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    use(root, "t", "s/a/seed0")
    use(root, "s", "s/b/seed0")  # its own study does not keep it
    assert main(["delete", "study=s", "--yes"]) == 1
    assert "kept: s/a/seed0: study t uses it; --force deletes it" in capsys.readouterr().out
    assert left(root) == {"s/a/seed0", "t/c/seed0"}
    assert (root / "s" / "sweeps").exists(), "the records of a study with a run stay"
    assert main(["delete", "study=s", "--yes", "--force"]) == 0
    assert left(root) == {"t/c/seed0"}
    assert not (root / "s").exists()


def test_studies_that_are_deleted_together_do_not_keep_each_others_runs(root: Path) -> None:
    use(root, "t", "s/a/seed0")
    assert main(["delete", "s", "t", "--yes"]) == 0
    assert left(root) == set()


def test_a_run_that_a_kept_run_continues_is_kept_too(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place, parent in (("s/a/seed1", "s/a/seed0"), ("s/b/seed0", "s/a/seed1")):
        RunFolder(root / place).write_meta({"parent": f"outputs/{parent}", "identity": {}})
    use(root, "t", "s/b/seed0")
    assert main(["delete", "s", "--yes"]) == 1
    printed = capsys.readouterr().out
    assert "kept: s/b/seed0: study t uses it" in printed
    assert "kept: s/a/seed1: parent of s/b/seed0" in printed
    assert "kept: s/a/seed0: parent of s/a/seed1" in printed
    assert left(root) == ALL
    assert main(["delete", "s/a", "loss<2", "--yes"]) == 1
    assert main(["delete", "s/b", "s/a", "--yes", "--force"]) == 0
    assert left(root) == {"t/c/seed0"}


def test_running_and_queued_runs_are_kept_even_with_force(
    root: Path, capsys: pytest.CaptureFixture[str], slurm: FakeSlurm
) -> None:
    make_run(root, "s/d/seed0", "interrupted")
    queue(slurm, use(root, "s", "s/d/seed0"), "d")
    with RunFolder(root / "s/a/seed0").lock():
        assert main(["delete", "study=s", "--yes", "--force"]) == 1
    printed = capsys.readouterr().out
    assert "kept: s/a/seed0: a process is writing it" in printed
    assert "kept: s/d/seed0: its job is in the queue of Slurm; cancel it first" in printed
    assert left(root) == {"s/a/seed0", "s/d/seed0", "t/c/seed0"}
    for cache in ("code/v", "tokens/v"):
        (root / "cache" / cache).mkdir(parents=True)
        (root / "cache" / cache / "x").write_text("x")
    assert main(["prune", "--caches", "--yes"]) == 0
    assert (root / "cache" / "code" / "v").exists(), "queued jobs will run this code"
    assert not (root / "cache" / "tokens" / "v").exists()
