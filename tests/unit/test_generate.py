"""The options of ``python -m lmlab.generate``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lmlab.errors import ConfigError, DataError
from lmlab.generate import COMMAND, Options, check_folder, main

RUN = "run=outputs/runs/x/seed0"


def test_arguments_become_options() -> None:
    options = COMMAND.read([RUN, "prompt=a=b", "prompt=", "top_k=5", "top_p=null", "temperature=0"])
    assert options.prompt == ("a=b", "")
    assert (options.top_k, options.top_p, options.temperature) == (5, None, 0.0)
    assert COMMAND.read([RUN]).prompt == ("",)
    assert COMMAND.read([RUN, "--prompt", "One day", "--top-k", "5"]).prompt == ("One day",)


def test_help_names_every_option() -> None:
    text = COMMAND.help()
    assert all(f"\n  --{name.replace('_', '-')} " in text for name in Options.__dataclass_fields__)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("temprature=1", 'did you mean "temperature"?'),
        ("--prompt", "--prompt: expected one argument"),
        ("top_k=2.5", "top_k=2.5: expected an integer of 1 or more, or null"),
        ("temperature=hot", "temperature=hot: expected a number of 0 or more"),
        ("temperature=-1", "temperature=-1: expected a number of 0 or more"),
        ("temperature=nan", "temperature=nan: expected"),
        ("temperature=inf", "temperature=inf: expected"),
        ("top_p=0", "top_p=0: expected a number above 0 and at most 1, or null"),
        ("top_k=0", "top_k=0: expected"),
        ("count=0", "count=0: expected an integer of 1 or more"),
        ("max_new_tokens=0", "max_new_tokens=0: expected"),
        ("checkpoint=newest", "checkpoint=newest: expected one of best, last"),
    ],
)
def test_a_mistake_names_key_value_and_valid_values(argument: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        COMMAND.read([RUN, argument])
    assert message in str(caught.value)


def test_a_missing_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="missing required option run=FOLDER"):
        COMMAND.read([])
    with pytest.raises(DataError, match=r": not a run folder \(no config\.yaml\)"):
        check_folder(str(tmp_path))
    with pytest.raises(DataError, match=r"nowhere: no such folder\nhelp: list the runs with: "):
        check_folder(str(tmp_path / "nowhere"))
    for name in ("config.yaml", "config.json"):
        (tmp_path / name).write_text("{}")
        check_folder(str(tmp_path))
        (tmp_path / name).unlink()


def test_without_arguments_the_exit_code_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("error: missing required option run=FOLDER\nhelp: ")


def test_a_mistake_is_a_message_with_help_and_exit_code_2(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from lmlab.generate import main\n"
        f"code = main(['run={tmp_path}'])\n"
        "heavy = {'torch', 'numpy', 'hydra', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    error, help = done.stderr.splitlines()
    assert error == (
        f"error: run={tmp_path}: not a run folder (no config.yaml) or Hugging Face model directory "
        "(no config.json)"
    )
    assert help == "help: list the runs with: python -m lmlab.outputs list"
