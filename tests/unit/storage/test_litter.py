from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lmlab.storage.io import atomic_write_text
from lmlab.storage.litter import remove_litter, temporary_folder

WRITER = """
import os, sys
from lmlab.storage import io
def stay(source, target):
    print("ready", flush=True)
    sys.stdin.read()
io.os.replace = stay
io.atomic_write_text(sys.argv[1], "never put in place")
"""


@pytest.mark.parametrize("lives", [True, False])
def test_only_what_killed_writers_left_is_litter(tmp_path: Path, lives: bool) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "status.json")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        (part,) = tmp_path.iterdir()
        own = [".status.json.swp", ".status.json.original", "status.json.tmp-0123456789ab",
               ".status.json.tmp-0123456789abc", ".notes"]  # fmt: skip
        for name in own:
            (tmp_path / name).write_text("of the user")
        os.mkfifo(tmp_path / ".pipe.tmp-0123456789ab")
        (tmp_path / ".folder.tmp-0123456789ab").mkdir()
        (tmp_path / ".link.tmp-0123456789ab").symlink_to(tmp_path / ".notes")
        before = set(tmp_path.iterdir())
        if not lives:
            writer.send_signal(signal.SIGKILL)
            writer.wait()
        remove_litter(tmp_path, tmp_path / "missing")
        assert before - set(tmp_path.iterdir()) == (set() if lives else {part})
        writer.kill()


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 127)  # 254 bytes
    atomic_write_text(path, "content")
    assert path.read_text() == "content"
    assert list(tmp_path.iterdir()) == [path]


def test_a_temporary_folder_sweeps_those_of_killed_processes(tmp_path: Path) -> None:
    dead, other = tmp_path / ".work.tmp-0123456789ab", tmp_path / ".else.tmp-0123456789ab"
    for folder in (dead, other):
        (folder / "inner").mkdir(parents=True)
    with temporary_folder(tmp_path, "work") as first, temporary_folder(tmp_path, "work") as second:
        (first / "file").write_text("")
        assert set(tmp_path.iterdir()) == {other, first, second}
    assert list(tmp_path.iterdir()) == [other]


def test_litter_of_earlier_versions_is_known_by_the_files_it_was_for(tmp_path: Path) -> None:
    names = [".status.json.x8f_3k2a", ".mine.json.x8f_3k2a", ".status.json.swp", "status.json"]
    for name in names:
        (tmp_path / name).write_text("")
    remove_litter(tmp_path)
    assert len(list(tmp_path.iterdir())) == 4
    remove_litter(tmp_path, of=["status.json"])
    assert {path.name for path in tmp_path.iterdir()} == set(names[1:])
