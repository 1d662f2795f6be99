"""A run folder is given alike in every command: by position, as run=FOLDER, as --run FOLDER."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lmlab.console.command_line import Command, CommandGroup
from lmlab.console.commands import import_command
from lmlab.errors import ConfigError

# The other arguments that a command requires.
TAKE_A_FOLDER = {
    "generate": [], "evaluate": ["text=a.txt"], "export": ["to=b"], "report": [], "status": [],
    "publish": [], "run": [],
}  # fmt: skip


def command(name: str) -> Command[Any]:
    found = import_command(name).COMMAND
    return found.commands[found.default or ""] if isinstance(found, CommandGroup) else found


@pytest.mark.parametrize("name", TAKE_A_FOLDER)
def test_a_folder_is_given_by_position_and_by_key(name: str) -> None:
    rest = TAKE_A_FOLDER[name]
    first = command(name).read(["outputs/a", *rest])
    assert command(name).read(["run=outputs/a", *rest]) == first
    assert command(name).read([*rest, "--run", "outputs/a"]) == first
    assert command(name).read([*rest, "outputs/a"]) == first
    assert "outputs/a" in [str(value) for value in vars(first).values() if value is not None]


@pytest.mark.parametrize("name", TAKE_A_FOLDER)
def test_a_second_folder_is_refused(name: str) -> None:
    arguments = ["run=outputs/a", "run=outputs/b", *TAKE_A_FOLDER[name]]
    with pytest.raises(ConfigError, match=r"outputs/a .*outputs/b: expected \w+ once"):
        command(name).read(arguments)


def test_a_misspelt_key_is_no_folder() -> None:
    with pytest.raises(ConfigError, match="rnu=outputs/a: expected one of the options run"):
        command("evaluate").read(["rnu=outputs/a", "text=a.txt"])
    assert command("report").read(["outputs/study=1"]).study == Path("outputs/study=1")
