"""Saved tokenizers: one JSON file, checked when it is read.

``tokenizer.json`` holds the format version, the pattern, the special tokens, the vocabulary as a
list by id and the merges, byte strings as hexadecimal digits.
"""

from __future__ import annotations

import itertools
import json
import operator
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lmlab.errors import DataError
from lmlab.storage.io import translate_read_errors, write_json
from lmlab.tokenizer.formats.byte_alphabet import from_printable
from lmlab.tokenizer.kernels.kinds import GPT2_PATTERN

_SPLIT = operator.methodcaller("split", " ")
NAME = "tokenizer.json"
GPT2_NAMES = ("vocab.json", "merges.txt")
_GPT2_SPECIALS = "special_tokens_map.json"
FORMAT_VERSION = 1
_DAMAGE = (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)


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


def is_saved(folder: Path) -> bool:
    """Whether a folder holds a tokenizer."""
    return any((folder / name).is_file() for name in (NAME, GPT2_NAMES[0]))


def read(folder: Path) -> dict[str, bytes]:
    """The files that a tokenizer is saved in, by their names.

    Raises:
        DataError: there are none.
    """
    if (folder / NAME).is_file():
        return {NAME: _read(folder / NAME)}
    if not is_saved(folder):
        raise DataError(f"{folder} holds no saved tokenizer ({NAME} is missing)")
    listed = [_GPT2_SPECIALS] * (folder / _GPT2_SPECIALS).is_file()
    return {name: _read(folder / name) for name in (*GPT2_NAMES, *listed)}


def _read(path: Path) -> bytes:
    with translate_read_errors(path):
        return path.read_bytes()


def parse(folder: Path, contents: Mapping[str, bytes]) -> dict[str, Any]:
    """``vocab``, ``merges``, ``special_tokens`` and ``pattern`` of what :func:`read` found.

    They are of the form that :func:`save` writes, Hugging Face's, or GPT-2's own two files.

    Raises:
        DataError: a file is of another version, or damaged.
    """
    return _parse(folder / NAME, contents[NAME]) if NAME in contents else _gpt2(folder, contents)


def _parse(path: Path, content: bytes) -> dict[str, Any]:
    try:
        saved = json.loads(content.decode("utf-8"))
        if "model" in saved and "format_version" not in saved:
            from lmlab.tokenizer.formats.huggingface import from_hf  # few files are of that form

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
        pattern = saved["pattern"]
    except _DAMAGE as error:
        raise DataError(f"{path} is damaged ({type(error).__name__}: {error})") from error
    return {"vocab": vocab, "merges": merges, "special_tokens": specials, "pattern": pattern}


def _gpt2(folder: Path, contents: Mapping[str, bytes]) -> dict[str, Any]:
    try:
        vocab_text, merges_text = (contents[name].decode("utf-8") for name in GPT2_NAMES)
        entries = json.loads(vocab_text)
        lines = [
            line for line in merges_text.splitlines() if line and not line.startswith("#version")
        ]
        specials = _gpt2_specials(contents, entries)
        values = {text: text.encode("utf-8") for text in specials}
        plain = [text for text in entries if text not in values]
        data = from_printable("".join(plain))
        if data is None:
            raise ValueError("an entry is not in GPT-2's alphabet of bytes")
        ends = itertools.accumulate(map(len, plain))
        for text, end in zip(plain, ends, strict=True):
            values[text] = data[end - len(text) : end]
        vocab = {index: values[text] for text, index in entries.items()}
        merges = last_of_each([(values[a], values[b]) for a, b in map(_SPLIT, lines)])
    except _DAMAGE as error:
        raise _not_gpt2(folder, error) from error
    return {"vocab": vocab, "merges": merges, "special_tokens": specials, "pattern": GPT2_PATTERN}


def last_of_each(merges: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The merges, of those that stand there twice the last, as GPT-2 and Hugging Face count."""
    return list(dict.fromkeys(reversed(merges)))[::-1]


def _not_gpt2(folder: Path, error: Exception) -> DataError:
    return DataError(
        f"{folder} holds no tokenizer of GPT-2's form ({type(error).__name__}: {error})"
    )


def _gpt2_specials(contents: Mapping[str, bytes], entries: dict[str, int]) -> list[str]:
    """The special tokens: those listed beside, else all of the form ``<|...|>``."""
    if _GPT2_SPECIALS not in contents:
        return [text for text in entries if text.startswith("<|") and text.endswith("|>")]
    found: dict[str, None] = {}
    for value in json.loads(contents[_GPT2_SPECIALS]).values():
        for token in value if isinstance(value, list) else [value]:
            found[token["content"] if isinstance(token, dict) else token] = None
    return [token for token in found if token in entries]
