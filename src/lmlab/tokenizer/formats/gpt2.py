"""GPT-2's files: ``vocab.json``, ``merges.txt`` and, optionally, ``special_tokens_map.json``."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Mapping
from typing import Any

from lmlab.errors import DataError
from lmlab.storage.fields import COUNT, warn_once
from lmlab.storage.json_text import parse_json
from lmlab.tokenizer.formats.byte_alphabet import (
    from_printable,
    printable_ids,
    printable_merges,
)
from lmlab.tokenizer.kernels.kinds import GPT2_PATTERN
from lmlab.tokenizer.text_markers import default_markers, named_roles
from lmlab.tokenizer.vocabulary import BPEVocabulary, keep_last_of_equal_merges

VOCAB, MERGES, SPECIALS = "vocab.json", "merges.txt", "special_tokens_map.json"
_SPLIT = operator.methodcaller("split", " ")


def to_gpt2(vocabulary: BPEVocabulary) -> tuple[dict[str, int], str, dict[str, Any]]:
    """The content of ``vocab.json``, ``merges.txt`` and ``special_tokens_map.json``.

    Raises:
        DataError: the files cannot hold this vocabulary exactly.
    """
    if vocabulary.pattern != GPT2_PATTERN:
        raise DataError(
            "format=gpt2: implies GPT-2's pattern, but this tokenizer uses another",
            "use format=hf",
        )
    lines = ["#version: 0.2", *printable_merges(vocabulary), ""]
    special_ids = vocabulary.ids.special_ids
    markers = vocabulary.markers or default_markers(special_ids)
    specials = {
        "additional_special_tokens": vocabulary.special_tokens,
        **named_roles(special_ids, markers),
    }
    return printable_ids(vocabulary), "\n".join(lines), specials


def from_gpt2(contents: Mapping[str, bytes]) -> BPEVocabulary:
    """Undo :func:`to_gpt2`.

    Args:
        contents: the files by name. Without ``special_tokens_map.json``, entries of the form
            ``<|...|>`` are the special tokens.

    Raises:
        DataError: an inconsistent vocabulary.
        ValueError, LookupError, TypeError, AttributeError: the content is damaged.
    """
    vocab_text, merges_text = (contents[name].decode("utf-8") for name in (VOCAB, MERGES))
    ids = parse_json(vocab_text)
    if not isinstance(ids, dict):
        raise DataError(f"{VOCAB}: expected an object")
    if wrong := [name for name, index in ids.items() if not COUNT.accepts(index)]:
        raise DataError(f"{VOCAB}: {wrong[0]}: expected {COUNT.expected}")
    lines = [line for line in merges_text.splitlines() if line and not line.startswith("#version")]
    specials = _special_tokens(contents, ids)
    values = {text: text.encode("utf-8") for text in specials}
    plain = [text for text in ids if text not in values]
    data = from_printable("".join(plain))
    if data is None:
        raise ValueError("an entry is not in GPT-2's byte alphabet")
    ends = itertools.accumulate(map(len, plain))
    for text, end in zip(plain, ends, strict=True):
        values[text] = data[end - len(text) : end]
    vocab = {index: values[text] for text, index in ids.items()}
    merges = keep_last_of_equal_merges([(values[a], values[b]) for a, b in map(_SPLIT, lines)])
    made = {left + right for left, right in merges} | {text.encode("utf-8") for text in specials}
    unused = sum(len(value) > 1 and value not in made for value in vocab.values())
    if unused:
        warn_once(
            f"{MERGES}: no merge makes {unused:,} of the {len(vocab):,} entries of {VOCAB}: lines "
            "may be missing"
        )
    return BPEVocabulary(vocab, merges, specials)


def _special_tokens(contents: Mapping[str, bytes], ids: dict[str, int]) -> list[str]:
    if SPECIALS not in contents:
        return [text for text in ids if text.startswith("<|") and text.endswith("|>")]
    try:
        roles = parse_json(contents[SPECIALS])
    except ValueError as error:
        raise DataError(f"{SPECIALS}: cannot be read: {error}") from error
    if not isinstance(roles, dict):
        raise DataError(f"{SPECIALS}: expected an object")
    found: dict[str, None] = {}
    for role, value in roles.items():
        for token in value if isinstance(value, list) else [value]:
            text = token.get("content", token) if isinstance(token, dict) else token
            if not isinstance(text, str | None):
                raise DataError(f"{SPECIALS}: {role}: expected special tokens")
            if text is not None:
                found[text] = None
    return [token for token in found if token in ids]
