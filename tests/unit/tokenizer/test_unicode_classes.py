"""Character classes do not depend on the version of a library."""

from __future__ import annotations

import pytest
import regex
from interchange import trained
from tokenizer_oracle import flat

from lmlab.tokenizer import (
    pretokenize,
    unicode_classes,
)
from lmlab.tokenizer.kernels import classes, kinds
from lmlab.tokenizer.unicode_classes import name_classes, spell_out_classes


def test_spelled_out_classes_get_their_names_back() -> None:
    for pattern in (trained().pattern, r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|\[\p{N}\]|\\p{L}x"):
        spelled = spell_out_classes(pattern)
        assert r"\p{N}" not in spelled
        assert name_classes(spelled) == pattern
    assert spell_out_classes(r"\p{Zs}x") == "[ \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]x"


def test_text_is_split_by_the_frozen_classes_with_any_version_of_regex(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Frozen classes may differ from those of the installed library."""
    frozen = classes.class_of_each().copy()
    for character, kind in (("é", classes.OTHER), ("%", classes.LETTER), ("東", classes.NUMBER),
                            ("-", classes.SPACE)):  # fmt: skip
        frozen[ord(character)] = kind
    monkeypatch.setattr(classes, "class_of_each", lambda: frozen)
    monkeypatch.setattr(classes, "MADE_BY_REGEX", "another")
    caches = unicode_classes.stand_ins, unicode_classes._ranges
    text, pieces = "aéb%c 1東2--x", ["a", "é", "b%c", " 1東2", "-", "-", "x"]
    try:
        for cache in caches:
            cache.cache_clear()
        assert len(unicode_classes.stand_ins()) == 4
        cutter = pretokenize.PreTokenizer(kinds.GPT2_PATTERN, [])
        assert flat(cutter.split(text)) == pieces
        spelled = unicode_classes.spell_out_classes(kinds.GPT2_PATTERN)
        assert regex.findall(spelled, text.replace("-", " ")) == [
            piece.replace("-", " ") for piece in ["a", "é", "b%c", " 1東2", "-", "-x"]
        ]
    finally:
        for cache in caches:
            cache.cache_clear()
