"""What vocabulary and merges must be to make a tokenizer together, and the ids of their parts."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from lmlab.errors import DataError


def check_types(vocab: dict[int, bytes], pattern: str) -> None:
    """Raise :class:`DataError` for ids that are no whole numbers, or a pattern that is no text."""
    odd = next((index for index in vocab if type(index) is not int), None)
    if odd is not None:
        raise DataError(f"the vocabulary has {odd!r} for an id: accepted are whole numbers")
    if not isinstance(pattern, str):
        raise DataError(f"pattern={pattern!r}: accepted is a regular expression")


def check_ids(vocab: dict[int, bytes]) -> None:
    """Raise :class:`DataError` where ids, in their order, are not 0 .. V-1."""
    if list(vocab) != list(range(len(vocab))):
        odd = next(index for index, place in enumerate(vocab) if index != place)
        raise DataError(f"the vocabulary's ids are not 0 to {len(vocab) - 1}: {odd} is missing")


def byte_ids(ids: dict[bytes, int]) -> list[int]:
    """The id of each byte, (256,), from the ids of all entries. Raises :class:`DataError`."""
    missing = [byte for byte in range(256) if bytes([byte]) not in ids]
    if missing:
        raise DataError(
            f"the vocabulary lacks {len(missing)} of the 256 single bytes, the first of them "
            f"{missing[0]:#04x}"
        )
    return [ids[bytes([byte])] for byte in range(256)]


def merge_ids(merges: Sequence[tuple[bytes, bytes]], ids: dict[bytes, int]) -> array[int]:
    """Left, right and resulting id of each merge by rank, (3 * merges,).

    Args:
        merges: pairs of byte strings; what stands there again later never counts.
        ids: of all entries.

    Raises:
        DataError: a part or result of a merge is no entry.
    """
    distinct = dict.fromkeys(merges)
    found = array("i", bytes(12 * len(distinct)))
    try:
        found[0::3] = array("i", [ids[left] for left, _ in distinct])
        found[1::3] = array("i", [ids[right] for _, right in distinct])
        found[2::3] = array("i", [ids[left + right] for left, right in distinct])
        return found
    except KeyError:
        rank, left, right, part = next(
            (rank, left, right, part)
            for rank, (left, right) in enumerate(merges)
            for part in (left, right, left + right)
            if part not in ids
        )
        raise DataError(
            f"merge {rank}, {left!r} + {right!r}, needs {part!r}: the vocabulary lacks it"
        ) from None
