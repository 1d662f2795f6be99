"""``python -m lmlab.tokenize`` from the command line."""

from __future__ import annotations

import gzip
import subprocess
import sys
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


def test_standard_input_is_encoded_like_the_file(text: Path, tmp_path: Path) -> None:
    folder, ids = tmp_path / "tok", tmp_path / "ids.bin"
    train_bpe(text, 270, ["<|endoftext|>"]).save(folder)
    for data in (TEXT.encode(), gzip.compress(TEXT.encode())):
        subprocess.run(
            [sys.executable, "-m", "lmlab.tokenize", "encode", str(folder), "-", "--to", str(ids)],
            input=data, check=True, capture_output=True,
        )  # fmt: skip
        assert TokenFile.open(ids).tokens.tolist() == Tokenizer.load(folder).encode(TEXT)


def test_special_tokens_pattern_and_a_small_text(
    text: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arguments = ["train", str(text), "--to", str(tmp_path / "tok"), "--pattern", "cl100k"]
    assert main([*arguments, "--vocab-size", "9999", "--special", "<|a|>", "<|b|>"]) == 0
    assert "no more pairs to merge" in caplog.text
    tokenizer = Tokenizer.load(tmp_path / "tok")
    assert tokenizer.special_tokens == ["<|a|>", "<|b|>"]
    assert "{1,3}" in tokenizer.pattern


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "absent.txt", "--vocab-size", "300", "--to", "x"], "absent.txt: no such file"),
        (["train", "t.txt", "--vocab-size", "256", "--to", "x"], "tokenizer.vocab_size=256"),
        (["encode", "x", "t.txt", "--to", "t.bin"], "x: no saved tokenizer"),
        (["encode", "x", "t.txt", "--to", "t.ids"], "expected a file name that ends in .bin"),
        (["show", "x"], "x: no saved tokenizer"),
    ],
)
def test_a_mistake_in_a_path_is_reported(
    text: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "t.bin").exists()


@pytest.fixture
def trained(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with text and a tokenizer."""
    monkeypatch.chdir(tmp_path)
    assert main(["train", "t.txt", "--vocab-size", "270", "--to", "tok"]) == 0
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["t.bin", "--to", "t.bin"], "would overwrite t.bin, which is an input"),
        (["t.json", "--to", "t.bin"], "would overwrite t.json, which is an input"),
        (["t.txt", "--to", "tok/tokenizer.bin"], "tok/tokenizer.json, which is an input"),
        (["t.txt", "--to", "settings.bin"], "settings.json, which is not a token file"),
        (["t.txt", "--to", "weights.bin"], "weights.bin, which is not a token file"),
        (["t.txt", "--to", "folder.bin"], "expected a file, found a folder"),
        (["tok", "--to", "x.bin"], "found one JSON value over several lines"),
    ],
)
def test_only_a_token_file_is_overwritten(
    trained: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    for name in ("t.bin", "t.json", "weights.bin"):
        (trained / name).write_text(TEXT)
    (trained / "settings.json").write_text('{"a": 1}')
    (trained / "folder.bin").mkdir()
    before = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}
    assert main(["encode", "tok", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()} == before


def test_a_saved_tokenizer_is_overwritten_only_by_force(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Tokenizer.load("tok").hash
    assert main(["train", "t.txt", "--vocab-size", "262", "--to", "tok"]) == 2
    assert "a tokenizer is already saved there" in capsys.readouterr().err
    assert Tokenizer.load("tok").hash == before
    assert main(["train", "t.txt", "--vocab-size", "262", "--to", "tok", "--force"]) == 0
    assert Tokenizer.load("tok").vocab_size == 262


@pytest.mark.parametrize("arguments", [["train", "--vocab-size", "270"], ["encode", "tok"]])
def test_an_empty_text_is_refused(
    trained: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    (trained / "empty.txt").touch()
    assert main([*arguments, "empty.txt", "--to", "new.bin"]) == 2
    assert "empty.txt: the text is empty" in capsys.readouterr().err


def test_a_token_file_is_overwritten(trained: Path) -> None:
    assert main(["encode", "tok", "t.txt", "--to", "t.bin"]) == 0
    (trained / "t.txt").write_text("low " * 10)
    assert main(["encode", "tok", "t.txt", "--to", "t.bin"]) == 0
    found = TokenFile.open(trained / "t.bin")
    assert np.array_equal(found.tokens, Tokenizer.load("tok").encode("low " * 10))
    names = {path.name for path in trained.iterdir()}
    assert names == {"t.txt", "tok", "t.bin", "t.json"}


def test_a_token_file_has_one_writer(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Lock(trained / ".t.bin.lock"):
        assert main(["encode", "tok", "t.txt", "--to", "t.bin"]) == LockedError.exit_code
    assert ": being written by process" in capsys.readouterr().err
    assert not (trained / "t.bin").exists()


def test_a_vocabulary_larger_than_the_text_allows_ends_early(
    trained: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["train", "t.txt", "--vocab-size", "99999999999", "--to", "other"]) == 0
    assert "no more pairs to merge" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "t.txt", "--vocab-size", "270", "--to", "other"], "nothing was saved"),
        (["encode", "tok", "t.txt", "--to", "t.bin"], "rerun the command to resume"),
    ],
)
def test_an_interruption_says_how_to_continue(
    trained: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    def interrupt(*arguments: object, **keywords: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lmlab.tokenizer.train_bpe", interrupt)
    monkeypatch.setattr("lmlab.data.token_file.write_token_file", interrupt)
    assert main(arguments) == 130
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected one of train, encode, show"),
        (["tain", "t.txt"], 'did you mean "train"?'),
        (["train", "t.txt", "--to", "x"], "missing required option vocab_size=N"),
        (["train", "--vocab-size", "300", "--to", "x"], "missing required argument FILE"),
        (["train", "t.txt", "--vocab-size", "3", "--to", "x"],
         "vocab_size=3: expected an integer of 256 or more"),
        (["train", "t.txt", "--vocab-size", "300", "--threads", "100000", "--to", "x"],
         "threads=100000: expected an integer from 1 to 256, or null"),
        (["train", "t.txt", "--vocab-size", "300", "--pattern", "gpt3", "--to", "x"],
         "pattern=gpt3: expected one of gpt2, cl100k, llama3"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_options_is_reported(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error


def test_options_can_be_typed_as_key_value(trained: Path) -> None:
    assert main(["train", "t.txt", "vocab_size=265", "to=other", "special=<|a|>"]) == 0
    tokenizer = Tokenizer.load("other")
    assert (tokenizer.vocab_size, tokenizer.special_tokens) == (265, ["<|a|>"])
    assert main(["encode", "other", "t.txt", "to=t.bin"]) == 0


def test_entries_of_any_length_fit_on_a_screen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long_words = tmp_path / "long.txt"
    long_words.write_text("a" * 400_000 + " " + "é" * 200_000)
    arguments = ["train", str(long_words), "--vocab-size", "285", "--to", str(tmp_path / "t")]
    assert main(arguments) == 0
    tokenizer = Tokenizer.load(tmp_path / "t")
    assert max(tokenizer.token_byte_lengths) > 8_000
    specials = ["--special", *(f"<|special {number}|>" for number in range(200))]
    assert main([*arguments[:3], "500", "--to", str(tmp_path / "s"), *specials]) == 0
    for folder in ("t", "s"):
        assert main(["show", str(tmp_path / folder), "--split", "a" * 400_000, "é b" * 9000]) == 0
    printed = capsys.readouterr()
    assert len(printed.out) < 40 * 400 and len(printed.err) < 2000
    assert "200000 bytes" not in printed.out and " ...\n" in printed.out


def test_the_token_that_ends_a_text_is_named(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = ["train", str(text), "--vocab-size", "270", "--special", "<|stop|>", "<|other|>"]
    assert main([*train, "--end-of-text", "<|stop|>", "--to", str(tmp_path / "t")]) == 0
    assert main(["show", str(tmp_path / "t")]) == 0
    assert "ends of texts: <|stop|> (268)" in capsys.readouterr().out
    assert Tokenizer.load(tmp_path / "t").end_of_text_id == 268
    assert main([*train, "--end-of-text", "<|stp|>", "--to", str(tmp_path / "u")]) == 2
    assert 'did you mean "<|stop|>"?' in capsys.readouterr().err
    assert not (tmp_path / "u").exists()
