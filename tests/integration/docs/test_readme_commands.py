"""Every command in README, and in indented lines of docs/, is run, or is listed here with why.

Training is made small; studies tell their plan only: tests/sweep and the tutorial carry some out.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typing_process import type_command

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(r"^ {4}(?=python|make|pip|trackio|eval|wandb)(.+)$", flags=re.M)
SMALL = ["scale=smoke", "data.num_train_documents=300", "data.num_valid_documents=20"]
TINY_TEXT = ["scale=smoke", "model.vocab_size=270"]
NOT_RUN = {
    "trackio show": "starts a server; tests/unit/tracking/test_trackio.py reads its database",
    "make train": "the default run takes minutes; tests/run trains small ones",
    "make test": "this is it",
    "python benchmarks/": "measure for minutes",
}


def commands() -> list[str]:
    found = []
    for page in PAGES:
        for line in COMMAND.findall(re.sub(r"\s*\\\n\s*", " ", page.read_text("utf-8"))):
            text = re.sub(r"\s+#.*$", "", line)
            found += [part.strip() for part in text.split(" · ")]
    return found


def small(command: str) -> list[str]:
    """The command as it stands, at a scale that a test can afford."""
    words = shlex.split(command)
    if words[1:3] != ["-m", "lmlab.train"] or "--help" in words:
        return words
    if any(word.startswith("experiment=") for word in words):
        return [*words, *SMALL, "hydra.launcher.plan_only=true"]
    if "data=text" in words:
        return [word for word in words if not word.startswith("model.vocab_size")] + TINY_TEXT
    if any(word.startswith("training.steps=") for word in words):
        words = [re.sub(r"^training.steps=.*", "training.steps=70", word) for word in words]
    if "-m" in words[3:]:  # the study of which the later commands speak
        words = [*words, "study=ablations", "training.steps=4", "schedule.warmup_steps=1"]
    return [*words, *SMALL]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the runs and texts that the commands speak of are there."""
    place = tmp_path_factory.mktemp("readme") / "work"
    place.mkdir()
    for name in ("a", "b", "books"):
        (place / f"{name}.txt").write_text(f"The {name} cat sat on the mat and saw a dog. " * 200)
    for arm in (["arm=default"], ["schedule=constant", "arm=schedule-constant"]):
        run(["python", "-m", "lmlab.train", *arm, *SMALL], place)
    return place


def run(words: list[str], place: Path) -> None:
    environment = os.environ | {
        "WANDB_MODE": "offline", "XDG_CONFIG_HOME": str(place),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    if words[:2] == ["python", "-m"]:
        type_command(shlex.join(words), place, environment)
        return
    done = subprocess.run(
        words, cwd=place, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}{done.stderr}"


def is_run(command: str) -> bool:
    # What needs a cluster is run by tests/slurm.
    return not command.startswith(tuple(NOT_RUN)) and "launcher=slurm" not in command


@pytest.mark.slow
def test_commands_of_the_pages_run(folder: Path) -> None:
    done = set()
    for command in filter(is_run, commands()):
        if command in done:
            continue
        done.add(command)
        print(f"{time.strftime('%H:%M:%S')} {command}", flush=True)
        if command.startswith("make "):
            run(["make", "-C", str(ROOT), "--dry-run", *shlex.split(command)[1:]], folder)
        elif command.startswith("eval "):
            run(["bash", "-c", command], folder)
        else:
            run(small(command), folder)
    assert len(done) > 15


def test_what_is_not_run_is_still_there() -> None:
    text = "\n".join(commands())
    for start in NOT_RUN:
        assert start in text, f"{start} is excused and stands nowhere"
