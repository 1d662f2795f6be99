from __future__ import annotations

import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmlab.config.renamed_targets import (
    RENAMED_TARGETS,
    original_targets,
    resolve_targets,
    warn_renamed,
)

OLD, NEW = "lmlab.optim.schedule.cosine", "lmlab.optim.lr_schedule.cosine"
targets = st.sampled_from([*RENAMED_TARGETS, "lmlab.nn.norm.PreRMSNorm", "mine.Norm"])
values = st.one_of(st.integers(), st.text(max_size=3), st.lists(st.integers(), max_size=2))
components = st.builds(lambda target, more: {**more, "_target_": target}, targets,
                       st.dictionaries(st.sampled_from("ab"), values))  # fmt: skip
contents = st.recursive(
    components, lambda inner: st.dictionaries(st.sampled_from("xyz"), st.one_of(inner, values))
)


@settings(deadline=None)
@given(contents)
def test_original_names_are_restored_from_current_ones(content: dict[str, object]) -> None:
    assert original_targets(resolve_targets(content)) == content
    assert resolve_targets(resolve_targets(content)) == resolve_targets(content)


def test_the_table_has_one_original_and_one_current_path_per_target() -> None:
    assert len(set(RENAMED_TARGETS.values())) == len(RENAMED_TARGETS)
    assert not RENAMED_TARGETS.keys() & set(RENAMED_TARGETS.values())


def test_only_targets_are_renamed_and_the_argument_stays_unchanged() -> None:
    content = {"a": {"_target_": OLD, "note": OLD}, "b": [OLD], OLD: 1}
    assert resolve_targets(content) == {"a": {"_target_": NEW, "note": OLD}, "b": [OLD], OLD: 1}
    assert content["a"] == {"_target_": OLD, "note": OLD}


def test_each_old_path_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    warn_renamed.cache_clear()
    caplog.set_level(logging.WARNING, "lmlab")
    for _ in range(2):
        resolve_targets({"schedule": {"_target_": OLD}, "other": {"_target_": OLD}})
    resolve_targets({"schedule": {"_target_": NEW}})
    assert caplog.messages == [f"{OLD} was renamed to {NEW}"]
    assert {record.name.partition(".")[0] for record in caplog.records} == {"lmlab"}
