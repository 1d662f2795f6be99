"""lmlab's own tokenizer file: damage that leaves valid JSON is noticed by its checksum."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lmlab.errors import DataError
from lmlab.tokenizer import Tokenizer
from lmlab.tokenizer.factories import byte_level


def test_a_damaged_tokenizer_of_the_user_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    tokenizer = byte_level([], Path(), "", special_tokens=["<|endoftext|>"])
    tokenizer.save(tmp_path)
    path = tmp_path / "tokenizer.json"
    saved = json.loads(path.read_text())
    saved["vocab"][97], saved["vocab"][98] = saved["vocab"][98], saved["vocab"][97]
    swapped = json.dumps(saved)  # as valid as before, with other ids
    path.write_text(swapped)
    with pytest.raises(DataError, match=r"tokenizer\.json: damaged .*checksum"):
        Tokenizer.load(tmp_path)
    assert path.read_text() == swapped, "the user's file stays"
    del saved["checksum"]  # as earlier versions wrote it
    path.write_text(json.dumps(saved))
    assert Tokenizer.load(tmp_path).encode("ab") == tokenizer.encode("ba")
