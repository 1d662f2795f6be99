"""What the tab key offers."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lmlab.completion import candidates


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
    ],
)
def test_candidates(line: str, among: list[str]) -> None:
    word = line.rpartition(" ")[2]
    found = candidates(line)
    assert set(among) <= set(found)
    assert all(candidate.startswith(word) for candidate in found)


@pytest.mark.parametrize(
    "line", ["python -m lmlab.train optim.lr=", "python -m lmlab.generate run="]
)
def test_values_and_files_are_left_to_the_shell(line: str) -> None:
    assert candidates(line) == []


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("python -m lmlab.evaluate te", "text="),
        ("python -m lmlab.train model.norm=la", "layernorm "),
    ],
)
def test_bash_takes_it(line: str, offered: str) -> None:
    script = (
        f'eval "$({sys.executable} -m lmlab.completion bash)"; COMP_LINE="{line}"; '
        f"COMP_POINT=${{#COMP_LINE}}; COMP_WORDS=({sys.executable}); _lmlab_complete; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout == offered + "\n", done.stderr
