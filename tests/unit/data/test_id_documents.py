"""Boundaries at which a tail of ids may be cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lmlab.data import id_documents
from lmlab.data.id_documents import IdDocuments
from lmlab.data.id_shards import IdShard
from lmlab.data.token_formats.stored_ids import StoredIds


def stored(path: Path, ids: list[int], ends: list[int] | None = None) -> StoredIds:
    np.array(ids, "u2").tofile(path)
    shard = IdShard(path, "uint16", 0, len(ids))
    return StoredIds(shard, "raw", read_ends=None if ends is None else lambda: np.array(ends))


@pytest.mark.parametrize("step", [2, 100])
@pytest.mark.parametrize(
    ("ids", "cuts"),
    [([1, 2, 0, 3, 0, 4, 5, 0], {7: 5, 5: 5, 4: 3, 2: 2}),  # after each document
     ([0, 1, 2, 0, 3, 0, 4, 5], {7: 5, 5: 3, 3: 3})],  # before each
)  # fmt: skip
def test_a_cut_is_at_an_end_of_text(
    ids: list[int], cuts: dict[int, int], step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(id_documents, "_STEP", step)
    documents = IdDocuments([stored(tmp_path / "a", ids[:4]), stored(tmp_path / "b", ids[4:])], 0)
    for place, cut in cuts.items():
        assert documents.cut(place)[0] == cut, place


def test_indexes_of_several_files_are_joined(tmp_path: Path) -> None:
    files = [stored(tmp_path / "a", [1, 2, 3], [1, 3]), stored(tmp_path / "b", [4, 5], [2])]
    documents = IdDocuments(files)
    assert documents.ends is not None and documents.ends.tolist() == [1, 3, 5]
    assert documents.cut(4) == (3, "from the end of a document by the index")
    assert IdDocuments([*files, stored(tmp_path / "c", [1])]).ends is None
