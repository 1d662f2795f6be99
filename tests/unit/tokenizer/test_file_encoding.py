"""Encoding files gives the same ids for any threads, part size and position to resume from."""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard

from lmlab.errors import DataError
from lmlab.records.json_lines import read_json_lines
from lmlab.records.text import Text
from lmlab.tokenizer import Tokenizer, file_encoding
from lmlab.tokenizer.buffers import Memory
from lmlab.tokenizer.file_encoding import Position, encode_files
from lmlab.tokenizer.kernel_encoder import Encoded, Tables, Worker
from lmlab.tokenizer.part_encoder import PartEncoder
from lmlab.tokenizer.text_parts import PART_BYTES, Part, TextParts

END = "<|endoftext|>"
PIECES = [
    "the", " the", " low", "lower", "  ", " ", "\n", "\r\n", "'", "'ll", "2024", "é", "東京", "😀",
    "\u00a0", "...", "internationalization" * 3, END, END + END, END[:5],
]  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    merges = [
        (b"t", b"h"),
        (b"th", b"e"),
        (b" ", b"the"),
        (b"l", b"o"),
        (b"lo", b"w"),
        (b"a", b"l"),
    ]
    entries = [bytes([byte]) for byte in range(256)] + [left + right for left, right in merges]
    return Tokenizer(dict(enumerate(entries)), merges, [END, END + END])


@pytest.fixture(scope="module")
def tables(tokenizer: Tokenizer) -> Tables:
    fast = tokenizer.encoder.fast(1 << 30)
    assert fast is not None
    return fast.tables


def some_text(seed: int, count: int) -> str:
    return "".join(random.Random(seed).choices(PIECES, k=count))


def write(folder: Path, texts: list[str]) -> list[Path]:
    paths = []
    for position, text in enumerate(texts):
        path = folder / f"{position}.txt"
        path.write_bytes(text.encode())
        paths.append(path)
    return paths


def parts_of(
    tables: Tables, paths: list[Path], part_bytes: int, start: Position | None = None
) -> TextParts:
    parts = TextParts(Text.of(paths), END.encode(), tables.cut, part_bytes=part_bytes)
    assert start is None or parts.skip_to(start.file, start.place)
    return parts


def joined(texts: list[str]) -> list[str]:
    """Each text, with an end where another one follows and it has none."""
    marker = END.encode()
    ends = [bool(text) and not text.encode().rstrip().endswith(marker) for text in texts]
    return [text + END * end for text, end in zip(texts, [*ends[:-1], False], strict=True)]


def encoded(
    tables: Tables,
    paths: list[Path],
    folder: Path,
    start: Position | None = None,
    part_bytes: int = PART_BYTES,
    **options: int,
) -> tuple[list[int], Position, list[tuple[Position, int]]]:
    out = folder / "ids"
    advances: list[tuple[Position, int]] = []
    descriptor = os.open(out, os.O_RDWR | os.O_CREAT)
    try:
        end = encode_files(
            tables, parts_of(tables, paths, part_bytes, start), descriptor, start=start,
            advance=lambda position, size: advances.append((position, size)), **options,
        )  # fmt: skip
    finally:
        os.close(descriptor)
    return np.fromfile(out, dtype="<u2").tolist(), end, advances


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("part_bytes", [7, 64, 1000, 1 << 20])
def test_ids_do_not_depend_on_threads_or_part_size(
    tokenizer: Tokenizer, tables: Tables, tmp_path: Path, threads: int, part_bytes: int
) -> None:
    texts = [some_text(1, 3000), "", some_text(2, 50), "a", some_text(3, 700), ""]
    paths = write(tmp_path, texts)
    found, end, advances = encoded(tables, paths, tmp_path, threads=threads, part_bytes=part_bytes)
    expected = [tokenizer.encoder.reference.encode(text) for text in joined(texts)]
    assert found == list(itertools.chain(*expected))
    size = sum(len(text.encode()) for text in texts)
    plain = sum(len(text.replace(END, "").encode()) for text in texts)
    assert end == Position(len(texts), 0, len(found), plain)
    assert sum(count for _, count in advances) == size
    positions = [position for position, _ in advances]
    assert positions == sorted(positions, key=lambda position: (position.file, position.place))


def test_threads_encode_ahead_of_a_slower_one_up_to_a_limit(
    tokenizer: Tokenizer, tables: Tables, tmp_path: Path, monkeypatch
) -> None:
    limit = 2 * file_encoding._PARTS_AHEAD
    others = threading.Semaphore(0)
    plain = Worker.encode

    def encode(self: Worker, text: Any, starts: Any) -> Encoded:
        if bytes(text.view[:5]) == b"first":
            for _ in range(limit):
                assert others.acquire(timeout=20)
            assert not others.acquire(timeout=0.2), "more parts are buffered than allowed"
        else:
            others.release()
        return plain(self, text, starts)

    monkeypatch.setattr(Worker, "encode", encode)
    text = "first" + some_text(8, 4000)
    paths = write(tmp_path, [text])
    found, _, advances = encoded(tables, paths, tmp_path, threads=2, part_bytes=1000)
    assert found == tokenizer.encoder.reference.encode(text)
    assert len(advances) > limit + 2


def test_resuming_from_any_position_gives_the_same_ids(
    tokenizer: Tokenizer, tables: Tables, tmp_path: Path
) -> None:
    paths = write(tmp_path, [some_text(5, 500), some_text(6, 500)])
    expected, end, advances = encoded(tables, paths, tmp_path, threads=2, part_bytes=200)
    for position, _ in advances:
        with open(tmp_path / "ids", "r+b") as file:
            file.truncate(2 * position.num_tokens)
        again, same_end, _ = encoded(tables, paths, tmp_path, position, threads=2, part_bytes=333)
        assert (again, same_end) == (expected, end)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("position", [0, 5, 4999, 30_000])
def test_malformed_text_is_reported_with_its_offset(
    tables: Tables, tmp_path: Path, threads: int, position: int
) -> None:
    data = bytearray(b"the lower one " * 3000)
    data[position] = 0xE9
    (tmp_path / "odd.txt").write_bytes(data)
    with pytest.raises(
        DataError, match=rf"odd\.txt: expected UTF-8 text, malformed at byte offset {position}\b"
    ):
        encoded(tables, [tmp_path / "odd.txt"], tmp_path, threads=threads, part_bytes=1000)


def test_a_missing_file_or_failing_callback_ends_all_threads(
    tables: Tables, tmp_path: Path
) -> None:
    paths = write(tmp_path, [some_text(1, 3000)] * 2)
    with pytest.raises(DataError, match=r"1\.txt cannot be read: No such file"):
        parts = parts_of(tables, paths, 100)
        paths[1].unlink()
        descriptor = os.open(tmp_path / "ids", os.O_RDWR | os.O_CREAT)
        encode_files(tables, parts, descriptor, advance=lambda *advances: None, threads=3)
    os.close(descriptor)

    def fail(position: Position, size: int) -> None:
        raise KeyboardInterrupt

    descriptor = os.open(tmp_path / "ids", os.O_RDWR | os.O_CREAT)
    with pytest.raises(KeyboardInterrupt):
        parts = parts_of(tables, paths[:1], 100)
        encode_files(tables, parts, descriptor, advance=fail, threads=3)
    os.close(descriptor)


@pytest.mark.parametrize("started", [0, 1])
def test_encoding_works_where_no_more_threads_can_start(
    tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: int
) -> None:
    paths = write(tmp_path, [some_text(1, 3000)])
    expected, end, _ = encoded(tables, paths, tmp_path, part_bytes=100)
    left = iter([True] * started)
    start = threading.Thread.start

    def start_some(thread: threading.Thread) -> None:
        if not next(left, False):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_some)
    again, same_end, _ = encoded(tables, paths, tmp_path, threads=4, part_bytes=100)
    assert (again, same_end) == (expected, end)


def test_an_abandoned_thread_never_writes_to_another_file(
    tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After repeated Ctrl-C the caller closes its file and opens others."""
    paths = write(tmp_path, [some_text(1, 3000)])
    resume, here = threading.Event(), threading.current_thread()
    workers: list[threading.Thread] = []
    write_ids = file_encoding._Job._write

    def write_later(job: Any, data: memoryview, offset: int) -> None:
        if threading.current_thread() is here:
            raise KeyboardInterrupt
        workers.append(threading.current_thread())
        assert resume.wait(20)
        write_ids(job, data, offset)

    def interrupted(thread: threading.Thread, timeout: float | None = None) -> None:
        while not workers:  # it has ids and is about to write them
            time.sleep(0.001)
        raise KeyboardInterrupt

    def begin_later(job: Any) -> None:
        if threading.current_thread() is here:  # start after the other
            while not workers:
                time.sleep(0.001)
        work(job)

    work, join = file_encoding._Job.work, threading.Thread.join
    monkeypatch.setattr(file_encoding._Job, "_write", write_later)
    monkeypatch.setattr(file_encoding._Job, "work", begin_later)
    monkeypatch.setattr(threading.Thread, "join", interrupted)
    descriptor = os.open(tmp_path / "ids", os.O_RDWR | os.O_CREAT)
    with pytest.raises(KeyboardInterrupt):
        parts = parts_of(tables, paths, 100)
        encode_files(tables, parts, descriptor, advance=lambda *advances: None, threads=2)
    os.close(descriptor)
    other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
    assert other == descriptor  # the system reuses the number
    resume.set()
    join(workers[0], 20)
    os.close(other)
    assert (tmp_path / "other").read_bytes() == b""
    assert (tmp_path / "ids").read_bytes() != b""


def test_the_first_of_several_malformed_bytes_is_reported(
    tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytearray(b"the lower one " * 3000)
    data[9_000] = data[11_000] = 0xE9
    (tmp_path / "odd.txt").write_bytes(data)
    check = PartEncoder._check

    def check_later(encoder: PartEncoder, part: Part, found: Encoded) -> None:
        if part.place <= 9_000 < part.place + part.size:
            time.sleep(0.2)  # other threads find the second
        check(encoder, part, found)

    monkeypatch.setattr(PartEncoder, "_check", check_later)
    with pytest.raises(DataError, match=r"byte offset 9000\n"):
        encoded(tables, [tmp_path / "odd.txt"], tmp_path, threads=3, part_bytes=900)


def lines_of(texts: list[str]) -> bytes:
    return b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_json_lines, "__defaults__", (900,))


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("part_bytes", [7, 2000, 1 << 20])
def test_rows_taken_ahead_give_the_ids_of_the_text_in_order(
    tables: Tables, tmp_path: Path, threads: int, part_bytes: int
) -> None:
    texts = [some_text(seed, 30).replace(END, "") for seed in range(300)]
    halves = [lines_of(texts[:170]), b"", lines_of(texts[170:])]
    paths = [tmp_path / f"{number}.jsonl" for number in range(3)]
    for path, data in zip(paths, halves, strict=True):
        path.write_bytes(data)
    (tmp_path / "plain.txt").write_text("".join(text + END for text in texts if text), "utf-8")
    expected, _, _ = encoded(tables, [tmp_path / "plain.txt"], tmp_path)
    options = {"threads": threads, "part_bytes": part_bytes, "end_id": tables.special_ids[-1]}
    found, end, advances = encoded(tables, paths, tmp_path, **options)
    assert found == expected
    assert (end.file, end.num_tokens) == (3, len(expected))
    positions = [position for position, _ in advances]
    assert positions == sorted(positions, key=lambda position: (position.file, position.place))
    resumed = encoded(tables, paths, tmp_path, positions[len(positions) // 3], **options)
    assert resumed[0] == expected


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("is_cut", [False, True])
def test_the_first_of_several_errors_in_rows_is_reported(
    tables: Tables,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    threads: int,
    is_cut: bool,
) -> None:
    """Also where the file is found to be cut off while earlier rows wait to be read."""
    lines = lines_of(["the lower one" * 20] * 600).splitlines(keepends=True)
    bad = 568 if is_cut else 520
    lines[bad] = b'{"text": 1}\n'
    if not is_cut:
        lines[540] = lines[560] = b'{"text": 2}\n'
    write = zstandard.ZstdCompressor().compress
    end = write(b"".join(lines[580:]))
    data = write(b"".join(lines[:580])) + (end[:-1] if is_cut else end)
    (tmp_path / "odd").write_bytes(data)
    finish = TextParts.finish

    def finish_later(parts: TextParts, part: Part, buffer: Memory) -> tuple[Part, Memory]:
        if part.place <= bad < part.next_place:
            time.sleep(0.2)  # other threads find the other errors
        return finish(parts, part, buffer)

    monkeypatch.setattr(TextParts, "finish", finish_later)
    options = {"threads": threads, "part_bytes": 2000, "end_id": tables.special_ids[-1]}
    with pytest.raises(DataError, match=f"odd: line {bad + 1}: text: expected a string"):
        encoded(tables, [tmp_path / "odd"], tmp_path, **options)


PEAK = """
import os, sys, time
from pathlib import Path
from lmlab.tokenizer import Tokenizer, file_encoding
from lmlab.records.text import Text
from lmlab.tokenizer.file_encoding import encode_files
from lmlab.tokenizer.text_parts import TextParts

in_order = file_encoding._Job._in_order

def in_order_late(job, number, part, encoded):
    deadline = time.monotonic() + 20  # the other thread gets as far ahead as it may
    while number == 0 and len(job._ahead) < job._max_ahead and time.monotonic() < deadline:
        time.sleep(0.001)
    return in_order(job, number, part, encoded)

file_encoding._Job._in_order = in_order_late
fast = Tokenizer.load(sys.argv[1]).encoder.fast(1 << 30)
out = os.open(os.devnull, os.O_WRONLY)
text = Text.of([Path(sys.argv[2])] * int(sys.argv[3]))
parts = TextParts(text, b"", fast.tables.cut)
encode_files(fast.tables, parts, out, advance=lambda position, size: None, threads=2)
(line,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(line.split()[1])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_memory_does_not_grow_with_the_text(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    (path,) = write(tmp_path, [some_text(1, 200_000) * 10])

    def peak_mb(times: int) -> float:
        command = [sys.executable, "-c", PEAK, str(tmp_path), str(path), str(times)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return int(done.stdout) / 1e3

    size = path.stat().st_size
    few, many = max(1, 30_000_000 // size), 300_000_000 // size
    assert many >= 8 * few
    assert peak_mb(many) < 1.1 * peak_mb(few) < 150
