"""Ways to get the tokenizer of a run: the targets of ``conf/tokenizer``."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lmlab.errors import DataError, TextChangedError
from lmlab.storage.content_hash import FilesHash
from lmlab.storage.io import discard, hash_json
from lmlab.storage.lock import Lock
from lmlab.storage.sealed import read_sealed, write_sealed
from lmlab.storage.temporary_cache import make_in
from lmlab.tokenizer import serialization
from lmlab.tokenizer.bpe_training import train_bpe
from lmlab.tokenizer.text_markers import check_end_of_text
from lmlab.tokenizer.tokenizer import Tokenizer

_END_KEY = "tokenizer.end_of_text"
_TRAINING_VERSION = 1
_RECORD = "trained.json"

log = logging.getLogger(__name__)


def bpe(
    train_paths: Sequence[Path],
    cache_dir: Path,
    corpus_hash: str,
    *,
    vocab_size: int,
    special_tokens: Sequence[str],
    end_of_text: str | None = None,
) -> Tokenizer:
    """A tokenizer trained on the corpus, or loaded if the same was trained before.

    Args:
        train_paths: the training text.
        cache_dir: folder of trained tokenizers, by the hash of settings and text.
        corpus_hash: hash of the training text.
        vocab_size: total number of entries.
        special_tokens: strings that are never split.
        end_of_text: the special token that ends a text; None: ``<|endoftext|>``, otherwise the
            first one with another usual name, such as ``</s>``.

    Raises:
        ConfigError, DataError: see :func:`lmlab.tokenizer.train_bpe`.
        TextChangedError: the text does not have ``corpus_hash``.
    """
    check_end_of_text(end_of_text, special_tokens, _END_KEY)
    settings = {
        "version": _TRAINING_VERSION,
        "corpus": corpus_hash,
        "vocab_size": vocab_size,
        "special_tokens": list(special_tokens),
    }
    folder = Path(cache_dir) / "tokenizers" / hash_json(settings)[:16]
    tokenizer, _ = _open_cached(folder, settings)
    if tokenizer is None:
        texts = list(train_paths)
        tokenizer = make_in(folder, lambda place: _train_locked(place, texts, settings))
    return tokenizer.with_end_of_text(end_of_text)


def _train_locked(
    folder: Path, train_paths: Sequence[Path], settings: Mapping[str, Any]
) -> Tokenizer:
    with Lock(folder / "training.lock"):
        tokenizer, problem = _open_cached(folder, settings)
        if tokenizer is not None:  # another process has just trained it
            return tokenizer
        if problem is not None:
            log.warning("%s; training the tokenizer again", problem)
            discard(folder / _RECORD, folder / serialization.NAME)
        text = FilesHash()
        tokenizer = train_bpe(
            train_paths, settings["vocab_size"], settings["special_tokens"], text_hash=text
        )
        if text.combined != settings["corpus"]:
            raise TextChangedError(train_paths)
        tokenizer.save(folder)
        write_sealed(folder / _RECORD, {**settings, "tokenizer": tokenizer.hash})
        return tokenizer


def _open_cached(folder: Path, settings: Mapping[str, Any]) -> tuple[Tokenizer | None, str | None]:
    """Return a tokenizer trained before, or what is wrong with it; neither if there is none."""
    if not (folder / _RECORD).exists() and not serialization.is_saved(folder):
        return None, None
    try:
        record = read_sealed(folder / _RECORD)
        tokenizer = Tokenizer.load(folder)
    except DataError as error:
        return None, error.message
    except (OSError, ValueError) as error:
        return None, f"{folder / _RECORD}: cannot be read: {error}"
    if record != {**settings, "tokenizer": tokenizer.hash}:
        return None, f"{folder}: not the tokenizer that {_RECORD} describes"
    return tokenizer, None


def byte_level(
    train_paths: Sequence[Path],
    cache_dir: Path,
    corpus_hash: str,
    *,
    special_tokens: Sequence[str],
    end_of_text: str | None = None,
) -> Tokenizer:
    """A tokenizer of the 256 bytes and the special tokens; the corpus is not used.

    Args:
        train_paths: not used.
        cache_dir: not used.
        corpus_hash: not used.
        special_tokens: strings that are never split.
        end_of_text: see :func:`bpe`.
    """
    del train_paths, cache_dir, corpus_hash
    check_end_of_text(end_of_text, special_tokens, _END_KEY)
    tokenizer = Tokenizer({byte: bytes([byte]) for byte in range(256)}, [], special_tokens)
    return tokenizer.with_end_of_text(end_of_text)


def saved(
    train_paths: Sequence[Path],
    cache_dir: Path,
    corpus_hash: str,
    *,
    path: str,
    end_of_text: str | None = None,
) -> Tokenizer:
    """The tokenizer saved in the folder ``path``. Raises :class:`DataError` if there is none.

    Args:
        train_paths: not used.
        cache_dir: not used.
        corpus_hash: not used.
        path: the folder.
        end_of_text: the special token that ends a text; None: what the folder says, otherwise as
            for :func:`bpe`.
    """
    del train_paths, cache_dir, corpus_hash
    return Tokenizer.load(path).with_end_of_text(end_of_text, _END_KEY)
