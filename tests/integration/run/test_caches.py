"""What a cache holds is the content that was asked for, whatever happened to its files."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import errno
import hashlib
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmlab.build.run_data import DataSpec, RunData, prepare_data
from lmlab.build.run_spec import resolve
from lmlab.config.compose import compose
from lmlab.data import corpus_encoding
from lmlab.data.corpus import Corpus
from lmlab.data.token_file import TokenFile, encode_corpus, write_token_file
from lmlab.errors import DataError, DiskError
from lmlab.storage.io import hash_json
from lmlab.tokenizer import Tokenizer
from lmlab.tokenizer.adaptive_encoder import AdaptiveEncoder
from lmlab.tokenizer.factories import bpe, byte_level

END = "<|endoftext|>"
FIRST, SECOND = "the cat sat on the mat. " * 40, "the dog ran to the hill. " * 40
Change = Callable[[Path], object]


@pytest.fixture
def tokenizer() -> Tokenizer:
    return byte_level([], Path(), "", special_tokens=[END])


def hash_of(*paths: Path) -> str:
    """The hash of texts, computed independently; an end is put between two of them."""
    contents = [path.read_bytes() + END.encode() * (path != paths[-1]) for path in paths]
    return hash_json([hashlib.sha256(content).hexdigest() for content in contents])


def edit_unseen(path: Path) -> None:
    """Change a byte but neither size nor modification time, as ``cp -p`` and ``touch -r`` can."""
    stat, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def replace_by_rename(path: Path) -> None:
    other = path.with_name("other")
    other.write_text(SECOND)
    os.replace(other, path)


def retarget(path: Path) -> None:
    elsewhere = path.with_name("elsewhere")
    elsewhere.write_text(SECOND)
    path.unlink()
    path.symlink_to(elsewhere)


CHANGES: dict[str, Change] = {
    "edited in place": edit_unseen,
    "replaced": replace_by_rename,
    "symlink": retarget,
    "appended": lambda path: path.write_text(FIRST + "x"),
    "truncated": lambda path: path.write_text(FIRST[:-1]),
    "emptied": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize("number", [0, 1])
def test_a_text_that_changes_before_it_is_encoded_leaves_no_wrong_ids(
    tmp_path: Path, tokenizer: Tokenizer, kind: str, number: int
) -> None:
    texts = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for text in texts:
        text.write_text(FIRST)
    expected = hash_of(*texts)
    CHANGES[kind](texts[number])
    options: dict[str, Any] = {"name": "train", "text_hash": expected}
    with pytest.raises(DataError, match=r"b\.txt: the text changed while it was read"):
        encode_corpus(texts, tokenizer, tmp_path / "cache", **options)
    for text in texts:
        text.unlink()
        text.write_text(FIRST)
    found = encode_corpus(texts, tokenizer, tmp_path / "cache", **options)
    assert tokenizer.decode(found.tokens.tolist()) == FIRST + END + FIRST


def test_a_text_that_is_removed_is_an_error_that_names_it(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    text = tmp_path / "a.txt"
    message = r"a\.txt cannot be read: No such file"
    with pytest.raises(DataError, match=message):
        _ = Corpus("a", [text], []).train_hash
    with pytest.raises(DataError, match=message):
        encode_corpus([text], tokenizer, tmp_path / "cache", name="train", text_hash="")
    with pytest.raises(DataError, match=message):
        bpe([text], tmp_path / "cache", "", vocab_size=270, special_tokens=[END])
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


@pytest.mark.long
@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize("kind", [kind for kind in CHANGES if kind != "emptied"])
def test_the_hash_is_that_of_the_encoded_bytes_even_if_they_change_meanwhile(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, kind: str, kernels: bool
) -> None:
    texts = [tmp_path / "a.txt", tmp_path / "b.txt", tmp_path / "c.txt"]
    for text in texts:
        text.write_text(400 * FIRST if kernels else FIRST)
    if kernels:
        tokenizer.encoder.tables(1 << 30)
    else:
        monkeypatch.setattr(AdaptiveEncoder, "tables", lambda *arguments: None)
    plain, changed = corpus_encoding._bar, []

    def bar(*arguments: Any) -> Any:
        made = plain(*arguments)
        update = made.update

        def change(size: int) -> None:
            update(size)
            if not changed:
                changed.append(CHANGES[kind](texts[2]))

        made.update = change
        return made

    monkeypatch.setattr(corpus_encoding, "_bar", bar)
    found = write_token_file(texts, tokenizer, tmp_path / "x.bin")
    content = tokenizer.decode(found.tokens.tolist()).encode()
    size = len(400 * FIRST if kernels else FIRST) + len(END)
    parts = [content[start : start + size] for start in (0, size)] + [content[2 * size :]]
    assert found.text_hash == hash_json([hashlib.sha256(part).hexdigest() for part in parts])
    assert found.sha256 == hashlib.sha256(found.path.read_bytes()).hexdigest()


def spec_of(overrides: list[str]) -> DataSpec:
    return resolve(compose(overrides)).data


def test_a_text_that_changes_once_is_prepared_from_the_beginning(
    overrides: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = tmp_path / "mine.txt"
    text.write_text(FIRST)
    spec = spec_of([*overrides, f"data.train={text}"])
    calls: list[str] = []

    def tokenizer_of(times: int) -> DataSpec:
        def make(**given: Any) -> Tokenizer:
            calls.append(given["corpus_hash"])
            if len(calls) <= times:
                text.write_text(f"{times} {len(calls)} {SECOND}")
            return byte_level(**given, special_tokens=[END])

        return dataclasses.replace(spec, tokenizer=make, vocab_size=257)

    data = prepare_data(tokenizer_of(1))
    assert data.corpus.train_hash == data.train.text_hash == hash_of(text)
    assert data.tokenizer.decode(data.train.tokens.tolist()) == text.read_text()
    assert "mine.txt: the text changed while it was read; starting over" in caplog.text
    calls.clear()
    text.write_text(f"new {FIRST}")
    with pytest.raises(DataError, match=r"mine\.txt: the text changed"):
        prepare_data(tokenizer_of(2))


@pytest.mark.parametrize("size", [len(FIRST), 4 << 20])  # in Python, and by kernels
def test_a_tokenizer_is_not_kept_for_a_text_that_it_was_not_trained_on(
    tmp_path: Path, size: int
) -> None:
    text = tmp_path / "text.txt"
    content = (FIRST * (1 + size // len(FIRST)))[:size]
    text.write_text(content)
    corpus_hash = hash_of(text)

    def make() -> Tokenizer:
        return bpe([text], tmp_path / "cache", corpus_hash, vocab_size=270, special_tokens=[END])

    text.write_text(content.replace("cat", "dog"))
    with pytest.raises(DataError, match=r"text\.txt: the text changed"):
        make()
    text.write_text(content)
    assert b"cat" in b" ".join(make().vocab.values())


def flip(path: Path) -> None:
    edit_unseen(path)


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").touch()


DAMAGES: dict[str, Change] = {
    "one bit, same times": flip,
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "truncated": shorten,
    "empty": lambda path: path.write_bytes(b""),
    "missing": Path.unlink,
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\n0"),
    "a folder": make_folder,
    "deep": lambda path: path.write_text("[" * 100_000),
    "null": lambda path: path.write_text("null"),
    "another object": lambda path: path.write_text('{"format_version": 1}'),
}


def content(data: RunData) -> tuple[object, ...]:
    floor = data.corpus.floor
    return (
        data.corpus.train_hash, data.corpus.valid_hash, floor, data.tokenizer.hash,
        data.train.tokens.tobytes(), data.valid.tokens.tobytes(),
        data.train.text_bytes(data.tokenizer), data.valid.text_bytes(data.tokenizer),
        [path.read_bytes() for path in data.corpus.train.paths + data.corpus.valid.paths],
    )  # fmt: skip


def stories(overrides: list[str], seed: int = 0) -> DataSpec:
    kept = [word for word in overrides if not word.startswith("data")]
    more = ["data=toystories", "data.num_train_documents=30", "data.num_valid_documents=10"]
    return spec_of([*kept, *more, f"data.seed={seed}", "tokenizer.vocab_size=280"])


@pytest.mark.long
def test_every_damage_of_every_cached_file_heals_and_is_said(
    overrides: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    spec = stories(overrides)
    expected = content(prepare_data(spec))
    other = stories(overrides, seed=1)
    prepare_data(dataclasses.replace(other, cache_folder=other.cache_folder / "other"))
    caplog.set_level(logging.WARNING)
    files = [path for path in spec.cache_folder.rglob("*.*") if path.is_file()]
    mine = [path for path in files if "other" not in path.parts]
    assert sorted(path.name for path in mine) == sorted(
        ["about.json", "train.txt", "valid.txt", "tokenizer.json", "trained.json",
         *(f"{split}.{end}" for split in ("train", "valid") for end in ("bin", "json"))]
    )  # fmt: skip

    def copy_other(path: Path) -> None:
        kind = path.parent.parent.name
        (twin,) = (spec.cache_folder / "other" / kind).rglob(path.name)
        shutil.copy2(twin, path)

    for name, damage in {**DAMAGES, "that of another text": copy_other}.items():
        for path in mine:
            caplog.clear()
            damage(path)
            assert content(prepare_data(spec)) == expected, (name, path)
            lines = [record.getMessage() for record in caplog.records]
            assert len(lines) == 1, (name, path, lines)
            assert str(path.parent) in lines[0] and "again" in lines[0], (name, path)
            caplog.clear()
            prepare_data(spec)
            assert not caplog.records, "healed"


def test_both_files_of_another_text_are_noticed(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """Each belongs to the other, but neither to this text."""
    paths = [tmp_path / "a.txt", tmp_path / "b.txt"]
    found = []
    for path, text in zip(paths, (FIRST, SECOND), strict=True):
        path.write_text(text)
        found.append(
            encode_corpus([path], tokenizer, tmp_path, name="x", text_hash=hash_of(path)).path
        )
    for suffix in (".bin", ".json"):
        shutil.copy2(found[1].with_suffix(suffix), found[0].with_suffix(suffix))
    again = encode_corpus(paths[:1], tokenizer, tmp_path, name="x", text_hash=hash_of(paths[0]))
    assert tokenizer.decode(again.tokens.tolist()) == FIRST


def test_a_token_file_of_the_user_is_refused_by_name_and_left_alone(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    text, path = tmp_path / "a.txt", tmp_path / "a.bin"
    text.write_text(FIRST)
    written = write_token_file([text], tokenizer, path)
    moved = tmp_path / "elsewhere" / "moved.bin"
    moved.parent.mkdir()
    for suffix in (".bin", ".json"):
        shutil.copy2(path.with_suffix(suffix), moved.with_suffix(suffix))
    assert dataclasses.replace(TokenFile.open(moved), path=path) == written
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(DataError, match=r"a\.bin: not the content that a\.json describes"):
        TokenFile.open(path)
    assert set(path.read_bytes()) == {0}


def test_a_complete_cache_needs_no_writable_folder(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = stories(overrides)
    expected = content(prepare_data(spec))

    def refuse(*arguments: object) -> None:
        raise AssertionError("something was written")

    for name in ("write_text", "write_bytes", "mkdir", "unlink"):
        monkeypatch.setattr(Path, name, refuse)
    monkeypatch.setattr(os, "replace", refuse)
    assert content(prepare_data(spec)) == expected


def test_without_a_writable_cache_a_temporary_folder_serves(
    overrides: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    spec = stories(overrides)
    expected = content(prepare_data(spec))
    blocked = spec.cache_folder.parent / "file"
    blocked.touch()
    data = prepare_data(dataclasses.replace(spec, cache_folder=blocked / "cache"))
    assert content(data) == expected
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 4, "stories, tokenizer and two token files"
    assert all("using a temporary folder" in line and str(blocked) in line for line in lines)


def test_on_a_full_disk_the_error_names_the_cache(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    spec = stories(overrides, seed=7)  # of which no other test has a temporary cache
    monkeypatch.setattr("lmlab.storage.io.os.fsync", full)
    with pytest.raises(DiskError, match=r"outputs/cache.*the disk is full"):
        prepare_data(spec)
    assert not [path for path in spec.cache_folder.rglob("*") if path.is_file()]


@pytest.mark.long
def test_processes_that_make_the_same_cache_at_once_are_all_right(overrides: list[str]) -> None:
    spec = stories(overrides, seed=5)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: content(prepare_data(spec)), range(4)))
    assert found == [content(prepare_data(spec))] * 4


TEXT = {"train_hash", "tokenizer", "tokens"}
SPECIALS = 'tokenizer.special_tokens=["<|endoftext|>",Mia]'
DATA_SETTINGS = {
    "data.seed": ("data.seed=1", {*TEXT, "valid_hash"}),
    "data.num_train_documents": ("data.num_train_documents=31", TEXT),
    "data.num_valid_documents": ("data.num_valid_documents=11", {"valid_hash"}),
    "data.tokens": ("data.tokens=200", {"train_hash", "tokens"}),
    "data.windows": ("data.windows=document", set()),
    "tokenizer.vocab_size": ("tokenizer.vocab_size=281", {"tokenizer", "tokens"}),
    "tokenizer.special_tokens": (SPECIALS, {"tokenizer", "tokens"}),
    "tokenizer.end_of_text": ('tokenizer.end_of_text="<|endoftext|>"', set()),
}  # fmt: skip


@pytest.mark.long
def test_every_setting_of_text_and_tokenizer_is_in_the_key_of_what_it_changes(
    overrides: list[str], tmp_path: Path
) -> None:
    """Warm caches return the same as empty ones, whichever setting differs from the cached ones."""
    kept = [word for word in overrides if not word.startswith(("data", "output_root"))]
    base = [*kept, "data=toystories", "data.num_train_documents=30",
            "data.num_valid_documents=10", "data.seed=0", "tokenizer.vocab_size=280"]  # fmt: skip
    settings = compose(base).as_dict()
    named = {f"{group}.{key}" for group in ("data", "tokenizer") for key in settings[group]}
    assert named - {"data._target_", "tokenizer._target_"} == set(DATA_SETTINGS)

    def prepared(root: str, *words: str) -> RunData:
        changed = [w for w in words if w.startswith("tokenizer.vocab")]
        size = changed[0].partition("=")[2] if changed else "280"
        more = [f"output_root={tmp_path / root}", f"model.vocab_size={size}"]
        return prepare_data(spec_of([*base, *words, *more]))

    def facts(data: RunData) -> dict[str, object]:
        return {
            "train_hash": data.corpus.train_hash, "valid_hash": data.corpus.valid_hash,
            "tokenizer": data.tokenizer.hash, "tokens": data.train.tokens.tobytes(),
        }  # fmt: skip

    plain = facts(prepared("warm"))
    for key, (word, expected) in DATA_SETTINGS.items():
        warm, cold = prepared("warm", word), prepared(key, word)
        assert content(warm) == content(cold), key
        assert {name for name, value in facts(warm).items() if value != plain[name]} == expected
