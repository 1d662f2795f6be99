"""``python -m lmlab.outputs`` on a folder of runs and caches."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from output_folders import DAY, make_outputs

from lmlab.errors import ConfigError
from lmlab.outputs.__main__ import main
from lmlab.outputs.entries import find_runs
from lmlab.outputs.list_command import parse_age, parse_statuses


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_outputs(tmp_path)


def left(root: Path) -> set[str]:
    return {str(entry.path.relative_to(root)) for entry in find_runs(root)}


ALL = {"s/a/seed0", "s/a/seed1", "s/b/seed0", "t/c/seed0"}


def run(root: Path, *arguments: str) -> int:
    return main([*arguments, "--root", str(root)])


def test_the_list_shows_status_size_age_and_loss(root: Path, capsys) -> None:
    assert run(root) == 0
    lines = capsys.readouterr().out.splitlines()
    by_name = {line.split()[0]: line for line in lines}
    assert "done" in by_name["s/a/seed0"]
    assert "1 w" in by_name["s/a/seed0"]
    assert "30.2 kB" in by_name["s/a/seed0"]
    assert "step 5 of 10, validation loss 1.2500" in by_name["s/a/seed0"]
    assert "interrupted" in by_name["t/c/seed0"]
    assert "5.0 kB" in by_name["cache/tokens/abc"]
    assert "notes" not in by_name
    assert lines[-1].startswith("5 entries")


@pytest.mark.parametrize(
    ("arguments", "removed"),
    [
        (["--status", "failed"], {"s/a/seed1"}),
        (["--status", "failed,diverged"], {"s/a/seed1", "s/b/seed0"}),
        (["--status", "interrupted"], {"t/c/seed0"}),
        (["--older-than", "2d"], {"s/a/seed0", "s/b/seed0"}),
        (["--older-than", "2d", "--status", "done"], {"s/a/seed0"}),
        (["--older-than", "100d"], set()),
    ],
)
def test_prune_removes_what_meets_all_conditions(root: Path, arguments, removed: set[str]) -> None:
    assert run(root, "prune", "--yes", *arguments) == 0
    assert left(root) == ALL - removed
    assert (root / "notes" / "config.yaml").exists()
    assert (root / "cache" / "tokens" / "abc").exists()


def test_prune_asks_first(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    questions = []
    for answer, remaining in (("n", ALL), ("", ALL), ("y", ALL - {"s/a/seed1"})):
        monkeypatch.setattr(
            "builtins.input", lambda text, answer=answer: (questions.append(text), answer)[1]
        )
        run(root, "prune", "--status", "failed")
        assert left(root) == remaining
    assert "30.2 kB" in questions[0]


def test_pruning_checkpoints_keeps_the_best_weights(root: Path) -> None:
    assert run(root, "prune", "--checkpoints-only", "--status", "done", "--yes") == 0
    kept = {path.name for path in (root / "s/a/seed0/checkpoints").iterdir()}
    assert kept == {"best_00000004"}
    assert left(root) == ALL
    assert len(list((root / "s/b/seed0/checkpoints").iterdir())) == 3


def test_pruning_caches_keeps_runs(root: Path) -> None:
    assert run(root, "prune", "--caches", "--yes") == 0
    assert not (root / "cache" / "tokens" / "abc").exists()
    assert left(root) == ALL


def test_a_live_run_is_never_removed(root: Path) -> None:
    script = (
        "import sys, time; from lmlab.storage.lock import Lock\n"
        "with Lock(sys.argv[1]): print(1, flush=True); time.sleep(60)"
    )
    lock = root / "t/c/seed0/run.lock"
    holder = subprocess.Popen([sys.executable, "-c", script, str(lock)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert run(root, "prune", "--older-than", "0d", "--yes") == 0
        assert left(root) == {"t/c/seed0"}
    finally:
        holder.kill()
        holder.communicate()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prune", "--status", "finished"], "status=finished: expected one of queued, running"),
        (["prune", "--status", "dune"], 'help: did you mean "done"?'),
        (
            ["prune", "--older-than", "7"],
            "older_than=7: expected an age such as 90m, 12h, 7d or 2w",
        ),
        (["prune", "older_than=-1d"], "older_than=-1d: expected an age"),
        (["prune"], "help: add --status, --older-than, --tag or --caches"),
        (["prune", "--caches", "--status", "done"], "status=done: caches have no status"),
        (
            ["prune", "--caches", "--checkpoints-only"],
            "--checkpoints-only --caches: expected only one",
        ),
        (["prune", "--caches", "--yes", "--dry-run"], "--yes --dry-run: expected only one of them"),
        (["prune", "--stat", "done"], "--stat: expected one of the options root, status"),
        (["prnue", "--caches"], 'help: did you mean "prune"?'),
    ],
)
def test_a_mistake_removes_nothing(root: Path, capsys, arguments: list[str], message: str) -> None:
    assert run(root, *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert len(error.splitlines()) <= 2
    assert left(root) == ALL
    assert (root / "cache" / "tokens" / "abc").exists()


def test_a_missing_folder_is_refused(tmp_path: Path, capsys) -> None:
    assert run(tmp_path / "none") == 2
    assert "no such folder" in capsys.readouterr().err


def test_ages_and_statuses_are_parsed() -> None:
    assert [parse_age(text) for text in ("90m", "12h", "1.5d", "2w")] == [
        5400, 43200, 1.5 * DAY, 14 * DAY
    ]  # fmt: skip
    assert parse_statuses("done,,failed") == ["done", "failed"]
    with pytest.raises(ConfigError):
        parse_age("-1d")
    assert parse_age("") == 0


def test_help_lists_the_subcommands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for part in ("List the runs and caches", "list", "prune", "--older-than 30d --yes"):
        assert part in text
    assert main(["prune", "--help"]) == 0
    text = capsys.readouterr().out
    for part in ("--root FOLDER", "--status", "--older-than", "--checkpoints-only", "--dry-run"):
        assert part in text


def test_options_can_be_typed_as_key_value(root: Path, capsys) -> None:
    assert main(["prune", f"root={root}", "status=failed", "yes=true"]) == 0
    assert left(root) == ALL - {"s/a/seed1"}
    assert main([f"root={root}", "status=done"]) == 0
    assert "s/a/seed0" in capsys.readouterr().out
