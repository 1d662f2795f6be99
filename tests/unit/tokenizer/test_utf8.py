"""Files are read in chunks as Python decodes them as a whole; malformed bytes are located."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from lmlab.errors import DataError
from lmlab.tokenizer.utf8 import read_utf8, to_utf8


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 1 << 20])
def test_chunks_make_the_same_text_and_report_the_same_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr("lmlab.tokenizer.utf8._CHUNK_BYTES", chunk)
    path, decoded = tmp_path / "t.txt", 0
    random_bytes = random.Random(1)
    pieces = ["a", "é", "東", "😀", "\r\n", "\ufeff"]
    for _ in range(300):
        data = "".join(random_bytes.choices(pieces, k=8)).encode()
        if random_bytes.random() < 0.6:
            cut = random_bytes.randrange(len(data))
            data = data[:cut] + random_bytes.choice([b"", b"\xff", b"\xe6\x9d"]) + data[cut + 1 :]
        path.write_bytes(data)
        sizes: list[int] = []
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            with pytest.raises(DataError, match=rf"malformed at byte offset {error.start}\n"):
                list(read_utf8(path))
        else:
            decoded += 1
            assert "".join(read_utf8(path, sizes.append)) == text
            assert sum(sizes) == len(data)
    assert 50 < decoded < 250


def test_a_lone_surrogate_is_reported_with_its_index() -> None:
    assert to_utf8("a😀") == b"a\xf0\x9f\x98\x80"
    with pytest.raises(DataError, match=r"lone surrogate '\\ud800' at index 2"):
        to_utf8("ab\ud800c")


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.txt"):
        list(read_utf8(tmp_path / "absent.txt"))


@pytest.mark.parametrize(
    ("encoding", "named"),
    [
        ("utf-16", "utf-16"), ("utf-16-le", "utf-16le"), ("utf-16-be", "utf-16be"),
        ("utf-32", "utf-32"), ("latin1", "latin1"),
    ],
)  # fmt: skip
def test_the_advice_names_the_encoding_of_the_file(
    encoding: str, named: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("Ein Übel, and no more than that.\n".encode(encoding))
    with pytest.raises(DataError) as caught:
        list(read_utf8(path))
    assert f"iconv -f {named} -t utf-8" in str(caught.value.help)
