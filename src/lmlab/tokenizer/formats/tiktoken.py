"""Tokenizers as tiktoken has them: the rank of each byte string, and no merges.

tiktoken merges any two neighbours whose bytes together have a rank, lowest first. This is the same
as merging by a list of pairs exactly where each entry, spelled out and merged by the ranks below
its own, comes to its own pair of parts: then no other pair that makes up the entry can ever stand
side by side when its turn comes. :func:`to_tiktoken` checks it, and :func:`merges_of_ranks` finds
the pairs by it.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lmlab.errors import DataError
from lmlab.tokenizer.unicode_classes import name_again, spell_out

if TYPE_CHECKING:
    from lmlab.tokenizer.tokenizer import Tokenizer


def to_tiktoken(tokenizer: Tokenizer, name: str = "lmlab") -> dict[str, Any]:
    """What ``tiktoken.Encoding(**...)`` takes for the same ids.

    Raises:
        DataError: ids are not ranks here, so that tiktoken would encode otherwise.
    """
    for token in tokenizer.special_tokens:
        for other in tokenizer.special_tokens:
            if other != token and other.startswith(token):
                raise DataError(
                    f"special token {token!r} begins {other!r} too: tiktoken takes either of them, "
                    "lmlab always the longer"
                )
    special_bytes = {token.encode("utf-8"): token for token in tokenizer.special_tokens}
    ranks: dict[bytes, int] = {}
    specials: dict[str, int] = {}
    for index, value in tokenizer.vocab.items():
        if value in special_bytes:
            specials[special_bytes[value]] = index
        elif value in ranks:
            raise DataError(f"ids {ranks[value]} and {index} are the same bytes: tiktoken has one")
        else:
            ranks[value] = index
    if merges_of_ranks(ranks) != list(tokenizer.merges):
        raise DataError(
            "this tokenizer has no exact form for tiktoken: its merges are not in the order of "
            "their ids, or an entry is made of other parts than tiktoken would take"
        )
    return {
        "name": name,
        "pat_str": spell_out(tokenizer.pattern),
        "mergeable_ranks": ranks,
        "special_tokens": specials,
    }


def from_tiktoken(
    ranks: Mapping[bytes, int], pattern: str, special_tokens: Mapping[str, int]
) -> dict[str, Any]:
    """The parts of a tokenizer with tiktoken's ids.

    Returns:
        ``vocab``, ``merges``, ``special_tokens``, ``pattern``.

    Raises:
        DataError: an entry is not made of two others, or an id is given twice.
    """
    vocab = {index: value for value, index in ranks.items()}
    for token, index in special_tokens.items():
        if index in vocab:
            raise DataError(f"special token {token!r}: id {index} is {vocab[index]!r} already")
        vocab[index] = token.encode("utf-8")
    merges = merges_of_ranks(ranks)
    if merges is None:
        raise DataError("an entry of these ranks is not made of two others: not a plain BPE")
    return {
        "vocab": vocab,
        "merges": merges,
        "special_tokens": list(special_tokens),
        "pattern": name_again(pattern),
    }


def merges_of_ranks(ranks: Mapping[bytes, int]) -> list[tuple[bytes, bytes]] | None:
    """The pair that makes each entry, in the order of ranks; None where one has no such pair."""
    merges = []
    for value, rank in sorted(ranks.items(), key=lambda entry: entry[1]):
        if len(value) > 1:
            parts = _merged(value, ranks, below=rank)
            if len(parts) != 2:
                return None
            merges.append((parts[0], parts[1]))
    return merges


def _merged(value: bytes, ranks: Mapping[bytes, int], below: int) -> list[bytes]:
    """The parts to which ``value`` is merged by the ranks below one."""
    parts = [value[place : place + 1] for place in range(len(value))]
    while len(parts) > 1:
        rank, place = min(
            (ranks.get(left + right, below), place)
            for place, (left, right) in enumerate(itertools.pairwise(parts))
        )
        if rank >= below:
            break
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return parts


def ranks_text(ranks: Mapping[bytes, int]) -> str:
    """Ranks as tiktoken's files hold them: base64 and a number a line."""
    ordered = sorted(ranks.items(), key=lambda entry: entry[1])
    return "".join(f"{base64.b64encode(value).decode('ascii')} {rank}\n" for value, rank in ordered)


def read_ranks(text: str) -> dict[bytes, int]:
    """Undo :func:`ranks_text`. Raises :class:`DataError` naming the line that is damaged."""
    ranks = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if line:
            try:
                value, rank = line.split(" ")
                ranks[base64.b64decode(value, validate=True)] = int(rank)
            except ValueError as error:
                raise DataError(f"line {number} is not base64 and a rank: {line!r}") from error
    return ranks
