"""Modules, paths, settings and commands that README and docs name exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from lmlab.config.compose import compose
from lmlab.config.paths import conf_folder
from lmlab.console.commands import COMMANDS

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_modules_paths_and_targets_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    for module in re.findall(r"python -m lmlab\.(\w+(?:\.\w+)*)", text):
        path = ROOT / "src" / "lmlab" / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module
    for command in re.findall(r"(?:^    |`)lmlab ([a-z]+)", text, flags=re.M):
        assert command in COMMANDS, command
    for path in re.findall(r"`((?:src|conf|tests|docs|\.ci)/[\w./]+)`", text):
        example = path == "conf/model/ffn/relu.yaml"  # a file that the reader writes
        assert example or (ROOT / path).exists(), path
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"make ([a-z-]+)(?=[`\s])", text):
        if target in ("train", "test", "lint", "format", "setup"):
            assert f"\n{target}:" in makefile
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (page.parent / link).exists(), link


def test_every_training_command_in_the_readme_composes() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    pattern = r"^    (?:python -m lmlab\.|lmlab )train (.+?)(?:\s+#.*)?$"
    commands = re.findall(pattern, text, flags=re.M)
    assert len(commands) >= 5
    for command in commands:
        arguments = [one for one in shlex.split(command) if not one.startswith("-")]
        if "-m" in shlex.split(command):
            arguments = [one.split(",")[0] for one in arguments]
        if arguments and arguments != ["job"]:
            compose(arguments)


def test_the_readme_lists_every_option_of_every_group() -> None:
    rows = dict(re.findall(r"^\| `([\w.]+)` \| (.+) \|$", (ROOT / "README.md").read_text(), re.M))
    for group in sorted(path for path in conf_folder().rglob("*") if path.is_dir()):
        name = str(group.relative_to(conf_folder())).replace("/", ".")
        if name.startswith(("hydra", "experiment")):
            continue
        for option in group.glob("*.yaml"):
            assert f"`{option.stem}`" in rows[name], f"{name}={option.stem}"


def test_the_readme_names_every_package_once() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    section = text.partition("## Repository layout")[2].partition("src/hydra_plugins/")[0]
    named = re.findall(r" (\w+)/(?=[, ])", section.partition("src/lmlab/")[2])
    packages = [path.parent.name for path in (ROOT / "src" / "lmlab").glob("*/__init__.py")]
    assert sorted(named) == sorted(packages)
