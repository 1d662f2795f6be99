from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from lmlab.build.identity import without_code
from lmlab.build.run_spec import RunSpec, resolve
from lmlab.config.compose import compose
from lmlab.config.identity_settings import identity_settings
from lmlab.run_folder import REUSED_KEY, RunFolder
from lmlab.runs.find_run import find_run, locate
from lmlab.runs.run_register import register
from lmlab.runtime.device import resolve_device

SETTINGS = identity_settings(compose(["tokenizer=bytes"]))
IDENTITY: dict[str, Any] = {
    "config": SETTINGS, "device": {"policy": "fast"}, "numerics": 4, "code": {"mine.a": "1"},
}  # fmt: skip
OTHER_CODE = IDENTITY | {"code": {"mine.a": "2"}}


@pytest.fixture
def spec(tmp_path: Path) -> RunSpec:
    spec = resolve(compose(["tokenizer=bytes"]))
    return dataclasses.replace(
        spec, output_root=tmp_path, named_folder=tmp_path / "runs" / "a" / "seed0", arm="a"
    )


def finished(path: Path, identity: dict[str, Any], **meta: Any) -> RunFolder:
    run = RunFolder(path)
    run.write_meta({"identity": identity, "sessions": [{"time": "2026"}]} | meta)
    run.write_status("done")
    return run


def find(spec: RunSpec, identity: dict[str, Any]) -> tuple[RunFolder, bool]:
    device = resolve_device(device="cpu", policy="fast", compile=False, threads=1)
    return find_run(spec, identity, device)


@pytest.mark.parametrize(
    "changed", [{"code": {"mine.a": "2"}}, {"lmlab": {"nn/ffn.py": "3"}}, {"numerics": 5}]
)
def test_other_code_is_another_run_unless_the_user_knows_better(
    spec: RunSpec, changed: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    identity = IDENTITY | changed
    others = {"floor": None, "num_parameters": "many", "key_of_a_later_version": None}
    old = finished(spec.named_folder, IDENTITY, **others)
    folder, is_finished = find(spec, identity)
    assert folder != old and not is_finished
    across = dataclasses.replace(spec, reuse_across_code=True, study="second")
    for _ in range(2):
        assert find(across, identity) == (old, True)
    (entry,) = old.meta()[REUSED_KEY]
    kept = json.loads((old.path / "meta.json").read_text())
    assert {key: kept[key] for key in others if key in kept} == others, "only the note is added"
    assert (entry["study"], entry["arm"]) == ("second", "a") and entry["changes"]
    assert sum("reuse_across_code=true: taking" in line for line in caplog.messages) == 2
    assert without_code(old.meta()["identity"]) == without_code(identity)


def test_runs_that_differ_in_more_than_code_are_never_taken(spec: RunSpec) -> None:
    finished(spec.named_folder, IDENTITY)
    across = dataclasses.replace(spec, reuse_across_code=True)
    folder, is_finished = find(across, OTHER_CODE | {"config": SETTINGS | {"seed": 2}})
    assert folder.path != spec.named_folder and not is_finished


def test_of_several_runs_of_other_code_the_finished_and_newest_is_taken(
    spec: RunSpec, tmp_path: Path
) -> None:
    across = dataclasses.replace(spec, reuse_across_code=True)
    unfinished = RunFolder(tmp_path / "x" / "a" / "seed0")
    unfinished.write_meta({"identity": IDENTITY, "sessions": [{"time": "2028"}]})
    runs = [
        finished(tmp_path / year / "a" / "seed0", IDENTITY | {"code": {"mine.a": year}},
                 sessions=[{"time": year}])
        for year in ("2025", "2027", "2026")
    ]  # fmt: skip
    for run in (unfinished, *runs):
        register(tmp_path, run, run.meta()["identity"])
    assert locate(across, OTHER_CODE)[0].path == runs[1].path
    own = finished(tmp_path / "other" / "a" / "seed0", OTHER_CODE)
    register(tmp_path, own, OTHER_CODE)
    assert locate(across, OTHER_CODE)[0].path == own.path, "one of the same code comes first"


def test_a_run_in_a_folder_with_a_suffix_is_found_without_the_register(spec: RunSpec) -> None:
    finished(spec.named_folder, IDENTITY | {"config": {}})
    folder = locate(spec, IDENTITY)[0]
    assert folder.path.name.startswith("seed0-")
    finished(folder.path, IDENTITY)
    assert locate(spec, IDENTITY)[0] == folder


def test_another_environment_is_told(spec: RunSpec, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    finished(spec.named_folder, IDENTITY, sessions=[{"versions": {"torch": "1.0"}}])
    find(spec, IDENTITY)
    assert "torch: 1.0 -> " in caplog.text
