"""Learning a vocabulary: count pre-tokens, then merge the most frequent pair repeatedly."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from lmlab.errors import ConfigError
from lmlab.records.text import Text
from lmlab.records.text_hash import TextHash
from lmlab.tokenizer import merge_learner, pretoken_counting
from lmlab.tokenizer.kernels.kinds import GPT2_PATTERN
from lmlab.tokenizer.kernels.library import is_cached
from lmlab.tokenizer.tokenizer import Tokenizer
from lmlab.tokenizer.word_counts import Merge, WordCounts

log = logging.getLogger(__name__)

# Below these, Python finishes before kernels would be compiled: bytes of text, of distinct words.
_TEXT_WORTH_COMPILING = 4 << 20
_WORDS_WORTH_COMPILING = 1 << 17


def train_bpe(
    text: Text | Sequence[str | Path] | str | Path,
    vocab_size: int,
    special_tokens: Sequence[str],
    *,
    pattern: str = GPT2_PATTERN,
    threads: int | None = None,
    text_hash: TextHash | None = None,
) -> Tokenizer:
    """Learn a byte-level BPE vocabulary from text.

    Sennrich et al. 2016, algorithm 1, on bytes. The most frequent pair within pre-tokens is merged
    first; ties go to the lexicographically greatest pair of byte strings. Ids 0 to 255 are the
    bytes; the merges follow in order, then the special tokens.

    If the text has too few pairs, the vocabulary is smaller, with a warning.

    Args:
        text: the training text, or its files; see :mod:`lmlab.records`.
        vocab_size: total number of entries: at least 256 plus the special tokens.
        special_tokens: strings that are cut out of plain text and get one id each.
        pattern: regular expression of the pre-tokens.
        threads: number of threads that count words; None for one per usable core. The result does
            not depend on it.
        text_hash: receives the bytes of the text that the tokenizer is trained on.

    Raises:
        ConfigError: ``vocab_size`` is too small, or special tokens are empty or repeated.
        DataError: the text is not UTF-8.
    """
    num_merges = check_sizes(vocab_size, special_tokens)
    words = count_words(
        Text.of(text),
        special_tokens,
        pattern,
        threads=threads,
        text_hash=text_hash,
    )
    return build_tokenizer(learn_merges(words, num_merges), vocab_size, special_tokens, pattern)


def check_sizes(vocab_size: int, special_tokens: Sequence[str]) -> int:
    """The number of merges in a vocabulary of this size; see :func:`train_bpe`."""
    least = 256 + len(special_tokens)
    if vocab_size < least:
        raise ConfigError(
            f"tokenizer.vocab_size={vocab_size}: expected {least} or more, for 256 bytes and the "
            "special tokens"
        )
    if "" in special_tokens or len(set(special_tokens)) < len(special_tokens):
        raise ConfigError(
            f"tokenizer.special_tokens={list(special_tokens)}: expected distinct, non-empty strings"
        )
    return vocab_size - least


def count_words(
    text: Text | Sequence[Path],
    special_tokens: Sequence[str],
    pattern: str = GPT2_PATTERN,
    *,
    threads: int | None = None,
    text_hash: TextHash | None = None,
) -> WordCounts:
    """Count the pre-tokens of two bytes or more; none spans two documents or files.

    Args:
        text: what is counted, or its files.
        special_tokens: strings that are cut out of plain text; in records they are text.
        pattern: regular expression of the pre-tokens.
        threads: see :func:`train_bpe`.
        text_hash: receives the text that is counted.

    Raises:
        DataError: a file is not UTF-8.
    """
    words = None
    text = Text.of(text)
    is_large = text.has_pipe() or text.size() >= _TEXT_WORTH_COMPILING
    if is_large or is_cached("counting"):
        words = pretoken_counting.count_words(
            text, special_tokens, pattern, threads=threads, text_hash=text_hash
        )
    if words is None:
        from lmlab.tokenizer import reference_training  # imports regex

        words = reference_training.count_words(text, special_tokens, pattern, text_hash)
    return words


def learn_merges(words: WordCounts, num_merges: int) -> list[Merge]:
    """Return up to ``num_merges`` merges; fewer once every word is a single token."""
    num_merges = min(num_merges, len(words.data))  # each merge joins two tokens somewhere
    merges = None
    if len(words.data) >= _WORDS_WORTH_COMPILING or is_cached("merges"):
        merges = merge_learner.learn_merges(words, num_merges)
    if merges is None:
        from lmlab.tokenizer import reference_training

        merges = reference_training.learn_merges(words, num_merges)
    return merges


def build_tokenizer(
    merges: Sequence[Merge], vocab_size: int, special_tokens: Sequence[str], pattern: str
) -> Tokenizer:
    """The tokenizer of these merges; log a warning if it has fewer entries than asked for."""
    entries = [bytes([byte]) for byte in range(256)]
    entries += [left + right for left, right in merges]
    entries += [token.encode("utf-8") for token in special_tokens]
    if len(entries) < vocab_size:
        log.warning(
            "warning: vocab_size=%d: the vocabulary has only %d entries, because this text has no "
            "more pairs to merge; set vocab_size=%d or less, or train on more text",
            vocab_size, len(entries), len(entries),
        )  # fmt: skip
    return Tokenizer(dict(enumerate(entries)), merges, special_tokens, pattern=pattern)
