from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lmlab.errors import DataError
from lmlab.tokenizer import Tokenizer, factories
from lmlab.tokenizer.factories import bpe, byte_level, saved
from lmlab.tokenizer.formats.byte_alphabet import to_printable

BYTES = {i: bytes([i]) for i in range(256)}
MERGES = [(b"a", b"b"), (b"ab", b"c")]
VOCAB = BYTES | {256: b"ab", 257: b"abc"}


def tokenizer(**changes: object) -> Tokenizer:
    knobs: dict[str, object] = {"vocab": VOCAB, "merges": MERGES, "special_tokens": ["<|x|>"]}
    return Tokenizer(**knobs | changes)  # type: ignore[arg-type]


def test_a_saved_tokenizer_comes_back_whole(tmp_path: Path) -> None:
    ours = tokenizer(pattern=r"\w+|\W")
    ours.save(tmp_path)
    back = Tokenizer.load(tmp_path)
    assert back.hash == ours.hash
    assert (back.vocab, back.merges) == (ours.vocab, ours.merges)
    assert (back.special_tokens, back.pattern) == (ours.special_tokens, ours.pattern)
    text = "abc ab<|x|>cab"
    assert back.encode(text) == ours.encode(text)


def test_a_merge_that_stands_there_twice_counts_where_it_stands_first() -> None:
    vocab = BYTES | {256: b"ab", 257: b"bc"}
    twice = Tokenizer(vocab, [(b"a", b"b"), (b"b", b"c"), (b"a", b"b")])
    assert twice.encode("abc") == [256, ord("c")]


def test_loading_and_encoding_a_line_imports_little(tmp_path: Path) -> None:
    tokenizer().save(tmp_path)
    program = (
        "import sys\nfrom lmlab.tokenizer import Tokenizer\n"
        "print(Tokenizer.load(sys.argv[1]).encode('abc'))\n"
        "print(sorted({'numpy', 'numba', 'llvmlite', 'tqdm', 'torch'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[257]", "[]"]


def test_the_hash_sees_everything_that_behaviour_depends_on() -> None:
    swapped = BYTES | {256: b"abc", 257: b"ab"}
    hashes = {
        tokenizer().hash,
        tokenizer(merges=MERGES[:1]).hash,
        tokenizer(special_tokens=["<|y|>"]).hash,
        tokenizer(special_tokens=None).hash,
        tokenizer(pattern=r"\w+|\W").hash,
        tokenizer(vocab=swapped).hash,
    }
    assert len(hashes) == 6
    assert tokenizer().hash == tokenizer().hash


def test_any_order_of_ids_will_do() -> None:
    shuffled = {(i * 7) % 256: value for i, value in BYTES.items()} | {256: b"ab", 257: b"abc"}
    ours = tokenizer(vocab=shuffled)
    assert ours.encode("abc") == [257]
    assert ours.decode(ours.encode("zabxé")) == "zabxé"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"vocab": {i: v for i, v in VOCAB.items() if i != 7}},
            "expected 0 to 256, but 7 is missing",
        ),
        (
            {"vocab": VOCAB | {65: b"zz"}},
            "1 of the 256 single bytes are missing, the first of them 0x41",
        ),
        ({"merges": [(b"q", b"r")]}, r"merge 0, b'q' \+ b'r': b'qr' is not in the vocabulary"),
        ({"special_tokens": ["<|x|>", ""]}, "special token ''"),
        ({"special_tokens": ["\ud800"]}, "lone surrogate"),
        ({"pattern": "("}, r"pattern='\(': expected a regular expression"),
        ({"pattern": 5}, "pattern=5: expected"),
        (
            {"vocab": {float(i): v for i, v in VOCAB.items()}},
            "vocabulary id 0.0: expected an integer",
        ),
    ],
)
def test_a_vocabulary_that_does_not_hold_together(changes: dict[str, object], told: str) -> None:
    with pytest.raises(DataError, match=told):
        tokenizer(**changes)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: text.replace('"vocab_size": 259', '"vocab_size": 258'),
        lambda text: text.replace("6162 63", "6162"),
        lambda text: text.replace('"format_version": 1', '"format_version": 2'),
        lambda text: text.replace('"pattern"', '"patern"'),
        lambda text: text.replace('"pattern": "', '"pattern": "('),
        lambda text: text.replace("<|x|>", "<|y|>"),
        lambda text: text.replace("<|x|>", "\\ud800"),
        lambda text: text.replace('"special_tokens": [', '"special_tokens": ["", '),
        lambda text: "[" * 100_000,
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, damage) -> None:
    tokenizer().save(tmp_path)
    path = tmp_path / "tokenizer.json"
    assert damage(path.read_text()) != path.read_text()
    path.write_text(damage(path.read_text()))
    with pytest.raises(DataError, match=r"tokenizer\.json"):
        Tokenizer.load(tmp_path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no saved tokenizer"):
        Tokenizer.load(tmp_path)


def test_files_of_gpt2_form_are_read(tmp_path: Path) -> None:
    printable = {i: chr(i) for i in [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]}
    hidden = [i for i in range(256) if i not in printable]
    printable |= {byte: chr(256 + n) for n, byte in enumerate(hidden)}
    vocab = {printable[i]: i for i in range(256)} | {"Ġa": 256, "<|endoftext|>": 257}
    (tmp_path / "vocab.json").write_text(json.dumps(vocab))
    (tmp_path / "merges.txt").write_text("#version: 0.2\nĠ a\n", encoding="utf-8")
    ours = Tokenizer.load(tmp_path)
    assert ours.encode(" a\n<|endoftext|>") == [256, 10, 257]
    assert ours.decode([256, 10]) == " a\n"
    (tmp_path / "merges.txt").unlink()
    with pytest.raises(DataError, match=r"merges\.txt cannot be read"):
        Tokenizer.load(tmp_path)


GPT2_ENTRIES = [*map(to_printable, map(bytes, zip(range(256), strict=True))), "ab", "bc"]
GPT2_IDS = {text: index for index, text in enumerate(GPT2_ENTRIES)}


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_merge_that_stands_there_twice_counts_last_in_gpt2s_form(
    tmp_path: Path, line_end: str
) -> None:
    (tmp_path / "vocab.json").write_text(json.dumps(GPT2_IDS))
    lines = ["#version: 0.2", "a b", "b c", "a b", ""]
    (tmp_path / "merges.txt").write_bytes(line_end.join(lines).encode())
    assert Tokenizer.load(tmp_path).encode("abc") == [ord("a"), 257]


def odd_ids(change: Callable[[int], object]) -> str:
    return json.dumps({text: change(index) for text, index in GPT2_IDS.items()})


@pytest.mark.parametrize(
    "vocab",
    [
        "5", "null", '"abc"', "[]", "[" * 100_000, "{" , odd_ids(str), odd_ids(float),
        odd_ids(lambda index: index + 0.5), odd_ids(lambda index: None),
        odd_ids(lambda index: [index]), odd_ids(lambda index: str(index) if index % 2 else index),
        odd_ids(lambda index: index == 1 or index), odd_ids(lambda index: index - 1),
        odd_ids(lambda index: 10**30 * index),
    ],
)  # fmt: skip
def test_damaged_files_of_gpt2_form_are_refused_by_name(tmp_path: Path, vocab: str) -> None:
    (tmp_path / "merges.txt").write_text("a b\n")
    (tmp_path / "vocab.json").write_text(vocab)
    with pytest.raises(DataError, match=re.escape(str(tmp_path))):
        Tokenizer.load(tmp_path)


@pytest.mark.parametrize("listed", ["[1]", "5", '{"a": [[1]]}', '{"a": {"x": 1}}'])
def test_damaged_lists_of_special_tokens_are_refused_by_name(tmp_path: Path, listed: str) -> None:
    (tmp_path / "merges.txt").write_text("a b\n")
    (tmp_path / "vocab.json").write_text(json.dumps(GPT2_IDS))
    (tmp_path / "special_tokens_map.json").write_text(listed)
    with pytest.raises(DataError, match=re.escape(str(tmp_path))):
        Tokenizer.load(tmp_path)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("the cat and the hat and the bat " * 10)
    return path


def test_a_recipe_is_cooked_once(
    tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(corpus_hash: str = "h", vocab_size: int = 262) -> Tokenizer:
        return bpe(
            [text], tmp_path / "cache", corpus_hash,
            vocab_size=vocab_size, special_tokens=["<|endoftext|>"],
        )  # fmt: skip

    first = make()
    (file,) = (tmp_path / "cache").rglob("tokenizer.json")

    def trained_again(*arguments: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(factories, "train_bpe", trained_again)
    assert make().hash == first.hash
    for other in ({"corpus_hash": "other"}, {"vocab_size": 263}):
        with pytest.raises(AssertionError, match="trained again"):
            make(**other)  # type: ignore[arg-type]
    monkeypatch.undo()
    file.write_text(file.read_text()[:50])
    assert make().hash == first.hash, "a damaged one is made again"


def test_bytes_and_saved_recipes(tmp_path: Path, text: Path) -> None:
    plain = byte_level([text], tmp_path, "h", special_tokens=["<|endoftext|>"])
    assert plain.vocab_size == 257
    assert plain.encode("é<|endoftext|>") == [0xC3, 0xA9, 256]
    plain.save(tmp_path / "kept")
    assert saved([text], tmp_path, "h", path=str(tmp_path / "kept")).hash == plain.hash
