"""Hugging Face's tokenizers are read exactly, or rejected by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from interchange import STORY, three
from tokenizers import Regex, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as HfTokenizer

from lmlab.errors import DataError
from lmlab.tokenizer import convert


def saved_by_hf(folder: Path, **changes: Any) -> Path:
    """A tokenizer trained and saved by Hugging Face's library."""
    tokenizer = HfTokenizer(models.BPE())
    tokenizer.pre_tokenizer = changes.get("cut", pre_tokenizers.ByteLevel(add_prefix_space=False))
    tokenizer.decoder = decoders.ByteLevel()
    if "normalizer" in changes:
        tokenizer.normalizer = changes["normalizer"]
    from tokenizers.trainers import BpeTrainer

    trainer = BpeTrainer(
        vocab_size=350, special_tokens=["<|endoftext|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator([STORY] * 3, trainer)
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    return path


DIGITS = pre_tokenizers.Sequence(
    [
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False),
    ]
)


def isolating(pattern: str) -> Any:
    """Split into the matches of a pattern and the text between them."""
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([split, to_bytes])


@pytest.mark.parametrize(
    "cut",
    [pre_tokenizers.ByteLevel(add_prefix_space=False), DIGITS, isolating(r" ?[^\s.,!?]+"),
     isolating("\n"), isolating(r"(\d)(\d)?")],
)  # fmt: skip
def test_tokenizers_trained_by_hugging_face_give_the_same_ids(tmp_path: Path, cut: Any) -> None:
    theirs = HfTokenizer.from_file(str(saved_by_hf(tmp_path, cut=cut)))
    ours = convert.read(tmp_path)
    assert ours.special_tokens == ["<|endoftext|>"]
    text = STORY + "a  12 345x1\n 6  \n7<|endoftext|> 8" + "  9"
    assert ours.encode(text) == theirs.encode(text, add_special_tokens=False).ids
    # Written again by lmlab, it still gives the same ids.
    again, hf, _ = three(ours, tmp_path / "again")
    assert hf.encode(text).ids == again.encode(text) == ours.encode(text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda saved: saved.update(normalizer={"type": "NFC"}), "normalizer"),
        (lambda saved: saved["model"].update(type="Unigram"), "model.type"),
        (lambda saved: saved["model"].update(byte_fallback=True), "byte_fallback"),
        (lambda saved: saved["model"].update(dropout=0.1), "dropout"),
        (lambda saved: saved["model"].update(end_of_word_suffix="</w>"), "end_of_word_suffix"),
        (lambda saved: saved["added_tokens"][0].update(lstrip=True), "lstrip"),
        (lambda saved: saved["added_tokens"][0].update(special=False), "special"),
        (lambda saved: saved["pre_tokenizer"].update(add_prefix_space=True), "add_prefix_space"),
        (lambda saved: saved["pre_tokenizer"].update(use_regex=False), "pre_tokenizer"),
        (lambda saved: saved.update(pre_tokenizer={"type": "Whitespace"}), "pre_tokenizer"),
        (lambda saved: saved["model"].update(ignore_merges=True), "ignore_merges"),
        (lambda saved: saved["model"]["vocab"].update({"東": 350}), "alphabet"),
        (lambda saved: saved["model"]["vocab"].update({"zzzz": 400}), "ids: expected 0 to"),
    ],
)
def test_unsupported_settings_are_refused_by_name(
    tmp_path: Path, change: Any, message: str
) -> None:
    path = saved_by_hf(tmp_path)
    saved = json.loads(path.read_text())
    if (
        message == "ignore_merges"
    ):  # an entry without a merge, found only by looking up the full pre-token
        saved["model"]["vocab"]["qqq"] = len(saved["model"]["vocab"])
    change(saved)
    path.write_text(json.dumps(saved))
    with pytest.raises(DataError, match=message):
        convert.read(tmp_path)
