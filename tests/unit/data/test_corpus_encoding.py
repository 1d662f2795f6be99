"""A token file is complete or absent, even after a kill at any moment."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from record_files import json_lines, parquet_by_pyarrow

from lmlab.data import corpus_encoding
from lmlab.data.corpus import Corpus
from lmlab.data.corpus_encoding import encode_to
from lmlab.data.token_file import TokenFile, encode_corpus, write_token_file
from lmlab.errors import DataError, DiskError
from lmlab.tokenizer import Tokenizer, file_encoding
from lmlab.tokenizer.adaptive_encoder import AdaptiveEncoder

END = "<|endoftext|>"
ENCODE = """
import os, sys, time
from pathlib import Path
from lmlab.data import corpus_encoding
from lmlab.data.corpus import Corpus
from lmlab.data.token_file import encode_corpus
from lmlab.records import arrow, json_lines
from lmlab.tokenizer import Tokenizer, file_encoding

arrow.BLOCK_BYTES = 4_000
json_lines.read_json_lines.__defaults__ = (4_000,)
corpus_encoding._JOURNAL_SECONDS = 0.0  # after every part
plain = file_encoding.encode_files

def slowly(tables, parts, *arguments, advance, **options):
    def wait(position, size):
        advance(position, size)
        print(position.file, position.place, flush=True)
        time.sleep(0.01)
    parts._part_bytes = parts._block_bytes = 8_000
    return plain(tables, parts, *arguments, advance=wait, threads=2, **options)

file_encoding.encode_files = slowly
tokenizer = Tokenizer.load(sys.argv[1])
tokenizer.encoder.fast(1 << 30)
texts = [Path(sys.argv[1]) / name for name in sys.argv[3:]]
text_hash = Corpus("text", texts, []).train_hash
encode_corpus(texts, tokenizer, Path(sys.argv[2]), name="train", text_hash=text_hash)
print("done", flush=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    merges = [(b"t", b"h"), (b"th", b"e"), (b" ", b"the"), (b"l", b"o"), (b"lo", b"w")]
    entries = [bytes([byte]) for byte in range(256)] + [left + right for left, right in merges]
    Tokenizer(dict(enumerate(entries)), merges, [END]).save(tmp_path)
    chance = random.Random(1)
    words = ["the", " the", " low", "  ", "\n", "'ll", " 2024", " é", "東京 ", "😀", "...", END]
    for name in ("first.txt", "second.txt"):
        text = "".join(chance.choices(words, k=60_000))
        (tmp_path / name).write_bytes(text.encode())
    return tmp_path


def start(folder: Path, cache: Path, names: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", ENCODE, str(folder), str(cache), *names]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def everything(cache: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in cache.rglob("*") if path.is_file()}


def write_records(texts: list[str], folder: Path) -> None:
    """The same texts, of a few hundred words each, as records."""
    for text, name in zip(texts, ("first", "second"), strict=True):
        documents = [document for document in text.split(END) if document]
        (folder / f"{name}.parquet").write_bytes(parquet_by_pyarrow(documents))
        (folder / f"{name}.jsonl.gz").write_bytes(gzip.compress(json_lines(documents)))


@pytest.mark.long
@pytest.mark.parametrize("form", ["txt", "parquet", "jsonl.gz"])
def test_after_a_kill_at_any_moment_the_next_call_writes_the_same_file(
    form: str, folder: Path, tmp_path: Path
) -> None:
    tokenizer = Tokenizer.load(folder)
    names = [f"{name}.{form}" for name in ("first", "second")]
    originals = [(folder / f"{name}.txt").read_bytes().decode() for name in ("first", "second")]
    if form != "txt":
        write_records(originals, folder)
    texts = [folder / name for name in names]
    text_hash = Corpus("text", texts, []).train_hash
    complete = encode_corpus(
        texts, tokenizer, tmp_path / "complete", name="train", text_hash=text_hash
    )
    if form == "txt":
        first, second = originals
        whole = first + END * (not first.rstrip().endswith(END)) + second
    else:
        documents = [one for text in originals for one in text.split(END) if one]
        whole = "".join(one + END for one in documents)
    expected = tokenizer.encoder.reference.encode(whole)
    assert complete.tokens.tolist() == expected
    resumed = 0
    for moment in range(0, 10, 2):
        cache = tmp_path / f"cache{moment}"
        child = start(folder, cache, names)
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(1 + 3 * moment)]
        time.sleep(0.003 * moment)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        assert all(lines) and "done\n" not in lines, "killed too late to show anything"
        path = cache / complete.path.relative_to(tmp_path / "complete")
        with pytest.raises(DataError):
            TokenFile.open(path)
        assert not path.exists()
        again = start(folder, cache, names)
        output, _ = again.communicate()
        assert again.returncode == 0
        first = output.split("\n", 1)[0].split()
        resumed += (int(first[0]), int(first[1])) > (0, 8_000 if form == "txt" else 100)
        assert path.read_bytes() == complete.path.read_bytes()
        assert TokenFile.open(path).num_text_bytes == complete.num_text_bytes
        left = [name for name in everything(cache) if not name.endswith((".lock", ".checked"))]
        assert sorted(left) == ["train.bin", "train.json"]
    assert resumed >= 4


def test_the_journal_never_runs_ahead_of_the_disk(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = 0
    events: list[tuple[str, int]] = []
    plain = file_encoding.encode_files

    def slowly(tables: Any, parts: Any, *arguments: Any, advance: Any, **options: Any) -> Any:
        parts._part_bytes = 8_000

        def advance_slowly(position: file_encoding.Position, size: int) -> None:
            nonlocal written
            written = position.num_tokens
            advance(position, size)
            time.sleep(0.005)

        return plain(tables, parts, *arguments, advance=advance_slowly, **options)

    monkeypatch.setattr(file_encoding, "encode_files", slowly)
    monkeypatch.setattr(
        corpus_encoding.os, "fsync", lambda descriptor: events.append(("safe", written))
    )
    monkeypatch.setattr(
        corpus_encoding._Journal,
        "keep",
        lambda journal, position, *hashes: events.append(("kept", position.num_tokens)),
    )
    tokenizer = Tokenizer.load(folder)
    tokenizer.encoder.fast(1 << 30)
    encode_to(tmp_path / "x.bin", [folder / "first.txt"], tokenizer)
    safe = kept = 0
    for event, position in events:
        if event == "safe":
            safe = position
        else:
            kept += 1
            assert position <= safe
    assert kept > 3


def half_done(folder: Path, out: Path) -> tuple[Path, Path]:
    """The files that a kill leaves after a few parts, once there is a journal."""
    out.parent.mkdir(exist_ok=True)
    child = start(folder, out.parent, ["first.txt", "second.txt"])
    assert child.stdout is not None
    for _ in range(8):
        child.stdout.readline()
    while not [*out.parent.rglob(".*.journal")] and child.poll() is None:
        time.sleep(0.001)
    child.kill()
    child.wait()
    (partial,) = out.parent.rglob(".*.partial")
    (journal,) = out.parent.rglob(".*.journal")
    return partial, journal


@pytest.mark.parametrize("damage", ["journal", "place", "other text", "short", "longer", "zeros"])
def test_an_inconsistent_journal_is_not_used(folder: Path, tmp_path: Path, damage: str) -> None:
    tokenizer = Tokenizer.load(folder)
    tokenizer.encoder.fast(1 << 30)
    texts = [folder / "first.txt", folder / "second.txt"]
    expected = tmp_path / "expected.bin"
    encode_to(expected, texts, tokenizer)
    partial, journal = half_done(folder, tmp_path / "cache" / "x")
    out = partial.with_name("train.bin")
    if damage == "journal":
        journal.write_bytes(journal.read_bytes()[:-9])
    elif damage == "other text":
        (folder / "first.txt").write_bytes(b"!" + (folder / "first.txt").read_bytes()[1:])
        encode_to(expected, texts, tokenizer)
    elif damage == "place":
        record = json.loads(journal.read_text())
        record["place"]["num_tokens"] -= 1
        journal.write_text(json.dumps(record))
    elif damage == "zeros":
        partial.write_bytes(bytes(partial.stat().st_size))
    elif damage == "short":
        partial.write_bytes(partial.read_bytes()[:100])
    else:
        partial.write_bytes(partial.read_bytes() + b"rubbish" * 1000)
    encode_to(out, texts, tokenizer)
    assert out.read_bytes() == expected.read_bytes()


def test_a_journal_is_not_used_with_the_ids_of_another_job(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job is killed, another starts at the same position and is killed, then the first reruns."""
    tokenizer = Tokenizer.load(folder)
    tokenizer.encoder.fast(1 << 30)
    texts = [folder / "first.txt", folder / "second.txt"]
    encode_to(tmp_path / "expected.bin", texts, tokenizer)
    partial, _ = half_done(folder, tmp_path / "cache" / "x")
    out = partial.with_name("train.bin")

    def write_some(tables: Any, paths: Any, descriptor: int, **options: Any) -> None:
        os.pwrite(descriptor, b"other ids" * 100_000, 0)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(file_encoding, "encode_files", write_some)
        with pytest.raises(KeyboardInterrupt):
            encode_to(out, texts[::-1], tokenizer)
    encode_to(out, texts, tokenizer)
    assert out.read_bytes() == (tmp_path / "expected.bin").read_bytes()


def test_a_pipe_is_encoded_from_its_beginning(folder: Path, tmp_path: Path) -> None:
    """What a journal would read of it again is gone."""
    tokenizer = Tokenizer.load(folder)
    encode_to(tmp_path / "expected.bin", [folder / "second.txt"], tokenizer)
    partial, _ = half_done(folder, tmp_path / "cache" / "x")
    pipe, out = tmp_path / "pipe", partial.with_name("train.bin")
    os.mkfifo(pipe)
    data = (folder / "second.txt").read_bytes()
    threading.Thread(target=lambda: pipe.write_bytes(data), daemon=True).start()
    encode_to(out, [pipe], tokenizer)
    assert out.read_bytes() == (tmp_path / "expected.bin").read_bytes()


def test_the_sidecar_of_the_previous_file_is_removed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = Tokenizer.load(folder)
    (tmp_path / "1.txt").write_text("the low the")
    (tmp_path / "2.txt").write_text("low the low")  # as many ids
    path = tmp_path / "x.bin"
    write_token_file([tmp_path / "1.txt"], tokenizer, path)

    def fail(*arguments: object) -> None:
        raise DiskError("the disk is full")

    monkeypatch.setattr("lmlab.data.token_file.write_sealed", fail)
    with pytest.raises(DiskError):
        write_token_file([tmp_path / "2.txt"], tokenizer, path)
    with pytest.raises(DataError, match=r"x\.bin: cannot read token file"):
        TokenFile.open(path)


def test_a_file_that_cannot_be_created_is_a_disk_error(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / ("x" * 250 + ".bin")
    with pytest.raises(DiskError, match="the name is too long"):
        encode_to(path, [folder / "first.txt"], Tokenizer.load(folder))


def test_an_interruption_keeps_the_partial_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = Tokenizer.load(folder)
    tokenizer.encoder.fast(1 << 30)

    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lmlab.tokenizer.file_encoding.encode_files", interrupt)
    with pytest.raises(KeyboardInterrupt):
        encode_to(tmp_path / "x.bin", [folder / "first.txt"], tokenizer)
    assert (tmp_path / ".x.bin.partial").exists()


def test_encoding_in_python_writes_the_same_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [folder / "first.txt", folder / "second.txt"]
    quick = Tokenizer.load(folder)
    assert quick.encoder.fast(1 << 30) is not None
    counts = encode_to(tmp_path / "quick.bin", texts, quick)
    monkeypatch.setattr(AdaptiveEncoder, "tables", lambda *arguments: None)
    monkeypatch.setattr(corpus_encoding, "_encode_by_kernels", None)
    slow = Tokenizer.load(folder)
    assert encode_to(tmp_path / "slow.bin", texts, slow) == counts
    assert (tmp_path / "slow.bin").read_bytes() == (tmp_path / "quick.bin").read_bytes()


def test_reading_an_encoded_text_loads_no_kernels(folder: Path, tmp_path: Path) -> None:
    program = f"""
import sys
from pathlib import Path
from lmlab.data.corpus import Corpus
from lmlab.data.token_file import encode_corpus
from lmlab.tokenizer import Tokenizer
tokenizer = Tokenizer.load({str(folder)!r})
texts = [Path({str(folder / "first.txt")!r})]
text_hash = Corpus("text", texts, []).train_hash
found = encode_corpus(texts, tokenizer, Path({str(tmp_path)!r}), name="x", text_hash=text_hash)
print(found.num_tokens, found.tokens[:3].tolist(), tokenizer.encode("the low") != [])
kernel_modules = ("llvmlite", "numba", "lmlab.tokenizer.kernel_encoder")
print([name for name in kernel_modules if name in sys.modules])
"""
    for turn in range(2):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        loaded = done.stdout.splitlines()[-1]
        assert turn == 0 or loaded == "[]"


def test_a_small_text_loads_no_kernels(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("kernels were loaded")

    monkeypatch.setattr(corpus_encoding, "_encode_by_kernels", refuse)
    (tmp_path / "small.txt").write_text("the low " * 1000)
    found = encode_to(tmp_path / "x.bin", [tmp_path / "small.txt"], Tokenizer.load(folder))
    assert found.num_text_bytes == 8000
    assert len(np.fromfile(tmp_path / "x.bin", dtype="<u2")) == found.num_tokens
