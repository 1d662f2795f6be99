from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lmlab.config.compose import compose, load_frozen
from lmlab.config.deprecated_keys import original_names, rename_key, upgrade


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("exhibit", "demo"),
        ("exhibit=generate", "demo=generate"),
        ("++exhibit.count=2", "++demo.count=2"),
        ("~exhibit", "~demo"),
        ("exhibit/part=a", "demo/part=a"),
        ("override /exhibit", "override /demo"),
        ("/exhibit@x", "/demo@x"),
        ("exhibits.count=2", "exhibits.count=2"),
        ("model.exhibit=2", "model.exhibit=2"),
        ("study=exhibit", "study=exhibit"),
        ("demo.exhibit=exhibit", "demo.exhibit=exhibit"),
    ],
)
def test_only_the_first_name_of_a_key_is_renamed(old: str, new: str) -> None:
    assert rename_key(old) == new


def test_a_plus_is_allowed_before_what_files_list_since_a_later_version() -> None:
    for plus in ("", "+", "++"):
        config = compose([f"{plus}model.attention.qk_norm_eps=1e-6"])
        assert config.model.attention.qk_norm_eps == 1e-6


def test_names_round_trip_through_the_original_ones() -> None:
    config = compose(["demo=generate"])
    old = original_names(config.as_dict())
    assert "demo" not in old
    assert old["exhibit"]["_target_"] == "lmlab.exhibit.generation.generation_grid"
    current = upgrade(old)
    assert current["demo"] == config.as_dict()["demo"]
    assert original_names(current) == old


@pytest.mark.parametrize(
    ("runtime", "policy"),
    [
        ({"precision": "fp32", "tf32": True, "deterministic": True}, "exact"),
        ({"precision": "bf16", "tf32": False, "deterministic": False}, "bf16"),
        ({"precision": "auto", "tf32": False, "deterministic": False}, "auto"),
    ],
)
def test_removed_precision_settings_become_a_policy(
    tmp_path: Path, runtime: dict[str, object], policy: str
) -> None:
    content = compose([]).as_dict()
    kept = {"device": "cpu", "compile": False, "threads": 1}
    content["runtime"] = {**kept, **runtime}
    assert upgrade(content)["runtime"] == {**kept, "policy": policy}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
    assert load_frozen(tmp_path / "config.yaml").runtime.policy == policy


def test_a_current_configuration_is_unchanged() -> None:
    content = compose(["optim=sgd"]).as_dict()
    assert upgrade(content) == content
