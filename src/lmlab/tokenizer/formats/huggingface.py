"""Hugging Face's ``tokenizer.json``: byte-level BPE with unchanged ids.

Settings that lmlab cannot reproduce exactly are rejected by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lmlab.errors import DataError
from lmlab.storage.fields import (
    COUNT,
    COUNTS_BY_NAME,
    OBJECT,
    OBJECTS,
    TEXT,
    Fields,
    Kind,
    or_null,
    wrong_field,
)
from lmlab.tokenizer.formats.byte_alphabet import (
    from_printable,
    printable_ids,
    printable_merges,
    to_printable,
)
from lmlab.tokenizer.formats.tiktoken import merges_of_ranks
from lmlab.tokenizer.kernels.kinds import GPT2_PATTERN
from lmlab.tokenizer.text_markers import TextMarkers, named_roles, pad_token
from lmlab.tokenizer.unicode_classes import name_classes, spell_out_classes
from lmlab.tokenizer.vocabulary import BPEVocabulary, VocabularyIds, keep_last_of_equal_merges


def _is_merge(value: Any) -> bool:
    """Whether a merge has one of its two forms: a text with a space, or two texts."""
    pair = value.split(" ") if isinstance(value, str) else value
    return isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, str) for one in pair)


_FIELDS: Fields = {
    "model.vocab": COUNTS_BY_NAME,
    "model.merges": Kind(
        lambda value: isinstance(value, list) and all(map(_is_merge, value)), "a list of merges"
    ),
    "added_tokens": or_null(OBJECTS), "added_tokens[].content": TEXT, "added_tokens[].id": COUNT,
    "pre_tokenizer": or_null(OBJECT), "pre_tokenizer.pretokenizers": OBJECTS,
    "pre_tokenizer.pretokenizers[].type": TEXT, "pre_tokenizer.pretokenizers[].pattern": OBJECT,
    "pre_tokenizer.pretokenizers[].pattern.Regex": TEXT,
}  # fmt: skip
# GPT-2's pattern after `Digits(individual_digits=True)`, which splits at every numeral first.
_SINGLE_DIGITS_PATTERN = (
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?=\p{N})|\s+(?!\S)|\s+"
)


def to_hf(vocabulary: BPEVocabulary) -> dict[str, Any]:
    """The content of ``tokenizer.json``.

    Raises:
        DataError: the format cannot hold this vocabulary exactly.
    """
    vocab = printable_ids(vocabulary)
    split = {
        "type": "Split",
        "pattern": {"Regex": spell_out_classes(vocabulary.pattern)},
        "behavior": "Isolated",
        "invert": False,
    }
    to_bytes = {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": False,
    }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": vocab[token],
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for token in sorted(vocabulary.special_tokens, key=vocab.__getitem__)
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, to_bytes]},
        "post_processor": None,
        "decoder": to_bytes | {"use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": printable_merges(vocabulary),
        },
    }


def tokenizer_config(
    ids: VocabularyIds, markers: TextMarkers, context_length: int | None, padding_side: str
) -> dict[str, Any]:
    """The content of ``tokenizer_config.json``.

    ``PreTrainedTokenizerFast`` keeps the ids of ``tokenizer.json`` in every version of
    transformers; other classes replace its pattern. ``model_input_names`` keeps version 4 from
    returning ``token_type_ids``, which no exported model takes.

    Args:
        ids: the vocabulary.
        markers: ids that end and start a text.
        context_length: T of the model; None without a model.
        padding_side: ``left`` or ``right``.
    """
    roles = named_roles(ids.special_ids, markers)
    pad = pad_token(ids.special_ids, markers)
    if pad is not None:
        roles["pad_token"] = pad
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": ["input_ids", "attention_mask"],
        "padding_side": padding_side,
        "clean_up_tokenization_spaces": False,
        "additional_special_tokens": [
            token for token in ids.special_ids if token not in roles.values()
        ],
        **({} if context_length is None else {"model_max_length": context_length}),
        **roles,
    }


def from_hf(saved: Mapping[str, Any]) -> BPEVocabulary:
    """The vocabulary in the content of ``tokenizer.json``.

    A post-processor is ignored: ids are those of ``encode(text, add_special_tokens=False)``.

    Raises:
        DataError: not byte-level BPE, a setting that lmlab does not support, or an inconsistent
            vocabulary.
        ValueError, LookupError, TypeError, AttributeError: the content is damaged.
    """
    _check(saved, {"model": OBJECT, "normalizer": or_null(OBJECT)})
    model = saved["model"]
    _check_model(saved, model)
    _check(saved, _FIELDS)
    specials = [_special(token) for token in saved.get("added_tokens") or ()]
    contents = {content for content, _ in specials}
    vocab = {
        index: text.encode("utf-8") if text in contents else _bytes_of(text)
        for text, index in model["vocab"].items()
    }
    for content, index in specials:
        if vocab.setdefault(index, content.encode("utf-8")) != content.encode("utf-8"):
            raise DataError(f"added token {content!r}: id {index} belongs to another token")
    merges = []
    for merge in model["merges"]:
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        merges.append((_bytes_of(left), _bytes_of(right)))
    if model.get("ignore_merges"):
        _check_ignored_merges(vocab, merges, contents)
    return BPEVocabulary(
        vocab,
        keep_last_of_equal_merges(merges),
        [content for content, _ in specials],
        _pattern(saved.get("pre_tokenizer")),
    )


def _check(saved: Mapping[str, Any], fields: Fields) -> None:
    if wrong := wrong_field(saved, fields):
        raise DataError(wrong)


def _unsupported(key: str, value: object, expected: str) -> DataError:
    return DataError(f"{key}={value!r}: expected {expected}")


def _check_model(saved: Mapping[str, Any], model: Mapping[str, Any]) -> None:
    if model.get("type", "BPE") != "BPE":
        raise _unsupported("model.type", model["type"], "BPE")
    for key in ("unk_token", "continuing_subword_prefix", "end_of_word_suffix", "dropout"):
        if model.get(key) and not (key == "unk_token" and _has_all_bytes(model["vocab"])):
            raise _unsupported(f"model.{key}", model[key], "null")
    if model.get("byte_fallback"):
        raise _unsupported(
            "model.byte_fallback", True, "false (byte-level BPE, not SentencePiece's)"
        )
    if saved.get("normalizer") is not None:
        kind = saved["normalizer"].get("type")
        raise _unsupported("normalizer", kind, "null (lmlab encodes text unchanged)")


def _has_all_bytes(vocab: Mapping[str, int]) -> bool:
    """Whether the unknown token can never occur."""
    return all(to_printable(bytes([byte])) in vocab for byte in range(256))


def _special(token: Mapping[str, Any]) -> tuple[str, int]:
    content = str(token["content"])
    for key in ("lstrip", "rstrip", "single_word"):
        if token.get(key):
            raise _unsupported(f"added token {content!r} {key}", True, "false")
    if not token.get("special"):
        raise _unsupported(
            f"added token {content!r} special", False, "true (lmlab adds only special tokens)"
        )
    return content, int(token["id"])


def _bytes_of(text: str) -> bytes:
    value = from_printable(text)
    if value is None:
        raise DataError(f"entry {text!r}: expected characters of GPT-2's byte alphabet")
    return value


def _check_ignored_merges(
    vocab: Mapping[int, bytes], merges: Sequence[tuple[bytes, bytes]], specials: set[str]
) -> None:
    """``ignore_merges`` looks up whole pre-tokens first; check that this changes no ids.

    It changes none where merging any entry's bytes gives that entry.
    """
    ordinary = {
        value: index
        for index, value in vocab.items()
        if value.decode("utf-8", "replace") not in specials
    }
    if merges_of_ranks(ordinary) != list(merges):
        raise _unsupported("model.ignore_merges", True, "false (here it would change ids)")


def _pattern(node: Mapping[str, Any] | None) -> str:
    """The single pattern that splits text as a chain of pre-tokenizers does."""
    steps = [] if node is None else node.get("pretokenizers", [node])
    kinds = [step["type"] for step in steps]
    if not kinds or kinds[-1] != "ByteLevel":
        raise _unsupported("pre_tokenizer", kinds, "ByteLevel, alone or last in a sequence")
    last = steps[-1]
    if last.get("add_prefix_space"):
        raise _unsupported("pre_tokenizer.add_prefix_space", True, "false")
    uses_gpt2_pattern = last.get("use_regex", True)
    if len(steps) == 1 and uses_gpt2_pattern:
        return GPT2_PATTERN
    single_digits = kinds == ["Digits", "ByteLevel"] and steps[0].get("individual_digits")
    if single_digits and uses_gpt2_pattern:
        return _SINGLE_DIGITS_PATTERN
    if kinds == ["Split", "ByteLevel"] and not uses_gpt2_pattern:
        pattern = steps[0]["pattern"].get("Regex")
        isolates = steps[0].get("behavior") == "Isolated" and not steps[0].get("invert")
        if pattern is not None and isolates:
            return name_classes(pattern)
    raise _unsupported(
        "pre_tokenizer",
        kinds,
        "ByteLevel(use_regex=True), optionally after Digits(individual_digits=True), or "
        "Split(Regex, isolated) and ByteLevel(use_regex=False)",
    )
