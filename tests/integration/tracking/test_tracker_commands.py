"""Mistakes at the command line, and notes and tags of a run that has ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmlab import report, status
from lmlab.config.compose import compose
from lmlab.outputs.__main__ import main
from lmlab.run_folder import RunFolder
from lmlab.runs.execute import execute
from lmlab.runs.run_summary import describe


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture
def run(overrides: list[str], root: Path) -> RunFolder:
    """A run that the tests of this module share."""
    return execute(compose([*overrides, f"output_root={root}", "arm=sent", "tags=a,b"])).run


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere", "logger=wandb"], "nowhere: no such folder"),
        ([".", "logger=wandb"], "contains no run"),
        (["RUN", "logger=wand"], "logger=wand: expected one of"),
        (["RUN", "logger=wandb", "logger.projet=x"], "logger.projet"),
        (["RUN"], "missing required option logger=NAME"),
    ],
)
def test_mistakes_are_answered_in_words(
    run: RunFolder, capsys, tmp_path: Path, monkeypatch, words: list[str], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert main(["track", *(str(run.path) if w == "RUN" else w for w in words)]) == 2
    assert message in capsys.readouterr().err


def test_notes_and_tags_are_shown_and_change_no_identity(
    run: RunFolder, root: Path, overrides: list[str], capsys
) -> None:
    other = execute(
        compose([*overrides, f"output_root={root}", "arm=sent", "notes=other words"])
    ).run
    assert other == run, "the same run, which is not trained again"
    assert run.annotations() == ("other words", ["a", "b"])
    assert "notes            other words" in describe(run)
    assert status.main([str(run.path.parents[1])]) == 0
    printed = capsys.readouterr().out
    assert "note: sent/seed0: other words [a, b]" in printed
    assert report.main([str(run.path.parents[1])]) == 0
    for page in ("report.md", "report.html"):
        assert "other words" in (run.path.parents[1] / page).read_text()
