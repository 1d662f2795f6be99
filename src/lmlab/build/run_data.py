"""The data of a run: its corpus, its tokenizer, and both splits as tokens."""

from __future__ import annotations

import dataclasses
from typing import Any

from lmlab.build.instantiate import instantiate
from lmlab.config.run_config import RunConfig
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
        """The exact entropy of the validation text, where its maker knows it."""
        floor = self.corpus.floor
        if floor is None:
            return None
        return {
            "nats_per_token": floor.nats / max(self.valid.num_tokens - 1, 1),
            "bits_per_byte": floor.bits_per_byte,
            "note": floor.note,
        }


def check_source(config: RunConfig) -> None:
    """Look at the data settings without reading the data. Raises :class:`DataError`."""
    instantiate(config.data, cache_dir=config.cache_folder).check()


def prepare_data(config: RunConfig) -> RunData:
    """Make or find the corpus, the tokenizer and the token files.

    Raises:
        DataError: the text cannot be used, or the vocabulary is not the model's.
    """
    cache = config.cache_folder
    corpus: Corpus = instantiate(config.data, cache_dir=cache).prepare()
    tokenizer: Tokenizer = instantiate(
        config.tokenizer,
        train_paths=corpus.train_paths,
        cache_dir=cache,
        corpus_hash=corpus.train_hash,
    )
    if tokenizer.vocab_size != config.model.vocab_size:
        raise ConfigError(
            f"model.vocab_size={config.model.vocab_size}: the tokenizer has "
            f"{tokenizer.vocab_size} entries; set model.vocab_size={tokenizer.vocab_size}"
        )
    splits = {}
    for name, paths, text_hash in (
        ("train", corpus.train_paths, corpus.train_hash),
        ("valid", corpus.valid_paths, corpus.valid_hash),
    ):
        splits[name] = encode_corpus(paths, tokenizer, cache, name=name, text_hash=text_hash)
        splits[name].check(tokenizer.hash, config.model.context_length, tokenizer.vocab_size)
    return RunData(corpus, tokenizer, splits["train"], splits["valid"])
