"""Converted tokenizers give the same ids in three libraries, on hard text."""

from __future__ import annotations

from pathlib import Path

import pytest
from interchange import BYTES, SPECIALS, every_character, hard_text, three, trained

from lmlab.errors import DataError
from lmlab.tokenizer import Tokenizer, convert


def test_ids_are_the_same_in_three_libraries(tmp_path: Path) -> None:
    ours, theirs, ranks = three(trained(), tmp_path)
    for text in (hard_text(), every_character()[::11], every_character()[1::1000]):
        ids = ours.encode(text)
        assert theirs.encode(text, add_special_tokens=False).ids == ids
        assert ranks.encode(text, allowed_special="all") == ids
        assert theirs.decode(ids, skip_special_tokens=False) == text == ranks.decode(ids)
    for name in SPECIALS:
        assert theirs.token_to_id(name) == ranks.encode_single_token(name) == ours.encode(name)[0]


def test_characters_newer_than_a_library_get_the_same_ids(tmp_path: Path) -> None:
    # Some libraries treat letters of Unicode 17 and 18 as unassigned, and so as punctuation. These
    # characters share their first byte, which is merged with "!" here.
    lead = "\U00010000".encode()[:1]
    tokenizer = Tokenizer(BYTES | {256: b"!" + lead}, [(b"!", lead)])
    ours, theirs, ranks = three(tokenizer, tmp_path)
    newer = [c for c in every_character() if c.encode()[:1] == lead][::50]
    text = "".join(f"a !{c}b" for c in newer)
    ids = ours.encode(text)
    assert theirs.encode(text).ids == ids == ranks.encode(text)


@pytest.mark.parametrize("form", convert.FORMATS)
def test_every_format_converts_back_to_the_same_tokenizer(tmp_path: Path, form: str) -> None:
    convert.write(trained(), tmp_path / form, form)
    assert convert.read(tmp_path / form).hash == trained().hash


def test_vocabularies_that_a_format_cannot_hold_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="represent other bytes"):
        convert.write(Tokenizer(BYTES, [], ["é"]), tmp_path, "hf")
    with pytest.raises(DataError, match="both would be written 'a'"):
        convert.write(Tokenizer(BYTES | {256: b"a"}, []), tmp_path, "hf")
    with pytest.raises(
        DataError, match="format=gpt2: implies GPT-2's pattern, but this tokenizer uses another"
    ):
        convert.write(Tokenizer(BYTES, [], pattern=r"\w+|\W+"), tmp_path, "gpt2")
    with pytest.raises(
        DataError,
        match=r'format=tictoken: expected one of hf, gpt2, tiktoken, lmlab\nhelp: .*"tiktoken"',
    ):
        convert.write(Tokenizer(BYTES, []), tmp_path, "tictoken")
    convert.write(trained(), tmp_path, "tiktoken")
    (tmp_path / "tokenizer.tiktoken.json").unlink()
    with pytest.raises(DataError, match="pat_str"):
        convert.read(tmp_path)
