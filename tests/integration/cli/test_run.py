"""``python -m lmlab.run`` of a frozen configuration."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from warm import run_command

from lmlab.config.compose import compose, to_yaml
from lmlab.run import main


@pytest.fixture
def frozen(overrides: list[str], tmp_path: Path) -> Path:
    path = tmp_path / "frozen.yaml"
    path.write_text(to_yaml(compose(overrides)))
    return path


def test_a_frozen_configuration_trains_and_is_skipped_when_done(frozen: Path) -> None:
    folder = frozen.parent
    command = [sys.executable, "-m", "lmlab.run", str(frozen)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "done at step 20" in done.stdout
    (status,) = folder.glob("outputs/runs/*/seed0/status.json")
    assert json.loads(status.read_text())["status"] == "done"
    again = run_command("run", str(frozen), cwd=folder)
    assert again.returncode == 0 and "already complete; skipping" in again.stderr
    assert again.stdout == done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "missing required argument FROZEN.yaml"),
        (["a.yaml", "b.yaml"], "b.yaml: expected at most 1 positional argument"),
        (["absent.yaml"], "absent.yaml"),
    ],
)
def test_a_mistake_has_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error


@pytest.mark.long
def test_only_rank_0_prints_errors_at_once(tmp_path: Path) -> None:
    ranks = os.environ | {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}
    done = run_command("run", "absent.yaml", cwd=tmp_path, env=ranks)
    assert done.returncode == 2
    assert "rank 1: error: " in done.stderr
