"""The data of a run: prepared once, checked before it is read, and measured against its floor."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from lmlab.build.run_data import RunData, check_source, prepare_data
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.errors import ConfigError, DataError


def prepared(overrides: list[str]) -> RunData:
    return prepare_data(resolve(compose(overrides)).data)


def test_tokens_are_those_of_the_tokenizer(overrides: list[str], texts: tuple[Path, Path]) -> None:
    data = prepared(overrides)
    for split, path in ((data.train, texts[0]), (data.valid, texts[1])):
        assert split.tokens[:50].tolist() == data.tokenizer.encode(path.read_text())[:50]
        assert data.tokenizer.decode(split.tokens.tolist()) == path.read_text()


def test_prepared_data_are_reused(overrides: list[str]) -> None:
    prepared(overrides)
    cache = resolve(compose(overrides)).cache_folder
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file()}
    assert len(before) >= 3, "a tokenizer and two splits"
    again = prepared([*overrides, "training.steps=7", "model.d_model=32"])
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert again.train.num_tokens > 0


def test_vocabularies_of_two_sizes_name_the_right_one(overrides: list[str]) -> None:
    with pytest.raises(ConfigError) as refused:
        prepared([*overrides, "tokenizer=bytes", "model.vocab_size=300"])
    assert refused.value.message.startswith("model.vocab_size=300: expected 257")
    assert refused.value.help == "set model.vocab_size=257"


def test_a_split_shorter_than_a_window_is_refused(overrides: list[str], tmp_path: Path) -> None:
    short = tmp_path / "short.txt"
    short.write_text("A cat.\n")
    with pytest.raises(DataError, match=r"short\.txt|valid"):
        prepared([*overrides, f"data.valid={short}", "model.context_length=200"])


def test_a_wrong_source_is_refused_before_anything_is_written(
    overrides: list[str], tmp_path: Path
) -> None:
    spec = resolve(compose([*overrides, f"data.valid={tmp_path / 'missing.txt'}"]))
    with pytest.raises(DataError, match=r"data\.valid"):
        check_source(spec.data)
    assert not spec.cache_folder.exists()


def test_the_floor_is_per_predicted_token(overrides: list[str]) -> None:
    more = ["data=toystories", "data.num_train_documents=30", "data.num_valid_documents=10",
            "tokenizer=bytes", "model.vocab_size=257"]  # fmt: skip
    kept = [word for word in overrides if not word.startswith(("data", "model.vocab_size"))]
    data = prepared([*kept, *more])
    floor: Any = data.floor()
    entropy: Any = data.corpus.floor
    assert floor["nats_per_token"] * (data.valid.num_tokens - 1) == pytest.approx(entropy.nats)
    assert floor["bits_per_byte"] == entropy.bits_per_byte
    unknown = dataclasses.replace(data, corpus=prepared(overrides).corpus)
    assert unknown.floor() is None
