"""Which rule the same command follows after lmlab has changed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from study_fixtures import write_simulated_study

from lmlab.design.manifest import Manifest
from lmlab.study.earlier_rules import keep_earlier_rules
from lmlab.study.sweep_folder import SweepFolder


def with_rule(manifest: Manifest, rule: str, **changes: str) -> Manifest:
    assert manifest.comparison is not None
    design = dataclasses.replace(manifest.comparison, confirm_rate=rule, **changes)
    return dataclasses.replace(manifest, comparison=design)


def test_a_study_continues_by_the_rule_under_which_it_was_started(
    manifest: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    today = with_rule(manifest, "auto")
    assert keep_earlier_rules(today, tmp_path) == today, "it is a new study"
    write_simulated_study(manifest, tmp_path, 5)
    assert keep_earlier_rules(today, tmp_path) == manifest
    assert "norms: started without confirmed learning rates" in capsys.readouterr().err
    for rule in ("always", "never"):
        assert keep_earlier_rules(with_rule(manifest, rule), tmp_path) == with_rule(manifest, rule)
    typed = dataclasses.replace(today, command=f"{today.command} design.confirm_rate=auto")
    assert keep_earlier_rules(typed, tmp_path) == typed
    SweepFolder.of(today, tmp_path).write_manifest(today)
    assert keep_earlier_rules(today, tmp_path) == today, "it has been started anew"


def test_a_study_without_a_search_has_nothing_to_confirm(manifest: Manifest) -> None:
    fixed = with_rule(manifest, "auto", lr="fixed")
    assert fixed.comparison is not None and fixed.comparison.confirm_rate == "never"
    assert fixed.id == with_rule(manifest, "never", lr="fixed").id
