"""Saved tokenizers: one JSON file, checked when it is read.

``tokenizer.json`` holds the format version, the pattern, the special tokens, the vocabulary as a
list by id and the merges, byte strings as hexadecimal digits.
"""

from __future__ import annotations

import itertools
import json
import operator
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import regex

from lmlab.errors import DataError
from lmlab.io import write_json
from lmlab.tokenizer.alphabet import from_printable

_SPLIT = operator.methodcaller("split", " ")
NAME = "tokenizer.json"
FORMAT_VERSION = 1


def content(
    vocab: dict[int, bytes],
    merges: Sequence[tuple[bytes, bytes]],
    special_tokens: Sequence[str],
    pattern: str,
) -> dict[str, Any]:
    """A tokenizer as JSON values."""
    return {
        "format_version": FORMAT_VERSION,
        "vocab_size": len(vocab),
        "pattern": pattern,
        "special_tokens": list(special_tokens),
        "vocab": [value.hex() for value in vocab.values()],
        "merges": [f"{left.hex()} {right.hex()}" for left, right in merges],
    }


def save(folder: Path, saved: dict[str, Any]) -> None:
    """Write ``saved`` to ``folder``, whole or not at all."""
    write_json(folder / NAME, saved)


def load(folder: Path) -> dict[str, Any]:
    """Read what :func:`save` wrote: ``vocab``, ``merges``, ``special_tokens``, ``pattern``.

    A ``tokenizer.json`` of Hugging Face's is read too.

    Raises:
        DataError: the file is missing, of another version, or damaged.
    """
    path = folder / NAME
    if not path.is_file():
        raise DataError(f"{folder} holds no saved tokenizer ({NAME} is missing)")
    try:
        saved = json.loads(path.read_text("utf-8"))
        if "model" in saved and "format_version" not in saved:
            from lmlab.tokenizer.hf_form import from_hf  # few files are of that form

            return from_hf(saved)
        version = saved["format_version"]
        if version != FORMAT_VERSION:
            raise DataError(
                f"{path} has format version {version}; this lmlab reads version {FORMAT_VERSION}"
            )
        vocab = {index: bytes.fromhex(value) for index, value in enumerate(saved["vocab"])}
        merges = [
            (bytes.fromhex(left), bytes.fromhex(right))
            for left, right in map(_SPLIT, saved["merges"])
        ]
        specials = [str(token) for token in saved["special_tokens"]]
        if len(vocab) != saved["vocab_size"]:
            raise ValueError(f"{len(vocab)} entries, not {saved['vocab_size']}")
        if not {token.encode("utf-8") for token in specials} <= set(vocab.values()):
            raise ValueError("a special token has no entry")
        pattern = str(saved["pattern"])
        regex.compile(pattern)
    except (ValueError, KeyError, TypeError, AttributeError, regex.error) as error:
        raise DataError(f"{path} is damaged ({type(error).__name__}: {error})") from error
    return {"vocab": vocab, "merges": merges, "special_tokens": specials, "pattern": pattern}


def load_gpt2(folder: Path) -> tuple[dict[int, bytes], list[tuple[bytes, bytes]], list[str]]:
    """Read ``vocab.json`` and ``merges.txt`` in the form in which GPT-2's were published.

    Raises:
        DataError: a file is missing or damaged.
    """
    try:
        entries = json.loads((folder / "vocab.json").read_text("utf-8"))
        lines = [
            line
            for line in (folder / "merges.txt").read_text("utf-8").split("\n")
            if line and not line.startswith("#version")
        ]
        specials = _gpt2_specials(folder, entries)
        values = {text: text.encode("utf-8") for text in specials}
        plain = [text for text in entries if text not in values]
        data = from_printable("".join(plain))
        if data is None:
            raise ValueError("an entry is not in GPT-2's alphabet of bytes")
        ends = itertools.accumulate(map(len, plain))
        for text, end in zip(plain, ends, strict=True):
            values[text] = data[end - len(text) : end]
        vocab = {index: values[text] for text, index in entries.items()}
        merges = [(values[left], values[right]) for left, right in map(_SPLIT, lines)]
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise DataError(
            f"{folder} holds no tokenizer of GPT-2's form ({type(error).__name__}: {error})"
        ) from error
    return vocab, merges, specials


def _gpt2_specials(folder: Path, entries: dict[str, int]) -> list[str]:
    """The special tokens: those listed beside, else all of the form ``<|...|>``."""
    listed = folder / "special_tokens_map.json"
    if not listed.is_file():
        return [text for text in entries if text.startswith("<|") and text.endswith("|>")]
    found: dict[str, None] = {}
    for value in json.loads(listed.read_text("utf-8")).values():
        for token in value if isinstance(value, list) else [value]:
            found[token["content"] if isinstance(token, dict) else token] = None
    return [token for token in found if token in entries]
