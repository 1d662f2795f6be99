"""``lmlab judge`` from the command line, with real runs of small models."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from judged_ideas import micro, started
from warm import run_command, start_command

from lmlab.judge.__main__ import main
from lmlab.judge.ledger import Ledger
from lmlab.judge.stream import read_stream
from lmlab.run_folder import RunFolder

Texts = tuple[Path, Path]

# Twelve ideas about the model and its training; the second and the fourth help within 8 steps.
IDEAS = {
    "post": "model.norm=post", "faster": "optim.lr=0.02", "layernorm": "model.norm=layernorm",
    "fastest": "optim.lr=0.03", "nope": "model.pos=nope", "decay": "optim.weight_decay=0.1",
    "ema": "training.ema=0.5", "linear": "schedule=linear", "softcap": "model.head=softcap",
    "gated": "[model.attention=gated,model.d_ff=40]", "dropout": "model.dropout=0.1",
    "clip": "training.grad_clip_norm=0.1",
}  # fmt: skip


def brackets(overrides: list[str]) -> str:
    return f"[{','.join(overrides)}]"


def start(tmp_path: Path, texts: Texts, *more: str) -> Path:
    baseline = micro(
        tmp_path, texts, "model.d_model=16", "model.num_layers=1", "runtime.preflight=off",
        "samples.count=0", "training.batch_size=4", "validation.every_steps=8",
    )  # fmt: skip
    done = run_command(
        "judge", "start", "ideas", f"baseline={brackets(baseline)}", "lr=fixed",
        "margin=0.02", "max_seeds=5", "allow=[parameters,flops]", *more, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return tmp_path / "outputs" / "judge" / "ideas"


def add(tmp_path: Path, ledger: Path, name: str, overrides: str) -> dict[str, Any]:
    """Add an idea as a program does."""
    done = run_command(
        "judge", "add", f"name={name}", f"overrides={overrides}", f"ledger={ledger}", "--json",
        cwd=tmp_path, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert isinstance(content, dict)
    return content


def kill_while_it_trains(tmp_path: Path, ledger: Path, name: str, overrides: str) -> None:
    """Kill a trial with all its jobs once it has begun, as a crash of the machine would."""
    before = len(Ledger(ledger).rows())
    process = start_command(
        "judge", "add", f"name={name}", f"overrides={overrides}", f"ledger={ledger}", cwd=tmp_path
    )
    end = time.monotonic() + 300
    while time.monotonic() < end and process.poll() is None:
        if len(Ledger(ledger).rows()) > before and any(tmp_path.glob("outputs/*/*/*/run.lock")):
            break
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize(
    "number",
    [pytest.param(2, marks=pytest.mark.long), pytest.param(12, marks=pytest.mark.exhaustive)],
)
def test_ideas_are_judged_with_kills_in_between(tmp_path: Path, texts: Texts, number: int) -> None:
    ledger = start(tmp_path, texts)
    answers = {}
    for position, (name, override) in enumerate(list(IDEAS.items())[:number]):
        overrides = override if override.startswith("[") else f"[{override}]"
        if position % 2:
            kill_while_it_trains(tmp_path, ledger, name, overrides)
        answers[name] = add(tmp_path, ledger, name, overrides)
    assert [one["number"] for one in answers.values()] == list(range(1, number + 1))
    assert answers["faster"]["answer"] == "keep"
    assert answers["faster"]["against"] == "baseline"
    stream = read_stream(Ledger(ledger).rows())
    assert "optim.lr=0.02" in stream.standing.overrides
    runs = [RunFolder(tmp_path / "outputs" / run) for run in stream.runs]
    assert all(run.status()["status"] == "done" for run in runs)
    listed = run_command("outputs", cwd=tmp_path)
    assert all(run in listed.stdout for run in stream.runs)
    losses = {
        pair["seed"]: pair["baseline"] for one in answers.values() if one["against"] == "baseline"
        for pair in one["pairs"]
    }  # fmt: skip
    for seed, loss in losses.items():  # as the run folders have them
        folder = next(tmp_path.glob(f"outputs/judge-ideas/baseline*/seed{seed}"))
        assert RunFolder(folder).evaluations()[-1]["loss"] == loss


@pytest.mark.long
def test_the_last_word_is_spoken_on_text_that_no_run_reads(tmp_path: Path, texts: Texts) -> None:
    held_out = tmp_path / "held-out.txt"
    held_out.write_text("".join(f"Fable {n}. A bird sang.\n<|endoftext|>\n" for n in range(50)))
    ledger = start(tmp_path, texts, f"final_text={held_out}")
    assert add(tmp_path, ledger, "faster", "[optim.lr=0.02]")["answer"] == "keep"
    done = run_command("judge", "final", str(ledger), "--json", cwd=tmp_path, timeout=900)
    assert done.returncode == 0, done.stderr
    final = json.loads(done.stdout)["final"]
    assert final["answer"] == "holds" and len(final["pairs"]) == 5
    first = final["pairs"][0]
    folder = tmp_path / "outputs" / "judge-ideas"
    shown = run_command(
        "evaluate", str(next(folder.glob(f"standing*/seed{first['seed']}"))), str(held_out),
        "checkpoint=last", cwd=tmp_path,
    )  # fmt: skip
    assert f"{first['standing']:.4f}" in shown.stdout
    again = run_command("judge", "final", str(ledger), cwd=tmp_path)
    assert again.returncode == 2 and "to be used once" in again.stderr
    assert "help: " in again.stderr
    late = run_command("judge", "add", "late", "overrides=[optim.lr=0.1]", cwd=tmp_path)
    assert late.returncode == 2 and "last word has been spoken" in late.stderr


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed=3", "expected no seed"),
        ("data.valid=other.txt", "expected the validation text to stay"),
        ("design.metric=bits_per_byte", "expected the metric"),
        pytest.param("training.steps=16", "training tokens 4,096", marks=pytest.mark.long),
        ("model.norm=rms", "change nothing"),
        ("model.nrom=post", "model.nrom"),
    ],
)
def test_an_idea_that_is_refused_costs_nothing(
    tmp_path: Path, texts: Texts, override: str, message: str, capsys: pytest.CaptureFixture[str],
    shared: Ledger,
) -> None:  # fmt: skip
    before = shared.path.read_bytes()
    code = main(["add", "a", f"overrides=[{override}]", f"ledger={shared.folder}"])
    printed = capsys.readouterr().err
    assert code == 2 and printed.startswith("error: ") and message in printed
    assert "\nhelp: " in printed
    assert shared.path.read_bytes() == before


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, texts: Texts) -> Ledger:
    """A ledger without ideas; do not add to it."""
    return started(tmp_path_factory.mktemp("shared"), texts)[0]


def test_an_edited_evaluator_is_refused_in_words(
    shared: Ledger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:  # fmt: skip
    from lmlab.judge import pins

    copy = tmp_path / "lmlab"
    for name in pins.EVALUATION_FILES:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(pins.PACKAGE / name, copy / name)
    (copy / "training" / "evaluator.py").write_text("def evaluate(): return 0\n")
    monkeypatch.setattr(pins.check_files, "__defaults__", (copy,))
    code = main(["add", "a", "overrides=[model.norm=post]", f"ledger={shared.folder}"])
    printed = capsys.readouterr().err
    assert code == 2 and "error: src/lmlab/training/evaluator.py: changed" in printed
    assert "\nhelp: restore the file" in printed


def test_an_edited_ledger_is_refused_in_words(
    shared: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(shared.folder, tmp_path / "edited"))
    file = copy / "ledger.jsonl"
    file.write_text(re.sub(r'("metric": ?)"loss"', r'\1"bits_per_byte"', file.read_text()))
    assert main(["show", str(copy)]) == 2
    printed = capsys.readouterr().err
    assert "row 1 was changed" in printed and "\nhelp: restore" in printed


@pytest.mark.long
def test_plans_and_states_are_printed_for_people_and_programs(
    shared: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["add", "post", "overrides=[model.norm=post]", f"ledger={shared.folder}", "--plan"]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("post: idea 1 of ideas, against baseline")
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["plan"] == lines
    assert main(["status", str(shared.folder)]) == main(["show", str(shared.folder)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[: len(shown) // 2] == shown[len(shown) // 2 :]
    assert main(["show", str(shared.folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ideas"] == []


def test_commands_explain_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["start"], ["add"], ["show"], ["give-up"], ["final"]):
        assert main([*arguments, "--help"]) == 0
        assert "usage: " in capsys.readouterr().out
    assert main(["judge"]) == 2
    assert "expected one of start, add, show, give-up, final" in capsys.readouterr().err
