from __future__ import annotations

from pathlib import Path

import pytest

from lmlab.data.sources import TextFiles, ToyStories, check_utf8
from lmlab.errors import ConfigError, DataError

END = "<|endoftext|>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train.txt").write_text("some text")
    (tmp_path / "valid.txt").write_text("other text")
    return tmp_path


def files(folder: Path, train: str | list[str] = "train.txt", valid: str = "valid.txt"):
    many = [train] if isinstance(train, str) else train
    return TextFiles(folder, train=[str(folder / name) for name in many], valid=str(folder / valid))


def test_text_files_stay_in_place_and_are_identified_by_content(folder: Path) -> None:
    corpus = files(folder).prepare()
    assert corpus.train.paths == [folder / "train.txt"]
    assert corpus.floor is None
    (folder / "copy.txt").write_text("some text")
    assert files(folder, "copy.txt").prepare().train_hash == corpus.train_hash
    assert files(folder, ["train.txt", "copy.txt"]).prepare().train_hash != corpus.train_hash


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ("trian.txt", r'data\.train=.*trian\.txt: no such file\nhelp: did you mean "train\.txt"'),
        ("none/train.txt", r"no such file\nhelp: check the path: its folder .*none does not exist"),
        (".", r"data\.train=.*: expected one split, found train, valid\nhelp: .*\*train\*"),
        ("empty.txt", r"data\.train=.*empty\.txt: the file is empty"),
        ("./none/../valid.txt", "no such file"),
        ("link.txt", r"data\.valid=.*valid\.txt: expected held-out text"),
        (["train.txt", "valid.txt"], r"data\.valid=.*valid\.txt: expected held-out text"),
        ("valid.txt", r"data\.valid=.*valid\.txt: expected held-out text"),
        ([], r"data\.train=\[\]: expected a text file"),
    ],
)
def test_invalid_paths_are_reported_before_reading(folder: Path, train, message) -> None:
    (folder / "empty.txt").touch()
    (folder / "link.txt").symlink_to(folder / "valid.txt")
    with pytest.raises(DataError, match=message):
        files(folder, train).check()


@pytest.mark.parametrize(
    ("content", "offset"),
    [
        (b"\xff", 0),
        (b"abcdefg\xffh", 7),
        ("héé".encode() + b"\xc3(", 5),
        ("東京".encode()[:-1], 3),  # cut short in the last character
        (b"ab" + "😀".encode()[:3] + b"cd", 2),
        (b"abc\xed\xa0\x80", 3),  # a surrogate
    ],
)
@pytest.mark.parametrize("chunk", [1, 2, 3, 1 << 20])
def test_the_offset_of_the_first_malformed_byte_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, offset: int, chunk: int
) -> None:
    monkeypatch.setattr("lmlab.tokenizer.utf8._CHUNK_BYTES", chunk)
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    with pytest.raises(
        DataError,
        match=rf"text\.txt: expected UTF-8 text, malformed at byte offset {offset}\n.*iconv",
    ):
        check_utf8(path)


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_characters_split_across_chunks_are_valid(tmp_path, monkeypatch, chunk: int) -> None:
    monkeypatch.setattr("lmlab.tokenizer.utf8._CHUNK_BYTES", chunk)
    path = tmp_path / "text.txt"
    path.write_text("é東😀" * 5, encoding="utf-8")
    check_utf8(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError):
        check_utf8(path)


@pytest.mark.parametrize("name", ["train.txt", "valid.txt"])
def test_either_split_must_be_utf8(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"caf\xe9")
    with pytest.raises(
        DataError, match=rf"{name}: expected UTF-8 text, malformed at byte offset 3"
    ):
        files(folder).prepare()


def test_the_validation_file_is_checked(folder: Path) -> None:
    with pytest.raises(
        DataError, match=r"data\.valid=.*vlaid\.txt: no such file\nhelp: did you mean .*valid\.txt"
    ):
        files(folder, valid="vlaid.txt").check()


def test_toystories_have_a_floor(tmp_path: Path) -> None:
    source = ToyStories(tmp_path, num_train_documents=20, num_valid_documents=5, seed=3)
    corpus = source.prepare()
    assert corpus.floor is not None
    assert 0 < corpus.floor.bits_per_byte < 8
    assert [path.read_text("utf-8").count(END) for path in corpus.train.paths] == [20]
    assert [path.read_text("utf-8").count(END) for path in corpus.valid.paths] == [5]


def test_a_number_of_stories_below_one_is_refused(tmp_path: Path) -> None:
    source = ToyStories(tmp_path, num_train_documents=0, num_valid_documents=1, seed=0)
    with pytest.raises(ConfigError, match=r"data\.num_train_documents=0: expected 1 or more"):
        source.check()
