"""The corpus of a mixture: a floor where all sources have one, and what their splits add up to."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from mixed_ids import StoredTokens

from lmlab.data.corpus import Corpus, Floor
from lmlab.data.mixed_corpus import MixedCorpus, MixedSplit
from lmlab.data.mixed_floor import floor_of
from lmlab.data.mixed_tokens import MixedTokens
from lmlab.data.split import TextSplit
from lmlab.records.text import Text
from lmlab.storage.io import hash_json

SHARES = {"a": Fraction(3, 4), "b": Fraction(1, 4)}


class Given:
    """A split without text, whose ids are given."""

    text = Text(())

    def __init__(self, name: str) -> None:
        self.hash = self.text_hash = name

    def encode(self, tokenizer: Any, cache_dir: Path, *, name: str) -> StoredTokens:
        return StoredTokens(range(10 if self.hash == "x" else 20))


def test_a_split_is_that_of_all_sources() -> None:
    split = MixedSplit({"a": Given("x"), "b": Given("y")}, SHARES)
    ids = split.encode(None, Path(), name="train")  # type: ignore[arg-type]
    assert [(p.name, p.share, p.start) for p in ids.parts] == [
        ("a", Fraction(3, 4), 0), ("b", Fraction(1, 4), 10),
    ]  # fmt: skip
    assert ids.num_tokens == 30 and not split.text.files
    swapped = MixedSplit({"a": Given("y"), "b": Given("x")}, SHARES)
    equal = MixedSplit({"a": Given("x"), "b": Given("y")}, dict.fromkeys("ab", Fraction(1, 2)))
    assert len({split.hash, swapped.hash, equal.hash}) == 3


def test_the_text_hash_is_of_those_that_are_text(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    one, two = (TextSplit(Text.of(tmp_path / name)) for name in ("one", "two"))
    shares = dict.fromkeys("abc", Fraction(1, 3))
    all_three = MixedSplit({"a": one, "b": Given("x"), "c": two}, shares)
    assert all_three.text_hash == hash_json([one.hash, two.hash])
    assert all_three.text.paths == [tmp_path / "one", tmp_path / "two"]
    assert MixedSplit({"a": one, "b": Given("x")}, SHARES).text_hash == one.hash


def floored(nats: float | None) -> Corpus:
    return Corpus("c", (), (), None if nats is None else Floor(nats, 50, "a note"))


def test_the_floor_is_the_mean_by_share_and_known_if_all_are() -> None:
    valid = MixedTokens.of(
        ["a", "b"], list(SHARES.values()), [StoredTokens(range(11)), StoredTokens(range(41))]
    )
    corpus = MixedCorpus({"a": floored(20.0), "b": floored(60.0)}, SHARES, SHARES)
    found = floor_of(corpus, valid)
    assert found is not None and found["note"] == "a note"
    assert found["nats_per_token"] == pytest.approx(0.75 * 20 / 10 + 0.25 * 60 / 40)
    bits = [Floor(nats, 50, "").bits_per_byte for nats in (20, 60)]
    assert found["bits_per_byte"] == pytest.approx(0.75 * bits[0] + 0.25 * bits[1])
    assert found["sources"]["b"]["nats_per_token"] == 1.5
    unknown = MixedCorpus({"a": floored(20.0), "b": floored(None)}, SHARES, SHARES)
    assert floor_of(unknown, valid) is None
    alone = floor_of(floored(20.0), StoredTokens(range(11)))
    assert alone == {"nats_per_token": 2.0, "bits_per_byte": bits[0], "note": "a note"}
