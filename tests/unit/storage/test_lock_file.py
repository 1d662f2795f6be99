from __future__ import annotations

import dataclasses
import json
import os
import time
from pathlib import Path

import pytest

from lmlab.storage.lock_file import STALE_SECONDS, LockFile, Owner
from lmlab.storage.process_identity import host_name

HERE = Owner.of_this_process("token")
GONE = dataclasses.replace(HERE, process_start="1")
ELSEWHERE = dataclasses.replace(HERE, boot_id="another boot")
EARLIER = dataclasses.replace(HERE, boot_id=None, pid_namespace=None)


@pytest.mark.parametrize(
    ("owner", "age", "judgement"),
    [
        (HERE, 1e9, "alive"),  # stopped, or its disk is full: its process can be seen
        (HERE, -1e9, "alive"),
        (GONE, 0, "dead"),
        (dataclasses.replace(HERE, host="renamed"), 1e9, "alive"),
        (ELSEWHERE, STALE_SECONDS - 1, "alive"),
        (ELSEWHERE, STALE_SECONDS + 1, "dead"),
        (ELSEWHERE, 1 - STALE_SECONDS, "alive"),  # clocks differ by seconds
        (ELSEWHERE, -STALE_SECONDS - 1, "ahead"),
        (dataclasses.replace(GONE, pid_namespace="pid:[1]"), 0, "alive"),
        (EARLIER, 1e9, "alive"),
        (dataclasses.replace(EARLIER, process_start="1"), 0, "alive"),
        (dataclasses.replace(EARLIER, process_start="1"), 1e9, "dead"),
        (dataclasses.replace(EARLIER, process_start=None), 1e9, "dead"),
        (dataclasses.replace(EARLIER, host="other"), 1e9, "dead"),
        (None, 0, "dead"),
    ],
)
def test_an_owner_is_judged_by_its_process_or_by_its_heartbeat(
    owner: Owner | None, age: float, judgement: str
) -> None:
    found = LockFile(Path("run.lock"), exists=True, owner=owner, heartbeat=1e10 - age)
    assert found.judge(now=1e10) == judgement


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    path.write_text(json.dumps(dataclasses.asdict(HERE) | {"of a later version": [1]}))
    assert LockFile.read(path).owner == HERE
    assert LockFile.read(tmp_path / "none") == LockFile(tmp_path / "none")
    assert LockFile.read(path / "below a file") == LockFile(path / "below a file")


def test_the_owner_and_the_remedy_are_named(tmp_path: Path) -> None:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(HERE.since))
    assert str(HERE) == f"process {os.getpid()} on {host_name()} since {when}"
    odd = dataclasses.replace(ELSEWHERE, host="a\x1b[31m\nb" + 200 * "c", since=None)
    assert str(odd).startswith(f"process {os.getpid()} on a?[31m?bccc") and len(str(odd)) < 130
    path = tmp_path / "a b.lock"
    ours = LockFile(path, True, owner=HERE)
    assert ours.remedy() == f"wait for it or stop it (kill {os.getpid()})"
    theirs = LockFile(path, True, owner=odd, heartbeat=time.time() - 30)
    assert "its lock expires 60 s after its last sign of life (30 s ago)" in theirs.remedy()
    assert f"delete '{path}'" in theirs.remedy()
    assert LockFile(path, True).describe_owner() == "an unknown process"
