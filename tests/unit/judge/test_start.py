"""Ledgers: started once, found again, and not started on other terms."""

from __future__ import annotations

from pathlib import Path

import pytest
from judged_ideas import micro, started

from lmlab.errors import ConfigError, DataError
from lmlab.judge.ledger import Ledger
from lmlab.judge.place import check_name, find_ledger
from lmlab.judge.start import start

Texts = tuple[Path, Path]


def test_terms_that_are_not_given_come_from_the_scale(tmp_path: Path, texts: Texts) -> None:
    ledger, stream = start(None, "ideas", micro(tmp_path, texts), {"margin": None, "level": 0.1})
    assert ledger.folder == tmp_path / "outputs" / "judge" / "ideas"
    terms = stream.terms
    assert (terms.margin, terms.expected_sd, terms.num_tuning_seeds) == (0.05, 0.03, 1)
    assert (terms.level, terms.max_seeds, terms.control) == (0.1, 12, "fdr")
    assert set(terms.pins["measured"]) == {
        "validation text", "settings of validation", "tokenizer", "evaluated tokens"
    }  # fmt: skip


def test_the_same_command_again_changes_nothing(tmp_path: Path, texts: Texts) -> None:
    ledger, stream = started(tmp_path, texts)
    rows = ledger.rows()
    assert started(tmp_path, texts)[1] == stream and ledger.rows() == rows


@pytest.mark.parametrize(
    ("change", "key"),
    [({"metric": "bits_per_byte"}, "metric"), ({"level": 0.2}, "level"), ({"margin": 1.0}, "mar")],
)
def test_other_terms_are_refused(
    tmp_path: Path, texts: Texts, change: dict[str, object], key: str
) -> None:
    started(tmp_path, texts)
    with pytest.raises(ConfigError, match=f"{key}.*expected .* was started") as caught:
        started(tmp_path, texts, **change)
    assert "another name" in str(caught.value.help)


def test_a_study_is_no_baseline(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="baseline: experiment=ablate_norm"):
        start(tmp_path / "a", "a", ["experiment=ablate_norm"], {})
    with pytest.raises(ConfigError, match=r"modle"):
        start(tmp_path / "a", "a", ["modle.norm=post"], {})
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b", "baseline", "x" * 61])
def test_a_name_is_that_of_a_folder(name: str) -> None:
    with pytest.raises(ConfigError, match="name="):
        check_name(name)


def test_the_only_ledger_need_not_be_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no ledger"):
        find_ledger(None, tmp_path)
    Ledger(tmp_path / "judge" / "one").append("start", {})
    assert find_ledger(None, tmp_path).folder.name == "one"
    Ledger(tmp_path / "judge" / "two").append("start", {})
    with pytest.raises(DataError, match="expected one ledger, found one, two"):
        find_ledger(None, tmp_path)
    assert find_ledger(tmp_path / "else", tmp_path).folder == tmp_path / "else"
