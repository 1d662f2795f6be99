"""Tokenizers leave and enter with the same ids: three libraries on the same hard text."""

from __future__ import annotations

import functools
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
import tiktoken
from tokenizers import Regex, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as HfTokenizer

from lmlab.errors import DataError
from lmlab.tokenizer import Tokenizer, convert, train_bpe
from lmlab.tokenizer.formats.tiktoken import to_tiktoken
from lmlab.tokenizer.unicode_classes import name_classes, spell_out_classes
from lmlab.tokenizer.vocabulary import BPEVocabulary

BYTES = {i: bytes([i]) for i in range(256)}
SPECIALS = ["<|endoftext|>", "<|user|>", "[PAD]"]
STORY = (
    "It's the low lower lowest newest widest story. We'll see 2024 of them, they've said!\n"
    "  The newest low is 1 000 lower…  naïve café — 東京 東京都 😀😀\r\n\r\n\t"
    "Ärger über Öl, ſ K Ω ﬁ \u0e01\u0e33\u0301 नमस्ते مرحبا \u200b\u200d\ufeff\u3000 x²₂½Ⅷ\n"
)


@functools.cache
def trained() -> Tokenizer:
    """A tokenizer whose merges reach into bytes of rare characters."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "text.txt"
        path.write_text(STORY * 3 + every_character()[::2000], encoding="utf-8", newline="")
        return train_bpe(path, 420, SPECIALS)


@functools.cache
def every_character() -> str:
    return "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))


def hard_text() -> str:
    """Characters of all kinds in all surroundings that the pattern looks at, and special tokens."""
    seventh = every_character()[::199] + every_character()[:0x2FF]
    around = "".join(f"a{c}b 1{c}2 !{c}? {c} \n{c}{c}'{c}ll" for c in seventh)
    return STORY.join(["", *SPECIALS, "<|endoftext|><|user|>", " <|end", ""]) + around


def three(tokenizer: Tokenizer, folder: Path) -> tuple[Tokenizer, HfTokenizer, tiktoken.Encoding]:
    (path,) = convert.write(tokenizer, folder, "hf")
    return (
        tokenizer,
        HfTokenizer.from_file(str(path)),
        tiktoken.Encoding(**to_tiktoken(tokenizer.vocabulary)),
    )


def test_ids_are_the_same_in_three_libraries(tmp_path: Path) -> None:
    ours, theirs, ranks = three(trained(), tmp_path)
    for text in (hard_text(), every_character()[::11], every_character()[1::1000]):
        ids = ours.encode(text)
        assert theirs.encode(text, add_special_tokens=False).ids == ids
        assert ranks.encode(text, allowed_special="all") == ids
        assert theirs.decode(ids, skip_special_tokens=False) == text == ranks.decode(ids)
    for name in SPECIALS:
        assert theirs.token_to_id(name) == ranks.encode_single_token(name) == ours.encode(name)[0]


def test_newer_unicode_than_a_library_knows_makes_no_difference(tmp_path: Path) -> None:
    # Some libraries take letters of Unicode 17 and 18 for unassigned, and cut around them as around
    # other signs. All characters beyond the first plane begin with one byte, here merged with "!".
    lead = "\U00010000".encode()[:1]
    tokenizer = Tokenizer(BYTES | {256: b"!" + lead}, [(b"!", lead)])
    ours, theirs, ranks = three(tokenizer, tmp_path)
    newer = [c for c in every_character() if c.encode()[:1] == lead][::50]
    text = "".join(f"a !{c}b" for c in newer)
    ids = ours.encode(text)
    assert theirs.encode(text).ids == ids == ranks.encode(text)


@pytest.mark.parametrize("form", convert.FORMATS)
def test_every_form_comes_back_whole(tmp_path: Path, form: str) -> None:
    convert.write(trained(), tmp_path / form, form)
    assert convert.read(tmp_path / form).hash == trained().hash


def test_classes_are_spelled_and_named_again() -> None:
    for pattern in (trained().pattern, r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|\[\p{N}\]|\\p{L}x"):
        spelled = spell_out_classes(pattern)
        assert r"\p{N}" not in spelled
        assert name_classes(spelled) == pattern
    assert spell_out_classes(r"\p{Zs}x") == "[ \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]x"


def saved_by_hf(folder: Path, **changes: Any) -> Path:
    """A tokenizer that Hugging Face's library trained and saved by itself."""
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
    """Cut at the matches of a pattern, which are pieces like what lies between them."""
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([split, to_bytes])


@pytest.mark.parametrize(
    "cut",
    [pre_tokenizers.ByteLevel(add_prefix_space=False), DIGITS, isolating(r" ?[^\s.,!?]+"),
     isolating("\n"), isolating(r"(\d)(\d)?")],
)  # fmt: skip
def test_tokenizers_of_others_are_read(tmp_path: Path, cut: Any) -> None:
    theirs = HfTokenizer.from_file(str(saved_by_hf(tmp_path, cut=cut)))
    ours = convert.read(tmp_path)
    assert ours.special_tokens == ["<|endoftext|>"]
    text = STORY + "a  12 345x1\n 6  \n7<|endoftext|> 8" + "  9"
    assert ours.encode(text) == theirs.encode(text, add_special_tokens=False).ids
    # And on to a form of ours, from which they read the same again.
    again, hf, _ = three(ours, tmp_path / "again")
    assert hf.encode(text).ids == again.encode(text) == ours.encode(text)


@pytest.mark.parametrize(
    ("change", "told"),
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
def test_what_lmlab_does_not_do_exactly_is_refused(tmp_path: Path, change: Any, told: str) -> None:
    path = saved_by_hf(tmp_path)
    saved = json.loads(path.read_text())
    if told == "ignore_merges":  # an entry that no merge makes, and that is looked up whole there
        saved["model"]["vocab"]["qqq"] = len(saved["model"]["vocab"])
    change(saved)
    path.write_text(json.dumps(saved))
    with pytest.raises(DataError, match=told):
        convert.read(tmp_path)


@pytest.mark.parametrize(
    ("vocab", "merges", "specials", "told"),
    [
        # "abc" is made of "a" and "bc", but by ranks of "ab" and "c".
        ({256: b"bc", 257: b"abc", 258: b"ab"}, [(b"a", b"b"), (b"b", b"c"), (b"a", b"bc")], [],
         "no exact tiktoken form"),
        ({256: b"ab"}, [], [], "no exact tiktoken form"),
        ({256: b"ab", 257: b"ab"}, [(b"a", b"b")], [], "same bytes"),
        ({}, [], ["<|x|>", "<|x|>y"], "always the longer"),
    ],
)  # fmt: skip
def test_what_tiktoken_would_encode_otherwise_is_refused(
    vocab: dict[int, bytes], merges: list[Any], specials: list[str], told: str
) -> None:
    with pytest.raises(DataError, match=told):
        to_tiktoken(BPEVocabulary(BYTES | vocab, merges, specials))


def test_names_that_the_forms_cannot_hold_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="stand for other bytes"):
        convert.write(Tokenizer(BYTES, [], ["é"]), tmp_path, "hf")
    with pytest.raises(DataError, match="both would be written 'a'"):
        convert.write(Tokenizer(BYTES | {256: b"a"}, []), tmp_path, "hf")
    with pytest.raises(DataError, match="format=gpt2: stores no pattern"):
        convert.write(Tokenizer(BYTES, [], pattern=r"\w+|\W+"), tmp_path, "gpt2")
    with pytest.raises(
        DataError,
        match=r'format=tictoken: expected one of hf, gpt2, tiktoken, lmlab\nhelp: .*"tiktoken"',
    ):
        convert.write(Tokenizer(BYTES, []), tmp_path, "tictoken")
    convert.write(trained(), tmp_path, "tiktoken")
    (tmp_path / "tokenizer.tiktoken.json").unlink()
    with pytest.raises(DataError, match="pat_str"):
        convert.read(tmp_path)
