"""The commands of ``python -m lmlab.tokenize``, as typed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lmlab.data.token_file import TokenFile
from lmlab.errors import LockedError
from lmlab.storage.lock import Lock
from lmlab.tokenize import main
from lmlab.tokenizer import Tokenizer, train_bpe

TEXT = "low lower lowest<|endoftext|>newest widest\n" * 50


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "t.txt"
    path.write_text(TEXT)
    return path


def test_train_encode_show(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, ids = tmp_path / "tok", tmp_path / "new" / "t.bin"
    assert main(["train", str(text), "--vocab-size", "270", "--to", str(folder)]) == 0
    assert "270 entries" in capsys.readouterr().out
    tokenizer = Tokenizer.load(folder)
    assert tokenizer.hash == train_bpe(text, 270, ["<|endoftext|>"]).hash
    assert main(["encode", str(folder), str(text), "--to", str(ids)]) == 0
    found = TokenFile.open(ids)
    assert np.array_equal(found.tokens, tokenizer.encode(TEXT))
    assert f"{found.num_tokens:,} tokens" in capsys.readouterr().out
    assert main(["show", str(folder), "--longest", "1", "--split", "lowest"]) == 0
    out = capsys.readouterr().out
    assert "270 entries, 13 merges" in out
    assert f"{len(tokenizer.encode('lowest'))} tokens of 6 bytes" in out


def test_special_tokens_pattern_and_too_small_a_text(
    text: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words = ["train", str(text), "--to", str(tmp_path / "tok"), "--pattern", "cl100k"]
    assert main([*words, "--vocab-size", "9999", "--special", "<|a|>", "<|b|>"]) == 0
    assert "no more pairs to merge" in caplog.text
    tokenizer = Tokenizer.load(tmp_path / "tok")
    assert tokenizer.special_tokens == ["<|a|>", "<|b|>"]
    assert "{1,3}" in tokenizer.pattern


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["train", "absent.txt", "--vocab-size", "300", "--to", "x"], "absent.txt: there is no"),
        (["train", "t.txt", "--vocab-size", "256", "--to", "x"], "tokenizer.vocab_size=256"),
        (["encode", "x", "t.txt", "--to", "t.bin"], "x holds no saved tokenizer"),
        (["encode", "x", "t.txt", "--to", "t.ids"], "ends in .bin"),
        (["show", "x"], "x holds no saved tokenizer"),
    ],
)
def test_mistakes_are_told(
    text: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "t.bin").exists()


@pytest.fixture
def trained(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with text and a tokenizer."""
    monkeypatch.chdir(tmp_path)
    assert main(["train", "t.txt", "--vocab-size", "270", "--to", "tok"]) == 0
    return tmp_path


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["t.bin", "--to", "t.bin"], "would replace t.bin, which is read"),
        (["t.json", "--to", "t.bin"], "would replace t.json, which is read"),
        (["t.txt", "--to", "tok/tokenizer.bin"], "tok/tokenizer.json, which is read"),
        (["t.txt", "--to", "settings.bin"], "settings.json, which is of no token file"),
        (["t.txt", "--to", "weights.bin"], "weights.bin, which is of no token file"),
        (["t.txt", "--to", "folder.bin"], "a folder stands there"),
        (["tok", "--to", "x.bin"], "there is no such file"),
    ],
)
def test_nothing_but_a_token_file_is_replaced(
    trained: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    for name in ("t.bin", "t.json", "weights.bin"):
        (trained / name).write_text(TEXT)
    (trained / "settings.json").write_text('{"a": 1}')
    (trained / "folder.bin").mkdir()
    before = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}
    assert main(["encode", "tok", *words]) == 2
    assert told in capsys.readouterr().err
    assert {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()} == before


def test_a_saved_tokenizer_is_kept_unless_told(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Tokenizer.load("tok").hash
    assert main(["train", "t.txt", "--vocab-size", "262", "--to", "tok"]) == 2
    assert "a tokenizer is saved there" in capsys.readouterr().err
    assert Tokenizer.load("tok").hash == before
    assert main(["train", "t.txt", "--vocab-size", "262", "--to", "tok", "--force"]) == 0
    assert Tokenizer.load("tok").vocab_size == 262


@pytest.mark.parametrize("words", [["train", "--vocab-size", "270"], ["encode", "tok"]])
def test_text_there_must_be(
    trained: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    (trained / "empty.txt").touch()
    assert main([*words, "empty.txt", "--to", "new.bin"]) == 2
    assert "empty.txt: there is no text" in capsys.readouterr().err


def test_a_token_file_is_replaced_by_a_new_one(trained: Path) -> None:
    assert main(["encode", "tok", "t.txt", "--to", "t.bin"]) == 0
    (trained / "t.txt").write_text("low " * 10)
    assert main(["encode", "tok", "t.txt", "--to", "t.bin"]) == 0
    found = TokenFile.open(trained / "t.bin")
    assert np.array_equal(found.tokens, Tokenizer.load("tok").encode("low " * 10))
    names = {path.name for path in trained.iterdir()}
    assert names == {"t.txt", "tok", "t.bin", "t.json"}


def test_two_at_once_do_not_write_one_file(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Lock(trained / ".t.bin.lock"):
        assert main(["encode", "tok", "t.txt", "--to", "t.bin"]) == LockedError.exit_code
    assert "is being written by process" in capsys.readouterr().err
    assert not (trained / "t.bin").exists()


def test_more_entries_than_there_can_be_are_not_waited_for(
    trained: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["train", "t.txt", "--vocab-size", "99999999999", "--to", "other"]) == 0
    assert "no more pairs to merge" in caplog.text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["train", "t.txt", "--vocab-size", "270", "--to", "other"], "nothing was saved"),
        (["encode", "tok", "t.txt", "--to", "t.bin"], "the same command goes on from here"),
    ],
)
def test_an_interruption_is_told(
    trained: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    told: str,
) -> None:
    def interrupt(*arguments: object, **knobs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lmlab.tokenizer.train_bpe", interrupt)
    monkeypatch.setattr("lmlab.data.token_file.write_token_file", interrupt)
    assert main(words) == 130
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["train", "t.txt", "--vocab-size", "3", "--to", "x"],
        ["train", "t.txt", "--vocab-size", "300", "--threads", "100000", "--to", "x"],
    ],
)
def test_words_that_argparse_refuses(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert "error:" in capsys.readouterr().err
