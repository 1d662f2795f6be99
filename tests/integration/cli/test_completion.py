"""Candidates of shell completion."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lmlab.completion import candidates, main


@pytest.mark.parametrize(
    ("line", "among"),
    [
        ("python -m lmlab.ev", ["lmlab.evaluate "]),
        ("python -m lmlab.exp", ["lmlab.export "]),
        ("python -m lmlab.train model.n", ["model.norm=", "model.num_heads="]),
        ("python -m lmlab.train model.norm=p", ["model.norm=post "]),
        ("python -m lmlab.train model/norm=p", ["model/norm=post "]),
        ("python -m lmlab.train -m optim.l", ["optim.lr="]),
        ("python -m lmlab.train experiment=ablate_n", ["experiment=ablate_norm "]),
        ("python -m lmlab.train seeds.i", ["seeds.init="]),
        ("python -m lmlab.generate temp", ["temperature="]),
        ("python -m lmlab.evaluate t", ["text="]),
        ("python -m lmlab.export for", ["format="]),
        ("python -m lmlab.generate --max", ["--max-new-tokens "]),
        ("python -m lmlab.tokenize tr", ["train "]),
        ("python -m lmlab.tokenize train t.txt --vo", ["--vocab-size "]),
        ("python -m lmlab.outputs pr", ["prune "]),
        ("python -m lmlab.outputs --older", ["--older-than "]),
        ("python -m lmlab.outputs prune --dry", ["--dry-run "]),
        ("lmlab ev", ["evaluate "]),
        ("lmlab ", ["train ", "report ", "completion "]),
        ("/opt/bin/lmlab tok", ["tokenize "]),
        ("lmlab train model.norm=p", ["model.norm=post "]),
        ("lmlab train optim.l", ["optim.lr="]),
        ("lmlab generate temp", ["temperature="]),
        ("lmlab report outputs/x t", ["to="]),
        ("lmlab status --w", ["--watch "]),
    ],
)
def test_candidates(line: str, among: list[str]) -> None:
    word = line.rpartition(" ")[2]
    found = candidates(line)
    assert set(among) <= set(found)
    assert all(candidate.startswith(word) for candidate in found)


@pytest.mark.parametrize(
    "line",
    [
        "python -m lmlab.train optim.lr=",
        "python -m lmlab.generate run=",
        "lmlab generate run=",
        "lmlab nothing x",
        "python -m pytest x",
    ],
)
def test_values_and_files_are_left_to_the_shell(line: str) -> None:
    assert candidates(line) == []


def complete_in_bash(program: str, line: str, script: str) -> str:
    command = (
        f'eval "$({script} bash)"; COMP_LINE="{line}"; '
        f"COMP_POINT=${{#COMP_LINE}}; COMP_WORDS=({program}); _lmlab_complete; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("line", "candidate"),
    [
        ("python -m lmlab.evaluate te", "text="),
        ("python -m lmlab.train model.norm=la", "layernorm "),
    ],
)
def test_bash_completes_python_m_lmlab(line: str, candidate: str) -> None:
    script = f"{sys.executable} -m lmlab.completion"
    assert complete_in_bash(sys.executable, line, script) == candidate + "\n"


@pytest.mark.parametrize(
    ("line", "candidate"),
    [("lmlab evaluate te", "text="), ("lmlab train model.norm=la", "layernorm "),
     ("lmlab gen", "generate ")],
)  # fmt: skip
def test_bash_completes_lmlab(line: str, candidate: str, tmp_path: Path) -> None:
    program = tmp_path / "lmlab"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m lmlab "$@"\n')
    program.chmod(0o755)
    assert complete_in_bash(str(program), line, f"{program} completion") == candidate + "\n"


def test_zsh_loads_the_bash_functions(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["zsh"]) == 0
    assert "bashcompinit" in capsys.readouterr().out.splitlines()[0]
    assert main(["bash"]) == 0
    assert "bashcompinit" not in capsys.readouterr().out
    assert main(["fish"]) == 2
    assert "error: shell=fish: expected one of bash, zsh" in capsys.readouterr().err
