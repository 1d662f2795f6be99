"""Tokenizers in Hugging Face's form, ``tokenizer.json``: byte-level BPE, ids unchanged.

Whatever of that form this tokenizer cannot do exactly is refused, by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lmlab.errors import DataError
from lmlab.tokenizer.formats.byte_alphabet import from_printable, to_printable
from lmlab.tokenizer.kernels.kinds import GPT2_PATTERN
from lmlab.tokenizer.serialization import last_of_each
from lmlab.tokenizer.unicode_classes import name_again, spell_out

if TYPE_CHECKING:
    from lmlab.tokenizer.tokenizer import Tokenizer

# The pattern after `Digits(individual_digits=True)`, which cuts at every numeral first.
_SINGLE_DIGITS_PATTERN = (
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?=\p{N})|\s+(?!\S)|\s+"
)


def entries(tokenizer: Tokenizer) -> dict[str, int]:
    """The vocabulary as Hugging Face and GPT-2 write it: special tokens as they are, bytes printed.

    Raises:
        DataError: two ids would be written alike, or a special token would be read as bytes.
    """
    specials = {token.encode("utf-8"): token for token in tokenizer.special_tokens}
    found: dict[str, int] = {}
    for index, value in tokenizer.vocab.items():
        text = specials.get(value)
        if text is None:
            text = to_printable(value)
        elif from_printable(text) not in (None, value):
            raise DataError(
                f"special token {text!r} cannot be written in Hugging Face's form: its characters "
                "stand for other bytes there; choose another name, of plain ASCII letters"
            )
        if text in found:
            raise DataError(
                f"ids {found[text]} and {index} would both be written {text!r}: this vocabulary "
                "has no exact form for Hugging Face"
            )
        found[text] = index
    return found


def merge_lines(tokenizer: Tokenizer) -> list[str]:
    """The merges, one ``left right`` each; a pair that comes again later never counts."""
    return [
        f"{to_printable(left)} {to_printable(right)}"
        for left, right in dict.fromkeys(tokenizer.merges)
    ]


def to_hf(tokenizer: Tokenizer) -> dict[str, Any]:
    """The content of ``tokenizer.json``. Raises :class:`DataError` where there is no exact one."""
    vocab = entries(tokenizer)
    cut = {
        "type": "Split",
        "pattern": {"Regex": spell_out(tokenizer.pattern)},
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
            for token in sorted(tokenizer.special_tokens, key=vocab.__getitem__)
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [cut, to_bytes]},
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
            "merges": merge_lines(tokenizer),
        },
    }


def from_hf(saved: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a tokenizer from the content of ``tokenizer.json``.

    Tokens that a post-processor would put around a text are not put there: ids are those of
    ``encode(text, add_special_tokens=False)``.

    Returns:
        ``vocab``, ``merges``, ``special_tokens``, ``pattern``.

    Raises:
        DataError: it is no byte-level BPE, or asks for something that lmlab does not do.
    """
    model = saved["model"]
    _check_model(saved, model)
    specials = [_special(token) for token in saved.get("added_tokens") or ()]
    contents = {content for content, _ in specials}
    vocab = {
        index: text.encode("utf-8") if text in contents else _bytes_of(text)
        for text, index in model["vocab"].items()
    }
    for content, index in specials:
        if vocab.setdefault(index, content.encode("utf-8")) != content.encode("utf-8"):
            raise DataError(f"tokenizer.json: id {index} is given to {content!r} and to another")
    merges = []
    for merge in model["merges"]:
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        merges.append((_bytes_of(left), _bytes_of(right)))
    if model.get("ignore_merges"):
        _check_ignored_merges(vocab, merges, contents)
    return {
        "vocab": vocab,
        "merges": last_of_each(merges),
        "special_tokens": [content for content, _ in specials],
        "pattern": _pattern(saved.get("pre_tokenizer")),
    }


def _refuse(what: str, value: object, accepted: str) -> DataError:
    return DataError(f"tokenizer.json: {what}={value!r}: accepted is {accepted}")


def _check_model(saved: Mapping[str, Any], model: Mapping[str, Any]) -> None:
    if model.get("type", "BPE") != "BPE":
        raise _refuse("model.type", model["type"], "BPE")
    for key in ("unk_token", "continuing_subword_prefix", "end_of_word_suffix", "dropout"):
        if model.get(key) and not (key == "unk_token" and _has_all_bytes(model["vocab"])):
            raise _refuse(f"model.{key}", model[key], "null")
    if model.get("byte_fallback"):
        raise _refuse(
            "model.byte_fallback", True, "false: lmlab reads byte-level BPE, not SentencePiece's"
        )
    if saved.get("normalizer") is not None:
        kind = saved["normalizer"].get("type")
        raise _refuse("normalizer", kind, "null: text is never changed before it is encoded")


def _has_all_bytes(vocab: Mapping[str, int]) -> bool:
    """Whether nothing can be unknown."""
    return all(to_printable(bytes([byte])) in vocab for byte in range(256))


def _special(token: Mapping[str, Any]) -> tuple[str, int]:
    content = str(token["content"])
    for key in ("lstrip", "rstrip", "single_word"):
        if token.get(key):
            raise _refuse(f"added token {content!r} {key}", True, "false")
    if not token.get("special"):
        raise _refuse(
            f"added token {content!r} special", False, "true: lmlab has no other added tokens"
        )
    return content, int(token["id"])


def _bytes_of(text: str) -> bytes:
    value = from_printable(text)
    if value is None:
        raise DataError(f"tokenizer.json: entry {text!r} is not in GPT-2's alphabet of bytes")
    return value


def _check_ignored_merges(
    vocab: Mapping[int, bytes], merges: Sequence[tuple[bytes, bytes]], specials: set[str]
) -> None:
    """Whole words are looked up first there; that is the same where every entry is a merge."""
    from lmlab.tokenizer.formats.tiktoken import merges_of_ranks

    ordinary = {value: i for i, value in vocab.items() if value.decode("utf-8", "replace") not in
                specials}  # fmt: skip
    if merges_of_ranks(ordinary) != list(merges):
        raise _refuse("model.ignore_merges", True, "false: here it would change ids")


def _pattern(node: Mapping[str, Any] | None) -> str:
    """The one pattern that cuts as a chain of pre-tokenizers does."""
    steps = [] if node is None else node.get("pretokenizers", [node])
    kinds = [step["type"] for step in steps]
    if not kinds or kinds[-1] != "ByteLevel":
        raise _refuse("pre_tokenizer", kinds, "ByteLevel, alone or last of a sequence")
    last = steps[-1]
    if last.get("add_prefix_space"):
        raise _refuse("pre_tokenizer.add_prefix_space", True, "false")
    own = last.get("use_regex", True)
    if len(steps) == 1 and own:
        return GPT2_PATTERN
    if kinds == ["Digits", "ByteLevel"] and steps[0].get("individual_digits") and own:
        return _SINGLE_DIGITS_PATTERN
    if kinds == ["Split", "ByteLevel"] and not own:
        pattern = steps[0]["pattern"].get("Regex")
        fine = steps[0].get("behavior") == "Isolated" and not steps[0].get("invert")
        if pattern is not None and fine:
            return name_again(pattern)
    raise _refuse(
        "pre_tokenizer",
        kinds,
        "ByteLevel with its own pattern, after Digits (one by one) or not; or one isolating "
        "Split by a Regex and then ByteLevel without its pattern",
    )
