"""Folders of saved tokenizers.

A folder holds ``tokenizer.json``, in lmlab's own format or in Hugging Face's, or GPT-2's files.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from lmlab.errors import DataError
from lmlab.storage.io import hash_json, translate_read_errors, write_json
from lmlab.storage.json_text import parse_json
from lmlab.tokenizer.formats import gpt2
from lmlab.tokenizer.formats.lmlab_json import MARKERS, from_lmlab, to_lmlab, with_checksum
from lmlab.tokenizer.text_markers import FILES, read_markers
from lmlab.tokenizer.vocabulary import BPEVocabulary

NAME = "tokenizer.json"
DAMAGE = (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)


def save(folder: Path, vocabulary: BPEVocabulary) -> None:
    """Write ``tokenizer.json`` in lmlab's format, atomically."""
    write_json(folder / NAME, with_checksum(to_lmlab(vocabulary)))


def content_hash(vocabulary: BPEVocabulary) -> str:
    """SHA-256 of everything that the ids depend on."""
    return hash_json({key: part for key, part in to_lmlab(vocabulary).items() if key != MARKERS})


def is_saved(folder: Path) -> bool:
    """Whether a folder holds a tokenizer."""
    return any((folder / name).is_file() for name in (NAME, gpt2.VOCAB))


def read(folder: Path) -> dict[str, bytes]:
    """The contents of the files that hold the tokenizer, and say how texts end, by name.

    Raises:
        DataError: the folder holds no tokenizer, or a file cannot be read.
    """
    names = [name for name in FILES if (folder / name).is_file()]
    if (folder / NAME).is_file():
        return {name: _read(folder / name) for name in (NAME, *names)}
    if not is_saved(folder):
        raise DataError(
            f"{folder}: no saved tokenizer ({NAME} is missing)",
            "choose a folder that contains tokenizer.json, or vocab.json and merges.txt",
        )
    return {name: _read(folder / name) for name in (gpt2.VOCAB, gpt2.MERGES, *names)}


def _read(path: Path) -> bytes:
    with translate_read_errors(path):
        return path.read_bytes()


def parse(folder: Path, contents: Mapping[str, bytes]) -> BPEVocabulary:
    """The vocabulary in what :func:`read` returned.

    Args:
        folder: where the files are, for error messages.
        contents: the files by name.

    Raises:
        DataError: a file has another format version, is damaged, holds an inconsistent vocabulary,
            or asks for something that lmlab does not support.
    """
    path = folder / (NAME if NAME in contents else f"{gpt2.VOCAB} with {gpt2.MERGES}")
    try:
        if NAME not in contents:
            return _with_markers(gpt2.from_gpt2(contents), contents)
        saved = parse_json(contents[NAME].decode("utf-8"))
        if "model" in saved and "format_version" not in saved:
            from lmlab.tokenizer.formats.huggingface import from_hf  # imports regex

            return _with_markers(from_hf(saved), contents)
        return from_lmlab(saved)
    except DataError as error:
        raise DataError(f"{path}: {error.message}", error.help) from error
    except DAMAGE as error:
        raise DataError(
            f"{path}: damaged or not a tokenizer ({type(error).__name__}: {error})",
            "restore the file, or train or export the tokenizer again",
        ) from error


def _with_markers(vocabulary: BPEVocabulary, contents: Mapping[str, bytes]) -> BPEVocabulary:
    """Add what the files of a Hugging Face folder say about the ends of texts."""
    ids = vocabulary.ids
    markers = read_markers(contents, ids.vocab_size, ids.special_ids)
    return vocabulary if markers is None else dataclasses.replace(vocabulary, markers=markers)
