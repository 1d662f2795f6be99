"""What a pass over ids finds does not depend on types and files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lmlab.data import id_survey
from lmlab.data.id_shards import IdShard
from lmlab.data.id_survey import survey_ids


def shard(path: Path, ids: list[int], dtype: str) -> IdShard:
    np.array(ids, dtype).tofile(path)
    return IdShard(path, dtype, 0, len(ids))


@pytest.mark.parametrize("step", [1, 3, 100])
def test_what_is_found(step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_survey, "_STEP", step)
    ids = [9, 4, 9, 7, 65_000, 9]
    found = survey_ids([shard(tmp_path / "a", ids, "uint16")], 9)
    assert (found.num_tokens, found.largest_id, found.num_ends) == (6, 65_000, 3)
    assert (found.largest_file, found.largest_place) == (0, 4)
    assert found.first_is_end and found.last_is_end
    parts = [shard(tmp_path / "b", ids[:4], "uint32"), shard(tmp_path / "c", ids[4:], "int64")]
    several = survey_ids(parts, 4)
    assert several.hash == found.hash
    assert (several.largest_file, several.largest_place) == (1, 0)
    assert (several.num_ends, several.first_is_end, several.last_is_end) == (1, False, False)
    assert survey_ids(parts[::-1], 4).hash != found.hash
