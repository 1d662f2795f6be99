"""Hydra's parser as lmlab builds it: Python 3.14 reads every help as text."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hydra._internal.utils import get_args_parser

import lmlab
from lmlab.config import hydra_app
from lmlab.config.hydra_parser import hydra_parser


def test_every_help_is_a_string_that_argparse_can_expand():
    actions = hydra_parser()._actions
    assert any("--shell-completion" in action.option_strings for action in actions)
    for action in actions:
        assert isinstance(action.help, str), action.option_strings
        assert "%" not in action.help  # all that Python 3.14 does with it without one


def test_the_help_of_shell_completion_reads_as_in_hydra():
    if sys.version_info >= (3, 14):
        return  # Hydra's own parser cannot be built.
    ours = {action.dest: f"{action.help}" for action in hydra_parser()._actions}
    del ours["config"]  # lmlab's own
    hydras = {action.dest: f"{action.help}" for action in get_args_parser()._actions}
    assert ours == hydras | {"version": "Show lmlab's version and exit"}


def test_the_version_is_that_of_lmlab(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        hydra_app.main(["--version"], lambda config: 1)
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"lmlab {lmlab.__version__}\n"


def test_the_command_hands_the_parser_to_hydra():
    """``hydra.main`` builds a parser of its own, which has to be this one."""
    program = """
import argparse
from hydra._internal import utils
utils_add = argparse._ActionsContainer.add_argument
def strict(self, *names, **settings):
    if not isinstance(settings.get("help", ""), str):
        raise ValueError("badly formed help string")
    return utils_add(self, *names, **settings)
argparse._ActionsContainer.add_argument = strict
argparse.ArgumentParser.add_argument = strict
from lmlab.config import hydra_app
raise SystemExit(hydra_app.main(["--cfg", "job", "seed=3"], lambda config: 0))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "seed: 3" in done.stdout
