"""A vocabulary without text: kept, read again, and refusing what needs text."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from lmlab.errors import ConfigError, DataError
from lmlab.records.text import Text
from lmlab.tokenizer.factories import bpe, ids_only
from lmlab.tokenizer.ids_only import IdsOnly, load_tokenizer


def test_it_is_kept_and_read_again(tmp_path: Path) -> None:
    IdsOnly(70_000).save(tmp_path)
    for found in (load_tokenizer(tmp_path), pickle.loads(pickle.dumps(IdsOnly(70_000)))):
        assert (found.vocab_size, found.id_bytes, found.hash) == (70_000, 4, IdsOnly(70_000).hash)
        assert not found.has_text and found.end_of_text_id is None
    assert IdsOnly(69_999).hash != IdsOnly(70_000).hash
    (tmp_path / "ids.json").write_text('{"format_version": 2}')
    with pytest.raises(DataError, match=r"ids\.json: cannot be read"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    "use",
    [lambda t: t.encode("a"), lambda t: t.decode([1]), lambda t: t.encode_array("a"),
     lambda t: t.token_byte_lengths, lambda t: t.token_bytes(3), lambda t: t.start_id,
     lambda t: list(t.encode_many(["a"], 1))],
)  # fmt: skip
def test_what_needs_text_is_refused(use: Callable[[IdsOnly], object]) -> None:
    with pytest.raises(ConfigError, match="tokenizer=ids: expected a tokenizer"):
        use(IdsOnly(300))


def test_text_and_ids_need_their_own_tokenizers(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Once upon a time")
    with pytest.raises(ConfigError, match="expected ids, but the data are text"):
        ids_only(Text.of(tmp_path / "a.txt"), tmp_path, "", vocab_size=300)
    with pytest.raises(ConfigError, match="expected text to train on, but the data are ids"):
        bpe(Text(()), tmp_path, "", vocab_size=300, special_tokens=[])
