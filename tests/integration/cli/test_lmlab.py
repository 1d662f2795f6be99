"""The program ``lmlab``: every command runs as ``lmlab NAME`` and as ``python -m lmlab.NAME``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from warm import run_command

import lmlab
from lmlab.__main__ import main
from lmlab.console.command_line import CommandGroup
from lmlab.console.commands import COMMANDS, import_command

PACKAGE = Path(lmlab.__file__).parent
# A mistake of each command, and the words that name it.
MISTAKES = {
    "train": (["optim.lrr=1"], "optim.lrr"),
    "run": (["absent.yaml"], "absent.yaml"),
    "generate": (["temprature=1"], "temperature"),
    "evaluate": (["run=absent", "text=absent.txt"], "run=absent"),
    "export": (["to=new"], "run=FOLDER"),
    "tokenize": (["train", "absent.txt", "vocab_size=300", "to=new"], "absent.txt"),
    "account": (["model=gpt3"], "model=gpt3"),
    "status": (["absent"], "absent"),
    "report": (["absent"], "absent"),
    "compare": (["absent", "other"], "absent"),
    "forecast": (["absent", "1e12"], "absent"),
    "publish": (["absent", "new"], "absent"),
    "judge": (["add", "post", "overides=[a=1]"], "overrides"),
    "outputs": (["--root", "absent"], "root=absent"),
    "completion": (["fish"], "shell=fish"),
}


def test_every_command_is_listed() -> None:
    files = {
        path.stem for path in PACKAGE.glob("*.py") if "run_main(main)" in path.read_text("utf-8")
    }
    files |= {path.parent.name for path in PACKAGE.glob("*/__main__.py")}
    # The harness is the command line of another program.
    assert set(COMMANDS) == set(MISTAKES) == (files | {"run"}) - {"__main__", "harness"}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_mistake_is_reported_the_same_both_ways(name: str, tmp_path: Path) -> None:
    arguments, part = MISTAKES[name]
    direct = run_command(name, *arguments, cwd=tmp_path)
    through = run_command("", name, *arguments, cwd=tmp_path)
    assert direct.returncode == through.returncode == 2
    # The server of warm processes has imported lmlab.run, of which runpy warns.
    error = re.sub(r"^<frozen runpy>.*\n", "", direct.stderr)
    assert error.startswith("error: ") and part in error
    assert "Traceback" not in error
    long, short = f"python -m lmlab.{name}", f"lmlab {name}"
    assert through.stderr.replace(long, short) == error.replace(long, short)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_shown_both_ways(name: str, tmp_path: Path) -> None:
    direct = run_command(name, "--help", cwd=tmp_path)
    through = run_command("", name, "--help", cwd=tmp_path)
    assert direct.returncode == through.returncode == 0, direct.stderr + through.stderr
    assert f"python -m lmlab.{name}" in direct.stdout
    if name != "train":  # Hydra's help has examples of its own
        assert direct.stdout.replace(f"python -m lmlab.{name}", f"lmlab {name}") == through.stdout
        assert through.stdout.startswith(f"usage: lmlab {name}")


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"train"}))
def test_help_states_every_option_with_its_default(name: str) -> None:
    command = import_command(name).COMMAND
    commands = command.commands.values() if isinstance(command, CommandGroup) else [command]
    for one in commands:
        text = re.sub(r"\s+", " ", one.help())
        assert one.description.splitlines()[0] in one.help() and "examples:" in text
        for option in one.named():
            assert f" {option.name}" in text and (option.is_flag or option.metavar in text)
            assert re.sub(r"\s+", " ", option.help_text()) in text, option.key


def test_lmlab_lists_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n  {name} " in text for name in COMMANDS)
    assert main([]) == 2
    assert capsys.readouterr().out == text
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"lmlab {lmlab.__version__}\n"


@pytest.mark.parametrize(
    ("name", "help"),
    [("trian", 'did you mean "train"?'), ("zzz", "run lmlab --help to list the commands")],
)
def test_an_unknown_command_names_the_nearest(
    name: str, help: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {name}: expected one of train, run, ")
    assert error.endswith(f"\nhelp: {help}\n")


def test_lmlab_starts_without_heavy_imports() -> None:
    script = (
        "import sys\n"
        "from lmlab.__main__ import main\n"
        "assert main(['--help']) == 0 and main(['trian']) == 2\n"
        "heavy = {'torch', 'numpy', 'hydra', 'omegaconf', 'rich', 'yaml'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_status_starts_without_heavy_imports() -> None:
    script = (
        "import sys, lmlab.status\n"
        "heavy = {'torch', 'numpy', 'hydra', 'omegaconf', 'wandb'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("flag", ["-s", "-P"])
def test_modules_in_the_working_directory_are_imported_unless_python_is_safe(
    flag: str, tmp_path: Path
) -> None:
    script = tmp_path / "bin" / "lmlab"  # as pip writes it
    script.parent.mkdir()
    script.write_text("from lmlab.__main__ import entry_point\nentry_point()\n")
    settings = tmp_path / "lmlab" / "config.yaml"
    settings.parent.mkdir()
    settings.write_text("trusted_packages: [my_schedules]\n")
    work = tmp_path / "work"
    work.mkdir()
    (work / "my_schedules.py").write_text(
        "def halved(step, *, total_steps, warmup_steps):\n    return 0.5\n"
    )

    def account(*start: str) -> subprocess.CompletedProcess[str]:
        overrides = ["schedule=constant", "schedule._target_=my_schedules.halved"]
        return subprocess.run(
            [sys.executable, flag, *start, *overrides],
            cwd=work, env=os.environ | {"XDG_CONFIG_HOME": str(tmp_path)},
            capture_output=True, text=True,
        )  # fmt: skip

    through, direct = account(str(script), "account"), account("-m", "lmlab.account")
    assert through.returncode == direct.returncode == (0 if flag == "-s" else 2), through.stderr
    assert (through.stdout, through.stderr) == (direct.stdout, direct.stderr)
    assert ("my_schedules" in through.stderr) == (flag == "-P")
