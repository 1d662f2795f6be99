"""The data of a run: its corpus, its tokenizer, and both splits as tokens."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from lmlab.build.instantiate import instantiate
from lmlab.config.run_config import Component, RunConfig
from lmlab.data.sources import Corpus
from lmlab.data.token_file import TokenFile, encode_corpus
from lmlab.errors import ConfigError
from lmlab.tokenizer import Tokenizer


@dataclasses.dataclass(frozen=True)
class RunData:
    """The data of a run: its corpus, the tokenizer, and both splits as tokens."""

    corpus: Corpus
    tokenizer: Tokenizer
    train: TokenFile
    valid: TokenFile

    def floor(self) -> dict[str, Any] | None:
        """Return the exact entropy of the validation text; None where it is not known."""
        floor = self.corpus.floor
        if floor is None:
            return None
        return {
            "nats_per_token": floor.nats / max(self.valid.num_tokens - 1, 1),
            "bits_per_byte": floor.bits_per_byte,
            "note": floor.note,
        }


def check_source(config: RunConfig) -> None:
    """Check the data settings without reading the data. Raises :class:`DataError`."""
    _check_source(config.data, config.cache_folder)


def prepare_data(config: RunConfig) -> RunData:
    """Make or find the corpus, the tokenizer and the token files.

    Raises:
        ConfigError: the vocabularies of the tokenizer and the model differ in size.
        DataError: the text cannot be used.
    """
    return _prepare(
        config.data,
        config.tokenizer,
        vocab_size=config.model.vocab_size,
        context_length=config.model.context_length,
        cache_folder=config.cache_folder,
    )


def _check_source(data: Component, cache_folder: Path) -> None:
    instantiate(data, cache_dir=cache_folder).check()


def _prepare(
    data: Component,
    tokenizer_settings: Component,
    *,
    vocab_size: int,
    context_length: int,
    cache_folder: Path,
) -> RunData:
    corpus: Corpus = instantiate(data, cache_dir=cache_folder).prepare()
    tokenizer: Tokenizer = instantiate(
        tokenizer_settings,
        train_paths=corpus.train_paths,
        cache_dir=cache_folder,
        corpus_hash=corpus.train_hash,
    )
    if tokenizer.vocab_size != vocab_size:
        raise ConfigError(
            f"model.vocab_size={vocab_size}: expected {tokenizer.vocab_size}, the size of the "
            "tokenizer's vocabulary",
            f"set model.vocab_size={tokenizer.vocab_size}",
        )
    splits = {}
    for name, paths, text_hash in (
        ("train", corpus.train_paths, corpus.train_hash),
        ("valid", corpus.valid_paths, corpus.valid_hash),
    ):
        splits[name] = encode_corpus(paths, tokenizer, cache_folder, name=name, text_hash=text_hash)
        splits[name].check(tokenizer.hash, context_length, tokenizer.vocab_size)
    return RunData(corpus, tokenizer, splits["train"], splits["valid"])
