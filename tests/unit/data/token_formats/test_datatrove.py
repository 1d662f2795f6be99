"""datatrove's files that do not fit together."""

from __future__ import annotations

from pathlib import Path

import pytest
from token_forms import FORMS, sequence

from lmlab.data.token_formats.datatrove import is_datatrove, open_datatrove
from lmlab.errors import DataError


def test_one_of_index_and_metadata_is_enough(tmp_path: Path) -> None:
    path = FORMS["datatrove"](tmp_path)
    index, metadata = (path.with_name(path.name + suffix) for suffix in (".index", ".metadata"))
    content = index.read_bytes()
    index.unlink()
    found = open_datatrove("data.train=a", path)
    assert found.read_ends is None and found.shard.num_tokens == len(sequence())
    metadata.unlink()
    assert not is_datatrove(path)
    index.write_bytes(content)
    assert open_datatrove("data.train=a", path).shard == found.shard


@pytest.mark.parametrize(
    ("suffix", "content", "message"),
    [(".metadata", b"gpt2|2\n12\n12 T", "expected 12 ids by 00000_mine.ds.metadata"),
     (".metadata", b"gpt2\n", "cannot be read"), (".metadata", b"gpt2|3\n1\n", "2 or 4 bytes"),
     (".index", b"12345678" * 3, "ids by 00000_mine.ds.index"), (".index", b"123", "incomplete"),
     ("", b"1234", "expected .* ids by 00000_mine.ds.metadata, found 2")],
)  # fmt: skip
def test_contradictions_are_refused(
    suffix: str, content: bytes, message: str, tmp_path: Path
) -> None:
    path = FORMS["datatrove"](tmp_path)
    path.with_name(path.name + suffix).write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_datatrove("data.train=a", path)
