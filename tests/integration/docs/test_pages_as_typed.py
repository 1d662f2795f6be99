"""The pages of docs/ work as shown: files are written, commands and code are run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typing_process import type_command

ROOT = Path(__file__).parents[3]
BLOCK = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", flags=re.M | re.S)
PAGES = [
    page
    for page in sorted((ROOT / "docs").glob("*.md"))
    if re.search(r"^```(bash|python)", page.read_text("utf-8"), flags=re.M)
]


def type_page(page: Path, home: Path) -> dict[str, str]:
    """Follow a page in ``~/lm``; return the output of each command."""
    folder = home / "lm"
    folder.mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "WANDB_"))}
    environment |= {
        "HOME": str(home),
        "HF_HUB_OFFLINE": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}",
    }
    printed = {}
    for kind, file, text in BLOCK.findall(page.read_text("utf-8")):
        if file:
            path = folder / Path(file.replace("~", str(home), 1))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            continue
        commands = text.splitlines() if kind == "bash" else [text] if kind == "python" else []
        for command in commands:
            if kind == "bash" and not command.startswith(("python -m lmlab.", "lmlab ")):
                subprocess.run(["bash", "-c", command], cwd=folder, env=environment, check=True)
            else:
                printed[command] = type_command(command, folder, environment)
    return printed


@pytest.mark.long
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_works_as_shown(page: Path, tmp_path: Path) -> None:
    printed = type_page(page, tmp_path)
    assert printed
    if page.stem == "tutorial":
        # The added norm is an arm of the report, with a verdict.
        report = (tmp_path / "lm" / "outputs" / "my_norm" / "report.md").read_text("utf-8")
        assert re.search(r"olmo2.*(better|worse|no difference|inconclusive)", report)
        assert (tmp_path / "lm" / "outputs" / "my_norm" / "report.html").is_file()
    if page.stem == "tracking":
        written = (tmp_path / "lm" / "losses.txt").read_text("utf-8")
        assert written.count("done at step 64") == 2
    if page.stem == "ecosystem":
        rows = [
            out.splitlines()[1].split()[1:] for key, out in printed.items() if "evaluate" in key
        ]
        assert rows[0] == rows[1], "an exported model measures the same"


def test_every_page_with_commands_is_checked() -> None:
    checked = {page.stem for page in PAGES}
    assert checked >= {"tutorial", "training", "extending", "ecosystem", "tracking"}
