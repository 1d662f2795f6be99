"""The tokens that end a text, and the one that a text starts with.

They do not change how text is encoded, so they are not part of a tokenizer's hash: generation stops
at an end, and an empty prompt starts with the start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lmlab.errors import ConfigError, DataError, suggestion
from lmlab.storage.json_text import parse_json

END_OF_TEXT = "<|endoftext|>"
# Names under which tokenizers have a token that ends a text, most specific first. Where several are
# in a vocabulary, the first of them is meant.
_KNOWN_ENDS = (
    END_OF_TEXT, "<|end_of_text|>", "<|endofdoc|>", "<|eos|>", "<|end|>", "</s>", "<eos>", "<EOS>",
    "[EOS]", "<|eot_id|>", "<|im_end|>",
)  # fmt: skip
_KNOWN_PADS = ("<|pad|>", "<pad>", "[PAD]", "<PAD>", "<|padding|>", "<|finetune_right_pad_id|>")

GENERATION_CONFIG, MODEL_CONFIG = "generation_config.json", "config.json"
TOKENIZER_CONFIG, SPECIAL_TOKENS_MAP = "tokenizer_config.json", "special_tokens_map.json"
# Files of a Hugging Face folder that say how its texts end, in the order in which they count.
FILES = (GENERATION_CONFIG, MODEL_CONFIG, TOKENIZER_CONFIG, SPECIAL_TOKENS_MAP)


class TextMarkers(NamedTuple):
    """Ids that end a text, and the id that starts one.

    Attributes:
        ends: the first separates documents; generation stops at any of them.
        start: first token of a text without a prompt; None: the first of ``ends``.
    """

    ends: tuple[int, ...] = ()
    start: int | None = None

    def check(self, vocab_size: int) -> None:
        """Raise :class:`DataError` unless every id is in the vocabulary."""
        for index in (*self.ends, *(() if self.start is None else (self.start,))):
            if type(index) is not int or not 0 <= index < vocab_size:
                raise DataError(f"end of text {index!r}: expected an id below {vocab_size}")


def default_markers(special_ids: Mapping[str, int]) -> TextMarkers:
    """What the names of the special tokens say: ``<|endoftext|>``, otherwise another known name."""
    known = next((name for name in _KNOWN_ENDS if name in special_ids), None)
    return TextMarkers() if known is None else TextMarkers((special_ids[known],))


def named_roles(special_ids: Mapping[str, int], markers: TextMarkers) -> dict[str, str]:
    """The special tokens that Hugging Face's files name as ``bos_token`` and ``eos_token``.

    A role is left out if its id is not that of a special token.
    """
    names = {index: name for name, index in special_ids.items()}
    end = next((names[index] for index in markers.ends if index in names), None)
    start = end if markers.start is None else names.get(markers.start)
    roles = {"bos_token": start, "eos_token": end}
    return {role: token for role, token in roles.items() if token is not None}


def pad_token(special_ids: Mapping[str, int], markers: TextMarkers) -> str | None:
    """The special token for padding: one with a known name, otherwise the end of text."""
    known = next((name for name in _KNOWN_PADS if name in special_ids), None)
    return known or named_roles(special_ids, markers).get("eos_token")


def check_end_of_text(token: str | None, special_tokens: Sequence[str], key: str) -> None:
    """Raise :class:`ConfigError` unless ``token`` is None or one of the special tokens.

    Args:
        token: the value of the setting.
        special_tokens: those of a tokenizer that is not trained yet.
        key: the setting, for the message.
    """
    if token is not None:
        markers_named(token, {name: index for index, name in enumerate(special_tokens)}, key)


def markers_named(token: str, special_ids: Mapping[str, int], key: str) -> TextMarkers:
    """The markers of a text that ends with the special token ``token``.

    Args:
        token: a special token.
        special_ids: id of each special token.
        key: the setting, for the message.

    Raises:
        ConfigError: there is no such special token.
    """
    if token not in special_ids:
        known = ", ".join(special_ids) or "none"
        raise ConfigError(
            f"{key}={token}: expected one of the special tokens of the tokenizer: {known}",
            suggestion(token, special_ids) or "add it to the special tokens of the tokenizer",
        )
    return TextMarkers((special_ids[token],))


def read_markers(
    contents: Mapping[str, bytes], vocab_size: int, special_ids: Mapping[str, int]
) -> TextMarkers | None:
    """Read the markers in a Hugging Face folder, as ``generate`` of transformers would.

    Args:
        contents: those of :data:`FILES` that the folder has.
        vocab_size: V; ids beyond it cannot occur, and do not count.
        special_ids: id of each special token.

    Returns:
        The markers; None where the files say what the names of the special tokens say too.

    Raises:
        DataError: a file is damaged, or an id is not an integer.
    """
    ends: tuple[int, ...] = ()
    start: int | None = None
    for name in FILES:
        saved = _parse(name, contents.get(name, b"{}"))
        if name in (GENERATION_CONFIG, MODEL_CONFIG):
            found = _ids(name, saved, "eos_token_id"), _ids(name, saved, "bos_token_id")
        else:
            found = _named(saved, "eos_token", special_ids), _named(saved, "bos_token", special_ids)
        valid_ends, valid_starts = (
            tuple(index for index in ids if 0 <= index < vocab_size) for ids in found
        )
        ends = ends or valid_ends
        if start is None and valid_starts:
            start = valid_starts[0]
    default = default_markers(special_ids)
    found_markers = TextMarkers(ends or default.ends, start)
    is_default = found_markers.ends == default.ends and (start is None or start in default.ends[:1])
    return None if is_default else found_markers


def _parse(name: str, content: bytes) -> Mapping[str, Any]:
    try:
        saved = parse_json(content.decode("utf-8"))
    except ValueError as error:
        raise DataError(f"{name}: cannot be read as JSON ({error})") from error
    if not isinstance(saved, dict):
        raise DataError(f"{name}: expected a JSON object")
    return saved


def _ids(name: str, saved: Mapping[str, Any], key: str) -> tuple[int, ...]:
    value = saved.get(key)
    ids = value if isinstance(value, list) else [] if value is None else [value]
    if any(type(index) is not int for index in ids):
        raise DataError(f"{name}: {key}={value!r}: expected an id, a list of ids, or null")
    return tuple(ids)


def _named(saved: Mapping[str, Any], key: str, special_ids: Mapping[str, int]) -> tuple[int, ...]:
    token = saved.get(key)
    name = token.get("content") if isinstance(token, dict) else token
    return (special_ids[name],) if isinstance(name, str) and name in special_ids else ()
