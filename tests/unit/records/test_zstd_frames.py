"""Frames of every kind, whole and cut off anywhere, against zstandard frame by frame."""

from __future__ import annotations

import io
import random

import pytest
import zstandard

from lmlab.records.zstd_frames import ZstdFrames


def by_objects(data: bytes) -> bytes:
    """The text of all frames, one object per frame. Raises :class:`EOFError` within a frame."""
    text, rest = [], data
    while rest:
        one = zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj()
        text.append(one.decompress(rest))
        if not one.eof:
            raise EOFError
        rest = one.unused_data
    return b"".join(text)


class Pieces(io.BytesIO):
    """Bytes of which at most a few come at a time, as from a pipe."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data)
        self.most = most

    def read1(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        return super().read1(min(size, self.most))


def read(data: bytes, *, most: int = 1 << 20, view_bytes: int = 1 << 16) -> bytes:
    frames = ZstdFrames(Pieces(data, most))  # type: ignore[arg-type]
    view, text = memoryview(bytearray(view_bytes)), bytearray()
    while count := frames.readinto(view):
        text += view[:count]
    return bytes(text)


def random_frames(chance: random.Random, count: int) -> list[bytes]:
    """Compressed, raw and run-length blocks, with and without each field of the header."""
    found = []
    for _ in range(count):
        size = chance.choice([0, 1, 50, 300, 70_000])
        text = chance.choice([bytes(size), chance.randbytes(min(size, 300)), b"low lower " * 9])
        if chance.random() < 0.2:
            found.append(skippable(chance.randbytes(size % 301), chance.randrange(16)))
            continue
        parameters = zstandard.ZstdCompressionParameters.from_level(
            chance.choice([1, 3, 19]),
            write_checksum=chance.random() < 0.5,
            write_content_size=chance.random() < 0.5,
            window_log=chance.choice([10, 17, 28]),
        )
        write = zstandard.ZstdCompressor(compression_params=parameters)
        if chance.random() < 0.5:
            found.append(write.compress(text))
        else:
            stream = write.compressobj()
            half = stream.compress(text[: size // 2]) + stream.flush(
                zstandard.COMPRESSOBJ_FLUSH_BLOCK
            )
            found.append(half + stream.compress(text[size // 2 :]) + stream.flush())
    return found


def skippable(content: bytes, number: int = 0) -> bytes:
    return bytes([0x50 + number]) + b"\x2a\x4d\x18" + len(content).to_bytes(4, "little") + content


@pytest.mark.parametrize("seed", range(30))
def test_all_frames_are_read(seed: int) -> None:
    chance = random.Random(seed)
    data = b"".join(random_frames(chance, 8))
    expected = by_objects(data)
    for most in (1, 7, 1 << 20):
        assert read(data, most=most, view_bytes=chance.choice([1, 100, 1 << 17])) == expected


@pytest.mark.parametrize("seed", range(12))
def test_a_cut_is_an_error_anywhere_but_between_frames(seed: int) -> None:
    chance = random.Random(100 + seed)
    frames = random_frames(chance, 4)
    data = b"".join(frames)
    ends = {sum(map(len, frames[:count])) for count in range(len(frames) + 1)}
    places = range(len(data)) if len(data) < 1500 else chance.sample(range(len(data)), 200)
    for place in {*places, *ends}:
        if place in ends:
            assert read(data[:place]) == by_objects(data[:place])
        else:
            with pytest.raises(EOFError, match="cut off"):
                read(data[:place])


@pytest.mark.parametrize("after", [b"x", b"xyz", b"text", b"more than a magic", b"\x28\xb5"])
def test_what_is_no_frame_is_an_error(after: bytes) -> None:
    whole = zstandard.ZstdCompressor().compress(b"text")
    with pytest.raises((EOFError, zstandard.ZstdError)):
        read(whole + after)


def test_damaged_bytes_are_an_error_or_another_text() -> None:
    """They never end the text early, as a cut would: zstandard decides frame by frame too."""
    chance = random.Random(1)
    data = b"".join(random_frames(chance, 6))[:3000]
    for _ in range(300):
        damaged = bytearray(data)
        damaged[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        results = []
        for reader in (read, by_objects):
            try:
                results.append(reader(bytes(damaged)))
            except (EOFError, zstandard.ZstdError):
                results.append(None)
        assert results[0] == results[1]
