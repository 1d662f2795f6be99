"""Every command in README, and in indented lines of docs/, is run, or is excused here.

Training is scaled down, and studies print only their plan; other tests run studies.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
import zstandard
from record_files import parquet_by_pyarrow, plain
from typing_process import type_command

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(r"^ {4}(?=python|lmlab|make|pip|trackio|eval|wandb)(.+)$", flags=re.M)
SMALL = ["scale=smoke", "data.num_train_documents=300", "data.num_valid_documents=20"]
TINY_TEXT = ["scale=smoke", "model.vocab_size=270"]
NOT_RUN = {
    "trackio show": "starts a server; tests/unit/tracking/test_trackio.py reads its database",
    "wandb leet": "opens a program of the terminal",
    "wandb sync": "uploads to a server; tests/integration/tracking reads what it would upload",
    "make train": "takes minutes; tests/integration/run trains small models",
    "make test": "runs this test",
    "python benchmarks/": "take minutes",
    "python -m lmlab.build.record_numerics": "changes files of the checkout; tests/unit/build",
    "python -m lmlab.harness": "downloads tasks; tests/integration/tasks runs one from a file",
    "python -m lmlab.train data=tokens": "needs a real vocabulary; run/test_token_files.py trains",
    "python -m lmlab.train data=fineweb_edu": "downloads; unit/data/test_hub_source.py",
    "python -m lmlab.train data=hub": "downloads; integration/run/test_public_sets.py trains",
    "python -m lmlab.forecast": "reads a finished ladder; tests/unit/study/ladders",
    "python -m lmlab.judge add": "trains many runs; docs/judge.md is typed, integration/judge",
    "python -m lmlab.judge final": "needs a kept idea; integration/judge",
    "python3 -m venv": "make setup runs the same commands",
}


def commands() -> list[str]:
    found = []
    for page in PAGES:
        for line in COMMAND.findall(re.sub(r"\s*\\\n\s*", " ", page.read_text("utf-8"))):
            found.append(re.sub(r"\s+#.*$", "", line).strip())
    return found


def small(command: str) -> list[str]:
    """Scale a command down to what a test can afford."""
    arguments = shlex.split(command)
    start = 2 if arguments[0] == "lmlab" else 3
    is_training = arguments[:start] in (["lmlab", "train"], ["python", "-m", "lmlab.train"])
    if not is_training or "--help" in arguments:
        return arguments
    if {"experiment=tokenizer", "experiment=coord_check"} & set(arguments):  # single runs
        return [*arguments, *SMALL, "--cfg", "job"]
    if {"experiment=ladder", "experiment=lr_transfer", "experiment=isoflop"} & set(arguments):
        # They refuse a text as short as that of the other commands, which they would read often.
        kept = [one for one in arguments if not one.startswith(("data", "model="))]
        small = ["scale=smoke", "runtime.preflight=off", "hydra.launcher.plan_only=true"]
        return [*kept, *small]
    if any(argument.startswith("experiment=") for argument in arguments):
        text = TINY_TEXT if "data=text" in arguments else SMALL
        return [*arguments, *text, "hydra.launcher.plan_only=true"]
    if "data=mixture" in arguments:
        own = re.findall(r"data[.]sources[.]\w+(?=[.]data=toystories)", command)
        few = [f"{one}.num_train_documents=50" for one in own]
        plan = ["hydra.launcher.plan_only=true"] if "-m" in arguments[start:] else []
        return [*arguments, *TINY_TEXT, *few, *plan]
    if "data=text" in arguments:
        kept = [one for one in arguments if not one.startswith("model.vocab_size")]
        return kept + TINY_TEXT
    arguments = [re.sub(r"^training.steps=.*", "training.steps=70", one) for one in arguments]
    if "-m" in arguments[start:]:  # the study that later commands name
        arguments = [*arguments, "study=ablations", "training.steps=4", "schedule.warmup_steps=1"]
    return [*arguments, *SMALL]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs and texts that the commands name."""
    path = tmp_path_factory.mktemp("readme") / "work"
    path.mkdir()
    for name in ("a", "b", "books"):
        (path / f"{name}.txt").write_text(f"The {name} cat sat on the mat and saw a dog. " * 200)
    write_texts(path)
    (path / "pairs.jsonl").write_text('{"good": "The cat sat.", "bad": "The sat cat."}\n')
    for setting in ("model.norm=post", "schedule=constant"):
        named = f"arm={setting.replace('=', '-')}"
        run(["python", "-m", "lmlab.train", setting, named, *SMALL], path)
    run(["python", "-m", "lmlab.train", "arm=default", *SMALL], path)
    return path


def write_texts(path: Path) -> None:
    """The text of ``docs/data.md``, in the forms that it names."""
    documents = [f"Document {n}: the cat sat on mat {n} and saw {n % 7} dogs." for n in range(300)]
    (path / "corpus.parquet").write_bytes(parquet_by_pyarrow(documents))
    (path / "shards").mkdir()
    for number, part in enumerate((documents[:200], documents[200:])):
        rows = "".join(json.dumps({"body": text}) + "\n" for text in part).encode()
        (path / "shards" / f"{number}.jsonl.zst").write_bytes(zstandard.compress(rows))
    (path / "books.txt.gz").write_bytes(gzip.compress(plain(documents[:200])))
    (path / "held-out.txt").write_bytes(plain(documents[200:]))


def environment(path: Path) -> dict[str, str]:
    return os.environ | {
        "WANDB_MODE": "offline", "XDG_CONFIG_HOME": str(path),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip


def run(arguments: list[str], path: Path) -> None:
    if arguments[:2] == ["python", "-m"] or arguments[0] == "lmlab":
        type_command(shlex.join(arguments), path, environment(path))
        return
    done = subprocess.run(
        arguments, cwd=path, env=environment(path), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"{shlex.join(arguments)}\n{done.stdout}{done.stderr}"


def can_run(command: str) -> bool:
    # tests/integration/slurm runs what needs a cluster.
    return not command.startswith(tuple(NOT_RUN)) and "launcher=slurm" not in command


@pytest.mark.long
def test_the_python_code_of_the_readme_runs(folder: Path) -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", text, flags=re.M | re.S)
    overrides = '["model.norm=post"'
    assert overrides in code
    code = code.replace(overrides, ", ".join([overrides, *map(repr, SMALL)]))
    type_command(code + "assert len(tokenizer.encode('One day')) > 1", folder, environment(folder))


@pytest.mark.long
@pytest.mark.slow
def test_the_commands_of_the_pages_run(folder: Path) -> None:
    done = set()
    for command in filter(can_run, commands()):
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


def test_every_excused_command_is_in_a_page() -> None:
    text = "\n".join(commands())
    for start in NOT_RUN:
        assert start in text, f"{start} is excused but not in any page"
