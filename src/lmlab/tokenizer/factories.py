"""Ways to get the tokenizer of a run: the targets of ``conf/tokenizer``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lmlab.errors import ConfigError, DataError, TextChangedError
from lmlab.records.text import Text
from lmlab.records.text_hash import TextHash
from lmlab.storage.cache_entry import open_or_make
from lmlab.storage.io import hash_json
from lmlab.storage.sealed import read_sealed, write_sealed
from lmlab.tokenizer import serialization
from lmlab.tokenizer.bpe_training import train_bpe
from lmlab.tokenizer.ids_only import IdsOnly
from lmlab.tokenizer.text_markers import check_end_of_text
from lmlab.tokenizer.tokenizer import Tokenizer

_END_KEY = "tokenizer.end_of_text"
_TRAINING_VERSION = 1
_RECORD = "trained.json"


def bpe(
    text: Text,
    cache_dir: Path,
    corpus_hash: str,
    *,
    vocab_size: int,
    special_tokens: Sequence[str],
    end_of_text: str | None = None,
) -> Tokenizer:
    """A tokenizer trained on the corpus, or loaded if the same was trained before.

    Args:
        text: the training text.
        cache_dir: folder of trained tokenizers, by the hash of settings and text.
        corpus_hash: hash of the training text.
        vocab_size: total number of entries.
        special_tokens: strings that are never split.
        end_of_text: the special token that ends a text; None: ``<|endoftext|>``, otherwise the
            first one with another usual name, such as ``</s>``.

    Raises:
        ConfigError: the data have no text, or see :func:`lmlab.tokenizer.train_bpe`.
        DataError: see :func:`lmlab.tokenizer.train_bpe`.
        TextChangedError: the text does not have ``corpus_hash``.
    """
    check_end_of_text(end_of_text, special_tokens, _END_KEY)
    text = Text.of(text)
    if not text.files:
        raise ConfigError(
            "tokenizer=bpe: expected text to train on, but the data are ids",
            "set tokenizer=saved tokenizer.path=FOLDER, or tokenizer=ids with model.vocab_size",
        )
    settings = {
        "version": _TRAINING_VERSION,
        "corpus": corpus_hash,
        "vocab_size": vocab_size,
        "special_tokens": list(special_tokens),
    }

    def open_in(folder: Path) -> Tokenizer | None:
        if not (folder / _RECORD).exists() and not serialization.is_saved(folder):
            return None
        try:
            record = read_sealed(folder / _RECORD)
        except (OSError, ValueError) as error:
            raise DataError(f"{folder / _RECORD}: cannot be read: {error}") from error
        tokenizer = Tokenizer.load(folder)
        if record != {**settings, "tokenizer": tokenizer.hash}:
            raise DataError(f"{folder}: not the tokenizer that {_RECORD} describes")
        return tokenizer

    def train_in(folder: Path) -> Tokenizer:
        text_hash = TextHash()
        tokenizer = train_bpe(text, vocab_size, special_tokens, text_hash=text_hash)
        if text_hash.combined != corpus_hash:
            raise TextChangedError(text.paths)
        tokenizer.save(folder)
        write_sealed(folder / _RECORD, {**settings, "tokenizer": tokenizer.hash})
        return tokenizer

    tokenizer = open_or_make(
        Path(cache_dir) / "tokenizers" / hash_json(settings)[:16],
        open_in,
        train_in,
        lock="training.lock",
        files=(_RECORD, serialization.NAME),
        doing="training the tokenizer",
    )
    return tokenizer.with_end_of_text(end_of_text)


def byte_level(
    text: Text,
    cache_dir: Path,
    corpus_hash: str,
    *,
    special_tokens: Sequence[str],
    end_of_text: str | None = None,
) -> Tokenizer:
    """A tokenizer of the 256 bytes and the special tokens; the corpus is not used.

    Args:
        text: not used.
        cache_dir: not used.
        corpus_hash: not used.
        special_tokens: strings that are never split.
        end_of_text: see :func:`bpe`.
    """
    del text, cache_dir, corpus_hash
    check_end_of_text(end_of_text, special_tokens, _END_KEY)
    tokenizer = Tokenizer({byte: bytes([byte]) for byte in range(256)}, [], special_tokens)
    return tokenizer.with_end_of_text(end_of_text)


def saved(
    text: Text,
    cache_dir: Path,
    corpus_hash: str,
    *,
    path: str,
    end_of_text: str | None = None,
) -> Tokenizer:
    """The tokenizer saved in the folder ``path``. Raises :class:`DataError` if there is none.

    Args:
        text: not used.
        cache_dir: not used.
        corpus_hash: not used.
        path: the folder.
        end_of_text: the special token that ends a text; None: what the folder says, otherwise as
            for :func:`bpe`.
    """
    del text, cache_dir, corpus_hash
    return Tokenizer.load(path).with_end_of_text(end_of_text, _END_KEY)


def ids_only(text: Text, cache_dir: Path, corpus_hash: str, *, vocab_size: int) -> Tokenizer:
    """A vocabulary of which only the size is known, for data that are ids.

    Args:
        text: must have no files.
        cache_dir: not used.
        corpus_hash: not used.
        vocab_size: number of ids.

    Raises:
        ConfigError: the data are text, which nothing could encode.
    """
    del cache_dir, corpus_hash
    if Text.of(text).files:
        raise ConfigError(
            "tokenizer=ids: expected ids, but the data are text",
            "set tokenizer=bpe, or data=tokens for files of ids",
        )
    return IdsOnly(vocab_size)
