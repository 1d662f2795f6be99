"""How long the parts of documents are that the windows of a training text hold."""

from __future__ import annotations

import collections
import dataclasses
import logging
from pathlib import Path
from typing import Any

import numpy as np

from lmlab.config.shared_parameters import CROSS, DOCUMENT
from lmlab.console.formatting import format_count
from lmlab.console.progress_bar import progress
from lmlab.data.ids import Ids
from lmlab.data.mixed_tokens import parts_of
from lmlab.data.split import SplitTokens
from lmlab.errors import ConfigError, DataError
from lmlab.nn.document_layout import Documents
from lmlab.storage.io import hash_json
from lmlab.storage.sealed import get_or_create
from lmlab.tokenizer import Tokenizer

log = logging.getLogger(__name__)
_VERSION = 1
_STEP = 1 << 22  # ids at once, about
_SETTING = f"data.windows={DOCUMENT}"
_OTHERWISE = f"or set data.windows={CROSS}"


def part_lengths(
    tokens: Ids, documents: Documents, context_length: int
) -> tuple[tuple[tuple[int, int], ...], int]:
    """Measure the parts of documents that the windows of a text hold.

    The windows are those of ``context_length`` tokens from the first token on; the rest of the
    text, shorter than a window, is left out.

    Args:
        tokens: the training tokens.
        documents: which id stands between documents.
        context_length: T.

    Returns:
        How many parts of each length there are, as pairs of length and number, and how many ids
        stand between documents.
    """
    num_ends = 0
    total = len(tokens) // context_length * context_length
    step = max(1, _STEP // context_length) * context_length
    counts = np.zeros(context_length + 1, np.int64)
    with progress(total=total, desc="measuring documents", unit="id", unit_scale=True) as bar:
        for start in range(0, total, step):
            part = np.asarray(tokens[start : min(start + step, total)]) == documents.end_id
            begins = part.copy()
            if not documents.is_before:
                begins[1:] = part[:-1]
            begins[::context_length] = True
            places = np.flatnonzero(begins)
            lengths = np.diff(places, append=len(part))
            counts += np.bincount(lengths, minlength=context_length + 1)
            num_ends += int(np.count_nonzero(part))
            bar.update(len(part))
    found = tuple((int(length), int(counts[length])) for length in np.flatnonzero(counts))
    return found, num_ends


def find_documents(
    train: SplitTokens,
    valid: SplitTokens,
    tokenizer: Tokenizer,
    *,
    text_hash: str,
    context_length: int,
    cache_dir: Path,
) -> Documents:
    """Return the documents that attention must not cross.

    Args:
        train: the training ids, whose documents are measured once and kept in the cache. Those of
            each source of a mixture count by its share.
        valid: the validation ids.
        tokenizer: the run's tokenizer.
        text_hash: of the training text.
        context_length: T.
        cache_dir: the cache folder.

    Raises:
        ConfigError: no id is known to stand between documents, or another one in each split.
        DataError: it stands nowhere in the training ids.
    """
    found, held_out = (split.documents(tokenizer) for split in (train, valid))
    check_documents(found)
    assert found is not None
    if held_out is not None and held_out.end_id != found.end_id:
        raise ConfigError(
            f"{_SETTING}: expected one id between documents, found {found.end_id} in data.train "
            f"and {held_out.end_id} in data.valid",
            f"set data.end_id, {_OTHERWISE}",
        )
    sources = parts_of(train)
    key = [
        _VERSION, text_hash, tokenizer.hash, found.end_id, found.is_before, context_length,
        [str(source.share) for source in sources],
    ]  # fmt: skip

    def measure() -> dict[str, Any]:
        lengths: dict[int, float] = collections.defaultdict(float)
        total = 0
        for source in sources:
            of_source, num_ends = part_lengths(source.split.tokens, found, context_length)
            total += num_ends
            weight = float(source.share) / sum(length * number for length, number in of_source)
            for length, number in of_source:
                lengths[length] += number * weight
        return {"num_ends": total, "lengths": sorted(lengths.items())}

    kept = get_or_create(
        cache_dir / "documents" / f"{hash_json(key)[:24]}.json", measure,
        frozenset({"num_ends", "lengths"}),
    )  # fmt: skip
    if not kept["num_ends"]:
        raise DataError(
            f"{_SETTING}: expected ends of documents in the training text, but the id "
            f"{found.end_id} stands nowhere in it",
            "say what a document is (data.documents for text, data.end_id for token files), "
            f"{_OTHERWISE}",
        )
    lengths = tuple((int(length), float(number)) for length, number in kept["lengths"])
    documents = dataclasses.replace(found, lengths=lengths)
    log.info(
        "%s: attention does not cross the id %d; of %s, the document of one has a mean of %.0f",
        _SETTING, found.end_id, format_count(context_length, "token"),
        documents.mean_keys(int, context_length),
    )  # fmt: skip
    return documents


def check_documents(found: Documents | None) -> None:
    """Raise :class:`ConfigError` where no id is known to stand between documents."""
    if found is None:
        raise ConfigError(
            f"{_SETTING}: expected an id between documents, but none is known",
            "name it (data.end_id for token files, tokenizer.end_of_text for the special token of "
            f"a tokenizer), {_OTHERWISE}",
        )
