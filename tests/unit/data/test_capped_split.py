"""A cap on training tokens: the first ids, with the bytes, checks and identity of the part."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mixed_ids import StoredTokens

from lmlab.data.capped_split import CappedSplit, CappedTokens
from lmlab.data.sources import TextFiles, ToyStories
from lmlab.data.token_sources import TokenFiles
from lmlab.errors import ConfigError, DataError
from lmlab.tokenizer import Tokenizer

END = "<|endoftext|>"
BYTES = Tokenizer({byte: bytes([byte]) for byte in range(256)}, [], [END])


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("".join(f"né {number}{END}" for number in range(99)))
    return path


def source(text: Path, tokens: float | None) -> TextFiles:
    return TextFiles(text.parent / "cache", train=str(text), valid_fraction=0.2, tokens=tokens)


def test_the_first_ids_are_read(text: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    whole, capped = source(text, None).prepare(), source(text, 50.0).prepare()
    every, some = (
        one.splits["train"].encode(BYTES, text.parent, name="train") for one in (whole, capped)
    )
    assert some.num_tokens == len(some.tokens) == 50
    assert np.array_equal(some.tokens, every.tokens[:50])
    num_bytes = int((every.tokens[:50] < 256).sum())  # all but ends of texts
    assert some.text_bytes(BYTES) == some.evaluated_bytes(BYTES, [(0, 50)]) == num_bytes < 50
    assert some.evaluated_bytes(BYTES, [(2, 5)]) == every.evaluated_bytes(BYTES, [(2, 5)])
    assert (
        f"data.tokens=50: the run reads the first 50 of {every.num_tokens:,} train" in caplog.text
    )
    assert whole.valid_hash == capped.valid_hash and capped.valid == whole.valid


def test_a_cap_above_the_text_changes_no_id(text: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    split = source(text, 1e9).prepare().splits["train"]
    found = split.encode(BYTES, text.parent, name="train")
    assert found.num_tokens == CappedTokens(found, found.num_tokens).num_tokens
    assert f"the run reads not more than {found.num_tokens:,} training tokens" in caplog.text


def test_only_a_cap_changes_the_identity(text: Path) -> None:
    hashes = [source(text, tokens).prepare().train_hash for tokens in (None, 50, 50.0, 51)]
    assert len(set(hashes)) == 3 and hashes[1] == hashes[2]
    capped = source(text, 50).prepare()
    assert capped.train_text_hash == hashes[0], "the tokenizer is that of all of the text"
    assert isinstance(capped.splits["train"], CappedSplit)


def test_parts_of_several_files_are_cut_where_they_end() -> None:
    class Two(StoredTokens):
        @property
        def shards(self) -> Any:
            (one,) = super().shards
            return one.part(0, 30), one.part(30, self.num_tokens)

    found = CappedTokens(Two(range(100)), 40)
    assert [shard.num_tokens for shard in found.shards] == [30, 10]
    assert np.asarray(found.tokens).tolist() == list(range(40))
    assert [shard.num_tokens for shard in CappedTokens(Two(range(100)), 20).shards] == [20]


def test_too_few_tokens_and_wrong_numbers_are_refused(text: Path) -> None:
    with pytest.raises(DataError, match=r"data\.tokens=16: expected at least 17"):
        CappedTokens(StoredTokens(range(100)), 16).check("", 16, 256)
    stories = {"num_train_documents": 3, "num_valid_documents": 2, "seed": 0}
    for tokens in (0, -1, 2.5):
        for one in (
            source(text, tokens),
            ToyStories(text.parent, **stories, tokens=tokens),
            TokenFiles(text.parent, train=str(text), vocab_size=300, tokens=tokens),
        ):
            with pytest.raises(ConfigError, match=f"data.tokens={tokens}: expected a whole number"):
                one.check()
