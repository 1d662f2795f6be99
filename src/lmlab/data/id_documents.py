"""Where documents end in stored ids: by an index or by an id between them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from lmlab.console.formatting import format_count
from lmlab.data.id_shards import open_ids
from lmlab.data.id_survey import IdSurvey
from lmlab.data.token_formats.stored_ids import StoredIds

_STEP = 1 << 20  # ids read at once
_SAMPLE = 10_000  # ends of an index that are looked at


class IdDocuments:
    """The documents of files in a row.

    Args:
        files: the files.
        end_id: the id between documents as the user says; None: as the format says.
    """

    def __init__(self, files: Sequence[StoredIds], end_id: int | None = None) -> None:
        self.files = files
        known = {file.end_id for file in files}
        self.end_id = known.pop() if end_id is None and len(known) == 1 else end_id

    @functools.cached_property
    def ends(self) -> np.ndarray[Any, Any] | None:
        """Numbers of ids up to the end of each document; None unless indexes say it."""
        found, first = [], 0
        for file in self.files:
            if file.read_ends is None:
                return None
            found.append(file.read_ends() + first)
            first += file.shard.num_tokens
        return np.concatenate(found)

    @functools.cached_property
    def is_before(self) -> bool:
        """Whether :attr:`end_id` stands before each document instead of after it.

        The first and the last id say it; if they do not, the format does.
        """
        if self.end_id is None or not any(file.shard.num_tokens for file in self.files):
            return False
        ids = open_ids([file.shard for file in self.files])
        first, last = (int(ids[place]) == self.end_id for place in (0, len(ids) - 1))
        return first if first != last else all(file.is_before for file in self.files)

    def cut(self, place: int) -> tuple[int, str]:
        """Return the last boundary up to a place, in ids, and what it is in words.

        The place itself is returned where no boundary before it is known.
        """
        if self.ends is not None:
            number = int(np.searchsorted(self.ends, place, "right"))
            if number and self.ends[number - 1]:
                return int(self.ends[number - 1]), "from the end of a document by the index"
        elif self.end_id is not None:
            ids = open_ids([file.shard for file in self.files])
            for stop in range(place, 0, -_STEP):
                start = max(0, stop - _STEP)
                places = np.flatnonzero(ids[start:stop] == self.end_id)
                if len(places) and (found := start + int(places[-1]) + (not self.is_before)):
                    return found, f"from an end of text ({self.end_id})"
        return place, "cut anywhere, as no end of a document is known there"

    def remark(self, key: str, found: IdSurvey) -> str:
        """Say how many ends there are, and where.

        Args:
            key: the setting that names the files.
            found: what a pass over the ids found.
        """
        if self.ends is not None:
            marked = self._id_at_ends()
            last = "no id marks their ends" if marked is None else f"each ends with id {marked}"
            return f"{key}: {format_count(len(self.ends), 'document')} by the index; {last}"
        if self.end_id is None:
            return (
                f"{key}: no end of a document is known; if an id stands between documents, "
                "name it: data.end_id=50256"
            )
        if not found.num_ends:
            return f"{key}: the end of text {self.end_id} stands nowhere"
        where = "before" if self.is_before else "after"
        times = format_count(found.num_ends, "time")
        return f"{key}: the end of text {self.end_id} stands {times}, {where} each document"

    def _id_at_ends(self) -> int | None:
        """The id with which all documents end; None if they differ, and for a single document."""
        assert self.ends is not None
        ends = self.ends[self.ends > 0][:_SAMPLE]
        if len(ends) < 2:
            return None
        last = np.unique(open_ids([file.shard for file in self.files])[ends - 1])
        return int(last[0]) if len(last) == 1 else None
