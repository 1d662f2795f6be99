from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import lmlab
from lmlab.runtime import provenance as module
from lmlab.runtime.provenance import SNAPSHOT_FILE, code_version, provenance
from lmlab.storage.io import write_json


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=x", "-c", "user.email=x@x"]
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one commit, from which lmlab seems to run."""
    folder = tmp_path / "checkout" / "src" / "lmlab"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("x = 1\n")
    git(tmp_path / "checkout", "init", "-q")
    git(tmp_path / "checkout", "add", ".")
    git(tmp_path / "checkout", "commit", "-qm", "first")
    monkeypatch.setattr(lmlab, "__file__", str(folder / "__init__.py"))
    return folder


def test_a_clean_checkout_has_a_commit_and_no_changes(package: Path) -> None:
    assert code_version(package) == {
        "commit": git(package, "rev-parse", "HEAD"), "changed": False, "diff": "",
        "diff_is_whole": True,
    }  # fmt: skip


def test_uncommitted_changes_are_recorded(package: Path) -> None:
    (package / "__init__.py").write_text("x = 2\n")
    code = code_version(package)
    assert code["changed"]
    assert "-x = 1\n+x = 2\n" in code["diff"]
    assert code["diff_is_whole"]


def test_a_new_file_counts_as_a_change(package: Path) -> None:
    (package / "new.py").write_text("")
    assert code_version(package)["changed"]


def test_a_long_diff_is_truncated_and_says_so(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_DIFF_CHARACTERS", 50)
    (package / "__init__.py").write_text("x = 2\n" * 100)
    code = code_version(package)
    assert (len(code["diff"]), code["diff_is_whole"]) == (50, False)


def test_an_installed_package_has_no_commit(tmp_path: Path, monkeypatch) -> None:
    installed = tmp_path / "site-packages" / "lmlab"
    installed.mkdir(parents=True)
    git(tmp_path, "init", "-q")  # a repository that happens to contain the environment
    monkeypatch.setattr(lmlab, "__file__", str(installed / "__init__.py"))
    assert code_version(installed) == {"commit": None}


def test_a_snapshot_of_the_code_has_the_version_it_was_copied_from(tmp_path: Path) -> None:
    recorded = {"commit": "abc", "changed": True, "diff": "x", "diff_is_whole": True}
    write_json(tmp_path / SNAPSHOT_FILE, recorded)
    assert code_version(tmp_path / "lmlab") == recorded


def test_provenance_describes_this_process() -> None:
    found = provenance()
    assert found["command"] == [Path(sys.executable).name, *sys.orig_argv[1:]]
    assert (found["folder"], found["host"]) == (os.getcwd(), socket.gethostname())
    assert found["versions"]["torch"] == torch.__version__
    assert found["versions"]["lmlab"] == lmlab.__version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))


def test_the_command_lmlab_is_recorded_without_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["/x/bin/python", "/x/bin/lmlab", "train", "seed=1"])
    assert provenance()["command"] == ["lmlab", "train", "seed=1"]
    monkeypatch.setattr(sys, "orig_argv", ["/x/bin/python", "-m", "lmlab.train", "seed=1"])
    assert provenance()["command"] == [Path(sys.executable).name, "-m", "lmlab.train", "seed=1"]
