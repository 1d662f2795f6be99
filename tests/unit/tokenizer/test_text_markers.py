"""Which tokens end and start a text: by name, by setting, and as other libraries' files say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lmlab.errors import ConfigError, DataError
from lmlab.tokenizer import Tokenizer, convert
from lmlab.tokenizer.factories import byte_level, saved

BYTES = {byte: bytes([byte]) for byte in range(256)}


def tokenizer(*specials: str) -> Tokenizer:
    return Tokenizer(BYTES, [], specials)


@pytest.mark.parametrize(
    ("specials", "end", "start"),
    [
        (["<|endoftext|>"], 256, 256),
        (["<|pad|>", "</s>"], 257, 257),
        (["</s>", "<|endoftext|>"], 257, 257),  # the usual name is meant where it occurs
        (["<|end_of_text|>", "<|user|>"], 256, 256),
        (["<|user|>"], None, ord("\n")),
        ([], None, ord("\n")),  # not NUL, which no text starts with
    ],
)
def test_names_say_which_token_ends_a_text(specials: list[str], end: int, start: int) -> None:
    made = tokenizer(*specials)
    assert (made.end_of_text_id, made.start_id) == (end, start)


def test_a_setting_names_the_token_and_is_saved(tmp_path: Path) -> None:
    plain = tokenizer("<|endoftext|>", "<|stop|>")
    made = byte_level(
        [], tmp_path, "h", special_tokens=["<|endoftext|>", "<|stop|>"], end_of_text="<|stop|>"
    )
    assert (made.end_of_text_id, plain.end_of_text_id) == (257, 256)
    assert made.hash == plain.hash, "the ids of a text are the same"
    for form in ("lmlab", "hf", "gpt2"):
        convert.write(made, tmp_path / form, form)
        if form == "hf":
            convert.write_config(made, tmp_path / form)
        again = saved([], tmp_path, "h", path=str(tmp_path / form))
        assert (again.end_of_text_id, again.start_id, again.hash) == (257, 257, made.hash), form
    other = saved([], tmp_path, "h", path=str(tmp_path / "lmlab"), end_of_text="<|endoftext|>")
    assert other.end_of_text_id == 256
    with pytest.raises(ConfigError, match=r"tokenizer\.end_of_text=<\|stp\|>: expected one of"):
        saved([], tmp_path, "h", path=str(tmp_path / "hf"), end_of_text="<|stp|>")
    with pytest.raises(ConfigError, match=r"special tokens of the tokenizer: <\|endoftext\|>"):
        byte_level([], tmp_path, "h", special_tokens=["<|endoftext|>"], end_of_text="</s>")


@pytest.mark.parametrize(
    ("files", "ends", "start"),
    [
        ({"generation_config.json": {"eos_token_id": [258, 257]}}, (258, 257), 258),
        ({"config.json": {"eos_token_id": 257, "bos_token_id": 256}}, (257,), 256),
        # What generation reads counts first; GPT-2's default beyond the vocabulary does not.
        (
            {
                "generation_config.json": {"eos_token_id": 258},
                "config.json": {"eos_token_id": 257, "bos_token_id": 50256},
            },
            (258,),
            258,
        ),
        ({"config.json": {"eos_token_id": 50256}}, (257,), 257),
        ({"tokenizer_config.json": {"eos_token": "<a>", "bos_token": None}}, (256,), 256),
        ({"tokenizer_config.json": {"eos_token": {"content": "<b>"}}}, (258,), 258),
        ({"special_tokens_map.json": {"eos_token": "<b>", "bos_token": "<a>"}}, (258,), 256),
        ({"config.json": {"eos_token_id": None}}, (257,), 257),
        ({"config.json": {"eos_token_id": 65}}, (65,), 65),  # an ordinary entry
        ({}, (257,), 257),
    ],
)
@pytest.mark.parametrize("times", [1, 60])  # also large enough to be kept parsed
def test_the_files_of_a_folder_say_how_its_texts_end(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, Any],
    ends: tuple[int, ...],
    start: int,
    times: int,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    merges = [
        (bytes([a]), bytes([b])) for a in range(97, 97 + times) for b in range(65, 65 + times)
    ]
    merges = merges if times > 1 else []
    base = BYTES | {256: b"<a>", 257: b"</s>", 258: b"<b>"}
    vocab = base | {259 + index: left + right for index, (left, right) in enumerate(merges)}
    made = Tokenizer(vocab, merges, ["<a>", "</s>", "<b>"])
    convert.write(made, tmp_path, "hf")
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    for _ in range(2):
        read = Tokenizer.load(tmp_path)
        assert (read.markers.ends, read.start_id) == (ends, start)
        assert read.hash == made.hash
    read.save(tmp_path / "again")
    again = Tokenizer.load(tmp_path / "again")
    assert (again.markers.ends, again.start_id) == (ends, start)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    convert.write(tokenizer("</s>"), tmp_path, "hf")
    for content, message in (("{", "cannot be read as JSON"), ('{"eos_token_id": "a"}', "'a'")):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(DataError, match=rf"config\.json: .*{message}"):
            Tokenizer.load(tmp_path)
