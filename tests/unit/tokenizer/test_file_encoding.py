"""Files to ids: any threads, any parts, any place to go on from."""

from __future__ import annotations

import itertools
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

from lmlab.errors import DataError
from lmlab.tokenizer import Tokenizer, file_encoding
from lmlab.tokenizer.file_encoding import Position, encode_files
from lmlab.tokenizer.kernel_encoder import Encoded, Tables, Worker

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
    for place, text in enumerate(texts):
        path = folder / f"{place}.txt"
        path.write_bytes(text.encode())
        paths.append(path)
    return paths


def encoded(
    tables: Tables, paths: list[Path], folder: Path, start: Position | None = None, **knobs: int
) -> tuple[list[int], Position, list[tuple[Position, int]]]:
    out = folder / "ids"
    told: list[tuple[Position, int]] = []
    descriptor = os.open(out, os.O_RDWR | os.O_CREAT)
    try:
        end = encode_files(
            tables, paths, descriptor, start=start,
            advance=lambda place, size: told.append((place, size)), **knobs,
        )  # fmt: skip
    finally:
        os.close(descriptor)
    return np.fromfile(out, dtype="<u2").tolist(), end, told


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("part_bytes", [7, 64, 1000, 1 << 20])
def test_any_threads_and_parts_give_the_same(
    tokenizer: Tokenizer, tables: Tables, tmp_path: Path, threads: int, part_bytes: int
) -> None:
    texts = [some_text(1, 3000), "", some_text(2, 50), "a", some_text(3, 700), ""]
    paths = write(tmp_path, texts)
    found, end, told = encoded(tables, paths, tmp_path, threads=threads, part_bytes=part_bytes)
    expected = [tokenizer.encoder.reference.encode(text) for text in texts]
    assert found == list(itertools.chain(*expected))
    size = sum(len(text.encode()) for text in texts)
    plain = sum(len(text.replace(END, "").encode()) for text in texts)
    assert end == Position(len(texts), 0, len(found), plain)
    assert sum(count for _, count in told) == size
    places = [place for place, _ in told]
    assert places == sorted(places, key=lambda place: (place.file, place.offset))


def test_no_thread_waits_for_a_slower_one_until_much_is_held(
    tokenizer: Tokenizer, tables: Tables, tmp_path: Path, monkeypatch
) -> None:
    most = 2 * file_encoding._PARTS_AHEAD
    others = threading.Semaphore(0)
    plain = Worker.encode

    def encode(self: Worker, text: Any, starts: Any) -> Encoded:
        if bytes(text.view[:5]) == b"first":
            for _ in range(most):
                assert others.acquire(timeout=20)
            assert not others.acquire(timeout=0.2), "more is held than should be"
        else:
            others.release()
        return plain(self, text, starts)

    monkeypatch.setattr(Worker, "encode", encode)
    text = "first" + some_text(8, 4000)
    paths = write(tmp_path, [text])
    found, _, told = encoded(tables, paths, tmp_path, threads=2, part_bytes=1000)
    assert found == tokenizer.encoder.reference.encode(text)
    assert len(told) > most + 2


def test_going_on_from_any_place_gives_the_same(
    tokenizer: Tokenizer, tables: Tables, tmp_path: Path
) -> None:
    paths = write(tmp_path, [some_text(5, 500), some_text(6, 500)])
    whole, end, told = encoded(tables, paths, tmp_path, threads=2, part_bytes=200)
    for place, _ in told:
        with open(tmp_path / "ids", "r+b") as file:
            file.truncate(2 * place.num_tokens)
        again, same_end, _ = encoded(tables, paths, tmp_path, place, threads=2, part_bytes=333)
        assert (again, same_end) == (whole, end)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("place", [0, 5, 4999, 30_000])
def test_malformed_text_is_told_with_its_place(
    tables: Tables, tmp_path: Path, threads: int, place: int
) -> None:
    data = bytearray(b"the lower one " * 3000)
    data[place] = 0xE9
    (tmp_path / "odd.txt").write_bytes(data)
    with pytest.raises(
        DataError, match=rf"odd\.txt: expected UTF-8 text, malformed at byte offset {place}\b"
    ):
        encoded(tables, [tmp_path / "odd.txt"], tmp_path, threads=threads, part_bytes=1000)


def test_a_file_that_vanishes_and_a_callback_that_fails_end_all_threads(
    tables: Tables, tmp_path: Path
) -> None:
    paths = write(tmp_path, [some_text(1, 3000)] * 2)
    paths[1].unlink()
    with pytest.raises(DataError, match=r"1\.txt cannot be read: No such file"):
        encoded(tables, paths, tmp_path, threads=3, part_bytes=100)

    def fail(place: Position, size: int) -> None:
        raise KeyboardInterrupt

    descriptor = os.open(tmp_path / "ids", os.O_RDWR | os.O_CREAT)
    with pytest.raises(KeyboardInterrupt):
        encode_files(tables, paths[:1], descriptor, advance=fail, threads=3, part_bytes=100)
    os.close(descriptor)


@pytest.mark.parametrize("started", [0, 1])
def test_a_machine_without_more_threads_makes_do(
    tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: int
) -> None:
    paths = write(tmp_path, [some_text(1, 3000)])
    whole, end, _ = encoded(tables, paths, tmp_path, part_bytes=100)
    left = iter([True] * started)
    start = threading.Thread.start

    def start_some(thread: threading.Thread) -> None:
        if not next(left, False):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_some)
    again, same_end, _ = encoded(tables, paths, tmp_path, threads=4, part_bytes=100)
    assert (again, same_end) == (whole, end)


def test_a_thread_that_is_not_waited_for_writes_to_no_other_file(
    tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after Ctrl-C again and again: the caller closes its file, and opens others."""
    paths = write(tmp_path, [some_text(1, 3000)])
    go_on, here = threading.Event(), threading.current_thread()
    workers: list[threading.Thread] = []
    write_ids = file_encoding._Job._write

    def write_later(job: Any, data: memoryview, offset: int) -> None:
        if threading.current_thread() is here:
            raise KeyboardInterrupt
        workers.append(threading.current_thread())
        assert go_on.wait(20)
        write_ids(job, data, offset)

    def interrupted(thread: threading.Thread, timeout: float | None = None) -> None:
        while not workers:  # it has ids, and is about to write them
            time.sleep(0.001)
        raise KeyboardInterrupt

    def begin_later(job: Any) -> None:
        if threading.current_thread() is here:  # behind the other
            while not workers:
                time.sleep(0.001)
        work(job)

    work, join = file_encoding._Job.work, threading.Thread.join
    monkeypatch.setattr(file_encoding._Job, "_write", write_later)
    monkeypatch.setattr(file_encoding._Job, "work", begin_later)
    monkeypatch.setattr(threading.Thread, "join", interrupted)
    descriptor = os.open(tmp_path / "ids", os.O_RDWR | os.O_CREAT)
    with pytest.raises(KeyboardInterrupt):
        encode_files(
            tables, paths, descriptor, advance=lambda *told: None, threads=2, part_bytes=100
        )
    os.close(descriptor)
    other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
    assert other == descriptor  # the system gives the number again
    go_on.set()
    join(workers[0], 20)
    os.close(other)
    assert (tmp_path / "other").read_bytes() == b""
    assert (tmp_path / "ids").read_bytes() != b""


def test_of_several_malformed_bytes_the_first_is_told(
    tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytearray(b"the lower one " * 3000)
    data[9_000] = data[11_000] = 0xE9
    (tmp_path / "odd.txt").write_bytes(data)
    check = file_encoding._Job._check

    def check_later(job: Any, part: Any, found: Encoded) -> None:
        if part.offset <= 9_000 < part.offset + part.size:
            time.sleep(0.2)  # meanwhile others come upon the second
        check(job, part, found)

    monkeypatch.setattr(file_encoding._Job, "_check", check_later)
    with pytest.raises(DataError, match=r"byte offset 9000\n"):
        encoded(tables, [tmp_path / "odd.txt"], tmp_path, threads=3, part_bytes=900)


PEAK = """
import os, sys, time
from pathlib import Path
from lmlab.tokenizer import Tokenizer, file_encoding
from lmlab.tokenizer.file_encoding import encode_files

check = file_encoding._Job._check

def check_late(job, part, encoded):
    deadline = time.monotonic() + 20  # the other thread goes as far ahead as it may, at once
    while part.number == 0 and len(job._ahead) < job._max_ahead and time.monotonic() < deadline:
        time.sleep(0.001)
    check(job, part, encoded)

file_encoding._Job._check = check_late
fast = Tokenizer.load(sys.argv[1]).encoder.fast(1 << 30)
out = os.open(os.devnull, os.O_WRONLY)
text = [Path(sys.argv[2])] * int(sys.argv[3])
encode_files(fast.tables, text, out, advance=lambda place, size: None, threads=2)
(line,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(line.split()[1])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's own account")
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
