"""Compressed files are read to their end, and refused where they are cut off or damaged."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import zstandard
from record_files import COMPRESSIONS

from lmlab.errors import DataError
from lmlab.records.byte_stream import ByteStream

TEXT = "".join(random.Random(0).choices(["a", "word ", "é", "\n"], k=300_000)).encode()


def read(data: bytes, folder: Path, size: int = 1 << 20) -> bytes:
    path = folder / "text"
    path.write_bytes(data)
    return b"".join(ByteStream(path, "data.train=text").pieces(size))


@pytest.mark.parametrize("name", COMPRESSIONS)
@pytest.mark.parametrize("size", [1000, 1 << 20])
def test_all_frames_are_read(name: str, size: int, tmp_path: Path) -> None:
    assert read(COMPRESSIONS[name](TEXT), tmp_path, size) == TEXT


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_a_file_that_is_cut_off_is_refused(name: str, tmp_path: Path) -> None:
    data = COMPRESSIONS[name](TEXT)
    with pytest.raises(DataError, match=r"data\.train=text cannot be read: .+\nhelp: copy or"):
        read(data[:-9], tmp_path)


@pytest.mark.parametrize("name", ["gz", "bz2", "zst"])
def test_damage_is_reported(name: str, tmp_path: Path) -> None:
    data = bytearray(COMPRESSIONS[name](TEXT))
    data[-4] ^= 0xFF  # in the checksum, or the last block
    if name == "zst":
        data += b"trailing"
    with pytest.raises(DataError, match="cannot be read"):
        read(bytes(data), tmp_path)


def test_large_windows_are_read(tmp_path: Path) -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=28)
    data = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    assert read(data.compress(TEXT) + data.flush(), tmp_path) == TEXT


def test_pieces_are_full_but_the_last(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(COMPRESSIONS["zst"](TEXT))
    sizes = [len(piece) for piece in ByteStream(path, "").pieces(1000)]
    assert set(sizes[:-1]) == {1000} and sum(sizes) == len(TEXT)


@pytest.mark.parametrize("name", ["plain", "gz"])
@pytest.mark.parametrize("offset", [0, 5, 70_000, len(TEXT) + 9])
def test_reading_can_begin_anywhere(name: str, offset: int, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(COMPRESSIONS[name](TEXT) if name in COMPRESSIONS else TEXT)
    stream = ByteStream(path, "")
    stream.skip(offset)
    assert b"".join(stream.pieces()) == TEXT[offset:]
