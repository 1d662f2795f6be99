"""tiktoken's form: a rank for each byte string, and no merges.

tiktoken merges any two neighbours whose concatenation has a rank, lowest rank first. This equals
merging by a list of pairs if and only if the bytes of each entry, merged by the ranks below its
own, end as that entry's pair: then no other pair with the same concatenation can occur when the
entry's rank is due. :func:`to_tiktoken` checks this, and :func:`merges_of_ranks` uses it to find
the pairs.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Mapping
from typing import Any

from lmlab.errors import DataError
from lmlab.tokenizer.unicode_classes import name_classes, spell_out_classes
from lmlab.tokenizer.vocabulary import BPEVocabulary


def to_tiktoken(vocabulary: BPEVocabulary, name: str = "lmlab") -> dict[str, Any]:
    """The arguments of ``tiktoken.Encoding`` that give the same ids.

    Raises:
        DataError: tiktoken would encode some texts differently.
    """
    for token in vocabulary.special_tokens:
        for other in vocabulary.special_tokens:
            if other != token and other.startswith(token):
                raise DataError(
                    f"special token {token!r}: a prefix of {other!r}; tiktoken may match either, "
                    "lmlab always matches the longer one"
                )
    special_bytes = {token.encode("utf-8"): token for token in vocabulary.special_tokens}
    ranks: dict[bytes, int] = {}
    specials: dict[str, int] = {}
    for index, value in vocabulary.vocab.items():
        if value in special_bytes:
            specials[special_bytes[value]] = index
        elif value in ranks:
            raise DataError(f"ids {ranks[value]} and {index}: same bytes; tiktoken allows one id")
        else:
            ranks[value] = index
    if merges_of_ranks(ranks) != list(vocabulary.merges):
        raise DataError(
            "format=tiktoken: cannot represent this tokenizer exactly: its merges are not in the "
            "order of their ids, or merge an entry from parts that tiktoken would not",
            "use format=hf",
        )
    return {
        "name": name,
        "pat_str": spell_out_classes(vocabulary.pattern),
        "mergeable_ranks": ranks,
        "special_tokens": specials,
    }


def from_tiktoken(
    ranks: Mapping[bytes, int], pattern: str, special_tokens: Mapping[str, int]
) -> BPEVocabulary:
    """The vocabulary with tiktoken's ids.

    Raises:
        DataError: an entry is not the concatenation of two others, an id occurs twice, or the
            vocabulary is inconsistent.
    """
    vocab = {index: value for value, index in ranks.items()}
    for token, index in special_tokens.items():
        if index in vocab:
            raise DataError(f"special token {token!r}: id {index} belongs to {vocab[index]!r}")
        vocab[index] = token.encode("utf-8")
    merges = merges_of_ranks(ranks)
    if merges is None:
        raise DataError("expected plain BPE, found an entry that no two others merge to")
    return BPEVocabulary(vocab, merges, list(special_tokens), name_classes(pattern))


def merges_of_ranks(ranks: Mapping[bytes, int]) -> list[tuple[bytes, bytes]] | None:
    """The pair that makes each entry, ordered by rank; None where an entry has no such pair."""
    merges = []
    for value, rank in sorted(ranks.items(), key=lambda entry: entry[1]):
        if len(value) > 1:
            parts = _merged(value, ranks, below=rank)
            if len(parts) != 2:
                return None
            merges.append((parts[0], parts[1]))
    return merges


def _merged(value: bytes, ranks: Mapping[bytes, int], below: int) -> list[bytes]:
    """The parts that remain after merging the bytes of ``value`` by ranks less than ``below``."""
    parts = [value[index : index + 1] for index in range(len(value))]
    while len(parts) > 1:
        rank, index = min(
            (ranks.get(left + right, below), index)
            for index, (left, right) in enumerate(itertools.pairwise(parts))
        )
        if rank >= below:
            break
        parts[index : index + 2] = [parts[index] + parts[index + 1]]
    return parts


def ranks_text(ranks: Mapping[bytes, int]) -> str:
    """Write ranks as in tiktoken's files: base64 of the bytes and the rank, one entry per line."""
    ordered = sorted(ranks.items(), key=lambda entry: entry[1])
    return "".join(f"{base64.b64encode(value).decode('ascii')} {rank}\n" for value, rank in ordered)


def read_ranks(text: str) -> dict[bytes, int]:
    """Undo :func:`ranks_text`. Raises :class:`DataError` with the number of a damaged line."""
    ranks = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if line:
            try:
                value, rank = line.split(" ")
                ranks[base64.b64decode(value, validate=True)] = int(rank)
            except ValueError as error:
                raise DataError(
                    f"line {number}: expected base64 and a rank, got {line!r}"
                ) from error
    return ranks
