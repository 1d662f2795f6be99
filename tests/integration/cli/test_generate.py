from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lmlab.errors import ConfigError, DataError
from lmlab.generate import HELP, Options, parse


@pytest.fixture
def run(tmp_path: Path) -> str:
    (tmp_path / "config.yaml").write_text("{}")
    return f"run={tmp_path}"


def test_words_become_options(run: str) -> None:
    options = parse([run, "prompt=a=b", "prompt=", "top_k=5", "top_p=null", "temperature=0"])
    assert options.prompt == ("a=b", "")
    assert (options.top_k, options.top_p, options.temperature) == (5, None, 0.0)
    assert parse([run]).prompt == ("",)


def test_help_names_every_option() -> None:
    assert all(f"\n  {name}=" in HELP for name in Options.__dataclass_fields__)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("temprature=1", 'did you mean "temperature"'),
        ("--prompt", "key=value"),
        ("top_k=2.5", "top_k=2.5: top_k is a whole number"),
        ("temperature=hot", "temperature=hot: temperature is a number"),
        ("temperature=-1", "temperature=-1.0: accepted is 0 or more"),
        ("temperature=nan", "temperature=nan"),
        ("top_p=0", "top_p=0.0: accepted is above 0"),
        ("top_k=0", "top_k=0"),
        ("count=0", "count=0"),
        ("max_new_tokens=0", "max_new_tokens=0"),
        ("checkpoint=newest", "best or last"),
    ],
)
def test_a_mistake_names_key_value_and_what_is_accepted(run: str, word: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse([run, word])
    assert told in str(caught.value)


def test_no_run_and_no_such_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="run=FOLDER is missing"):
        parse([])
    with pytest.raises(DataError, match="no run in this folder"):
        parse([f"run={tmp_path}"])


def test_a_mistake_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lmlab.generate", f"run={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: run=")
    assert done.stderr.count("\n") == 1
