"""One pass over stored ids before they are used: their hash, the largest, and ends of documents."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lmlab.console.progress_bar import progress
from lmlab.data.id_shards import IdShard
from lmlab.errors import TextChangedError
from lmlab.storage.file_memo import remembered
from lmlab.storage.io import file_state, hash_json, translate_read_errors

_VERSION = 1
_STEP = 1 << 22  # ids at once


@dataclasses.dataclass(frozen=True)
class IdSurvey:
    """What a pass over ids found.

    Attributes:
        hash: of the ids in order, as little-endian uint32; no type and no cut into files changes
            it.
        num_tokens: number of ids.
        largest_id: the largest; -1 without ids.
        largest_file: number of the shard with the first of them.
        largest_place: its place in that shard.
        num_ends: how many ids are the end of text; 0 if none is known.
        first_is_end: whether the first id is one.
        last_is_end: whether the last id is one.
    """

    hash: str
    num_tokens: int
    largest_id: int = -1
    largest_file: int = 0
    largest_place: int = 0
    num_ends: int = 0
    first_is_end: bool = False
    last_is_end: bool = False


def survey_ids(shards: Sequence[IdShard], end_id: int | None) -> IdSurvey:
    """Read all ids once.

    Args:
        shards: where they are, in order.
        end_id: the id between documents; None if none is known.
    """
    digest, num_ends, largest, place = hashlib.sha256(), 0, -1, (0, 0)
    total = sum(shard.num_tokens for shard in shards)
    ends: dict[str, bool] = {}
    with progress(total=total, desc="checking ids", unit="id", unit_scale=True) as bar:
        done = 0
        for number, shard in enumerate(shards):
            ids = shard.ids()
            for start in range(0, len(ids), _STEP):
                part = np.asarray(ids[start : start + _STEP])
                highest = int(part.max())
                if highest > largest:
                    largest, place = highest, (number, start + int(part.argmax()))
                if end_id is not None:
                    num_ends += int(np.count_nonzero(part == end_id))
                    ends.setdefault("first", int(part[0]) == end_id)
                    ends["last"] = int(part[-1]) == end_id
                digest.update(part.astype("<u4", copy=False).data)
                done += len(part)
                bar.update(len(part))
    return IdSurvey(
        hash_json({"ids": digest.hexdigest()}), total, largest, *place, num_ends,
        ends.get("first", False), ends.get("last", False),
    )  # fmt: skip


def remembered_ids(shards: Sequence[IdShard], end_id: int | None, cache_dir: Path) -> IdSurvey:
    """Return :func:`survey_ids`, made once for each state of the files.

    Args:
        shards: where the ids are, in order.
        end_id: the id between documents; None if none is known.
        cache_dir: the cache folder, which keeps what was found.

    Raises:
        TextChangedError: a file changed while it was read.
        DataError: a file cannot be read.
    """
    paths = sorted({shard.path for shard in shards})
    described = [[str(shard.path.resolve()), *shard[1:]] for shard in shards]
    memo = cache_dir / "ids" / f"{hash_json([_VERSION, described, end_id])[:24]}.json"

    def read() -> dict[str, Any]:
        states = list(map(file_state, paths))
        found = survey_ids(shards, end_id)
        if list(map(file_state, paths)) != states:
            raise TextChangedError(paths)
        return dataclasses.asdict(found)

    with translate_read_errors(paths[0]):
        return IdSurvey(**remembered(memo, paths, read))
