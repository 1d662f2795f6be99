"""Studies find the runs of others in the register, which cannot lead out of the output folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmlab.run_folder import RunFolder
from lmlab.runs.run_register import find_registered, register, registered_runs
from lmlab.storage.fields import warn_once


def test_a_registered_run_is_found_until_its_identity_changes(tmp_path: Path) -> None:
    run, identity = RunFolder(tmp_path / "study" / "arm" / "seed0"), {"lr": 1}
    assert find_registered(tmp_path, identity) is None
    run.write_meta({"identity": identity})
    register(tmp_path, run, identity)
    found = find_registered(tmp_path, identity)
    assert found is not None and found.path == run.path
    assert find_registered(tmp_path, {"lr": 2}) is None
    run.write_meta({"identity": {"lr": 2}})
    assert find_registered(tmp_path, identity) is None, "its folder holds another run now"


@pytest.mark.parametrize(
    "content", ["../elsewhere/a/seed0", "/etc", "a\0b", "x" * 300, "", "-1 -1\n", b"\xff"]
)
def test_the_register_names_runs_of_its_output_folder(
    tmp_path: Path, content: str | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    warn_once.cache_clear()
    root, identity = tmp_path / "outputs", {"lr": 1}
    run, elsewhere = RunFolder(root / "s" / "a" / "seed0"), tmp_path / "elsewhere" / "a" / "seed0"
    for folder in (run, RunFolder(elsewhere)):
        folder.path.mkdir(parents=True)
        folder.write_meta({"identity": identity})
    register(root, run, identity)
    assert find_registered(root, identity) == run and registered_runs(root) == [run]
    assert not caplog.messages
    (place,) = (root / "cache" / "runs").iterdir()
    place.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert find_registered(root, identity) is None
    assert registered_runs(root) == []
    assert len(caplog.messages) == 1 and caplog.messages[0].startswith(f"{place}: ")
