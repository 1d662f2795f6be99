"""The processes of ``warm`` behave like a fresh Python."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from warm import call, run_code, start_command

REPORT = """
import multiprocessing, os, signal, sys, threading
print(os.getcwd(), sorted(os.environ.items()), sys.path[1:], sys.stdin.read(), sys.executable)
print(sys.stdout.isatty(), sys.stdout.encoding, sys.stderr.line_buffering, sys.flags)
print([signal.getsignal(number) for number in signal.valid_signals()])
print(signal.pthread_sigmask(0, []), os.umask(0o22), threading.active_count())
print(multiprocessing.get_start_method(), multiprocessing.active_children())
print(sorted(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else "")
import torch
print(torch.get_num_threads(), torch.get_default_dtype())
"""
EXITS = {
    "a code": "import sys; sys.exit(3)",
    "no code": "import sys; sys.exit()",
    "a large code": "import sys; sys.exit(300)",
    "a message": "import sys; sys.exit('no')",
    "an error": "1 / 0",
    "a signal": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "an interrupt": "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('after')",
    "at exit": "import atexit; atexit.register(print, 'bye'); print('hi')",
    "threads": "import threading, time\n"
    "threading.Thread(target=lambda: (time.sleep(0.1), print('late'))).start()",
}


def run_fresh(code: str, folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.returncode, done.stdout


def test_the_environment_is_that_of_a_fresh_python(tmp_path: Path) -> None:
    environment = {key: v for key, v in os.environ.items() if not key.startswith("PYTHON")}
    environment |= {"PYTHONPATH": os.pathsep.join(["/a", "/b"]), "OWN": "é"}
    assert run_code(REPORT, tmp_path, environment) == run_fresh(REPORT, tmp_path, environment)


@pytest.mark.parametrize("exit", EXITS)
def test_a_process_exits_like_a_fresh_python(tmp_path: Path, exit: str) -> None:
    code, printed = run_code(EXITS[exit], tmp_path, dict(os.environ))
    expected, fresh_output = run_fresh(EXITS[exit], tmp_path, dict(os.environ))
    assert code == expected
    assert printed.splitlines()[-1:] == fresh_output.splitlines()[-1:]


def test_a_command_has_its_arguments_its_errors_and_its_group(tmp_path: Path) -> None:
    process = start_command("generate", "--no", cwd=tmp_path, session=True)
    assert process.wait(60) == 2
    stdout, stderr = process.communicate()
    assert (stdout, stderr.count("\n")) == ("", 2)
    assert "--no" in stderr


def test_killing_a_process_leaves_others_running() -> None:
    slow, other = call(signal.pause), call(os.getpid)
    assert other.wait(60) == 0
    assert slow.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        slow.wait(0)
    slow.kill()
    assert slow.wait(60) == slow.poll() == -signal.SIGKILL
