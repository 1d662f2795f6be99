"""The data of a run: prepared once, checked before it is read, and measured against its floor."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from token_forms import END, FORMS

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


def test_documents_end_with_the_end_of_text(overrides: list[str]) -> None:
    assert prepared(overrides).documents is None
    data = prepared([*overrides, "data.windows=document"])
    assert data.documents is not None
    assert data.documents.end_id == data.tokenizer.end_of_text_id
    assert not data.documents.is_before
    ids = data.train.tokens
    ends = int((ids[: len(ids) // 16 * 16] == data.documents.end_id).sum())
    windows = len(ids) // 16
    # A part begins with each window and after each end that is not the last id of one.
    parts = windows * 16 * sum(number for _, number in data.documents.lengths)
    assert windows < round(parts) <= windows + ends
    first = prepared([*overrides, "data.windows=document", "data.tokens=64"])
    assert first.documents is not None and first.documents.end_id == data.documents.end_id
    assert first.documents.lengths != data.documents.lengths


@pytest.mark.parametrize(
    ("more", "fix"),
    [(["tokenizer.special_tokens=[]"], "tokenizer.end_of_text"),
     (["data.train={ids}", "data=tokens", "tokenizer=ids", "data.valid=null"], "data.end_id")],
)  # fmt: skip
def test_documents_without_an_end_are_refused_at_once(
    more: list[str], fix: str, overrides: list[str], tmp_path: Path
) -> None:
    ids = tmp_path / "train.bin"
    np.arange(999, dtype=np.uint16).tofile(ids)
    words = [word.format(ids=ids) for word in more]
    kept = [word for word in overrides if "data=tokens" not in words or "data" not in word]
    spec = resolve(compose([*kept, *words, "data.windows=document"])).data
    with pytest.raises(ConfigError, match=r"data\.windows=document: expected an id") as refused:
        check_source(spec)
    assert fix in str(refused.value.help)
    assert not spec.cache_folder.exists()


def test_a_mixture_separates_documents(overrides: list[str], texts: tuple[Path, Path]) -> None:
    kept = [word for word in overrides if not word.startswith("data")]
    names = {"one": texts[0], "other": texts[1]}
    sources = [
        word for name, path in names.items()
        for word in (f"data.sources.{name}={path}", f"data.sources.{name}.valid_fraction=0.2",
                     f"data.weights.{name}=1")
    ]  # fmt: skip
    words = [*kept, "data=mixture", *sources, "data.windows=document"]
    data = prepared(words)
    assert data.documents is not None
    assert data.documents.end_id == data.tokenizer.end_of_text_id
    with pytest.raises(ConfigError, match=r"data\.sources\.one\.windows=document: unknown"):
        compose([*words, "data.sources.one.windows=document"])


def test_llmc_ends_stand_before_documents(overrides: list[str], tmp_path: Path) -> None:
    words = [word for word in overrides if not word.startswith(("data", "model.vocab_size"))]
    path = FORMS["llmc"](tmp_path)
    data = prepared(
        [*words, "data=tokens", f"data.train={path}", f"data.end_id={END}", "tokenizer=ids",
         "model.vocab_size=1000", "data.windows=document"]
    )  # fmt: skip
    assert data.documents is not None and data.documents.end_id == END
    assert data.documents.is_before == (int(data.train.tokens[0]) == END)
