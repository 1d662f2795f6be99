from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from lmlab.build import identity, numerics, user_code
from lmlab.build.identity import earlier_forms, identity_changes, is_same_run, run_identity
from lmlab.build.run_data import prepare_data
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.runtime.device import Device, resolve_device


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / "identity_for_test.py"
    path.write_text("a = 1\n")
    user_code.forget()
    return path


def device(policy: str) -> Device:
    return resolve_device(device="cpu", policy=policy, compile=False, threads=1)


@pytest.fixture
def of(overrides: list[str]):
    spec = resolve(compose(overrides))
    data = prepare_data(spec.data)

    def make(policy: str = "exact", target: str | None = None, **options: Any) -> dict[str, Any]:
        settings = spec.identity_settings
        if target:
            settings = settings | {"optim": {"_target_": target}}
        return run_identity(settings, data, device(policy), **options)

    return make


def test_code_and_environment_are_there_only_where_they_apply(
    of, module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = {"config", "train_text", "valid_text", "tokenizer", "device", "numerics"}
    monkeypatch.setattr(numerics, "numeric_code", lambda settings: {})
    assert of("fast").keys() == usual
    assert of("exact").keys() == usual | {"environment"}
    assert of("fast", "identity_for_test.A")["code"].keys() == {"identity_for_test"}
    monkeypatch.setattr(numerics, "numeric_code", lambda settings: {"nn/ffn.py": "1"})
    assert of("fast").keys() == usual | {"lmlab"}


def test_under_exact_the_environment_tells_runs_apart(of, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {"identity": of()}
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "none")
    assert not is_same_run(before, of())
    assert identity_changes(before, of()) == ["environment: ATEN_CPU_CAPABILITY: unset -> none"]
    assert is_same_run(before, of(is_elsewhere=True)), "only libraries are known of a cluster"
    monkeypatch.setattr(identity, "library_versions", lambda: {"torch": "0", "numpy": "0"})
    assert not is_same_run(before, of(is_elsewhere=True))


def test_runs_of_before_have_no_environment(of) -> None:
    now = of()
    earlier = {key: value for key, value in now.items() if key != "environment"}
    assert is_same_run({"identity": earlier}, now)
    assert earlier in list(earlier_forms(now))
    assert not is_same_run({"identity": earlier | {"numerics": 0}}, now)


def test_a_hash_of_the_whole_package_counts_while_its_files_are_as_they_were(
    of, module: Path
) -> None:
    now = of("fast", "identity_for_test.A")
    (earlier,) = [form for form in earlier_forms(now) if "code" in form]
    assert earlier["code"] == user_code.earlier_user_code(now["config"])
    assert is_same_run({"identity": earlier}, now)
    module.write_text("a = 2\n")
    user_code.forget()
    now = of("fast", "identity_for_test.A")
    assert not is_same_run({"identity": earlier}, now)
    assert identity_changes({"identity": earlier}, now)[-1].startswith("code of identity_for_test:")


def test_a_run_without_code_counts_if_it_is_newer_than_the_code(of, module: Path) -> None:
    now = of("fast", "identity_for_test.A")
    bare = {key: value for key, value in now.items() if key != "code"}
    assert bare in list(earlier_forms(now))
    meta = {"identity": bare, "sessions": [{"time": "2026-01-02T03:04:05Z"}]}
    assert not is_same_run(meta, now)
    os.utime(module, (1.6e9, 1.6e9))
    assert is_same_run(meta, now)
    for damaged in ([], [{}], [{"time": 3}], None, "x"):
        assert not is_same_run(meta | {"sessions": damaged}, now)


@pytest.mark.parametrize("odd", [None, 3, "x", [], [3], {"code": 3}, {"environment": [1]}])
def test_odd_records_are_other_runs(of, odd: Any) -> None:
    for meta in ({"identity": odd}, {"identity": odd, "sessions": odd}):
        assert not is_same_run(meta, of())
        assert identity_changes(meta, of())


def test_changes_of_code_are_told_by_module_and_file() -> None:
    old = {"config": {}, "code": {"mine.a": "1"}, "numerics": 1}
    new = {"config": {}, "code": {"mine.a": "2"}, "lmlab": {"nn/ffn.py": "3"}, "numerics": 1}
    assert identity_changes({"identity": old}, new) == [
        "code of mine.a: 1 -> 2", "code of lmlab/nn/ffn.py: as recorded -> 3",
    ]  # fmt: skip
    assert identity_changes({"identity": new}, old | {"code": {"mine.a": "2"}}) == [
        "code of lmlab/nn/ffn.py: 3 -> as recorded"
    ]
