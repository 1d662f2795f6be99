"""Planted near duplicates are counted as a comparison of all pairs counts them."""

from __future__ import annotations

import gzip
import logging
import random
from pathlib import Path

import pytest
from record_files import json_lines, parquet_by_pyarrow, plain

from lmlab.data import near_duplicates
from lmlab.data.near_duplicates import bands_of, count_near_duplicates, remembered_near_duplicates
from lmlab.data.sources import TextFiles
from lmlab.errors import ConfigError
from lmlab.records.text import Text
from lmlab.storage import file_memo

pytest.importorskip("datasketch")
WORDS = [f"word{n}" for n in range(500)]


def shingles(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[n : n + 5]) for n in range(max(1, len(words) - 4))}


def by_all_pairs(train: list[str], held_out: list[str], threshold: float) -> int:
    """How many held-out texts have a Jaccard similarity of the threshold or more to another."""
    known = [shingles(text) for text in train]
    found = 0
    for text in held_out:
        own = shingles(text)
        found += any(len(own & one) >= threshold * len(own | one) for one in known)
    return found


def edited(text: str, share: float, chance: random.Random) -> str:
    """The text with about a share of its words replaced."""
    return " ".join(
        chance.choice(WORDS) if chance.random() < share else word for word in text.split()
    )


def planted(seed: int) -> tuple[list[str], list[str]]:
    """Training and held-out documents; half of the latter are like one of the former."""
    chance = random.Random(seed)
    train = [" ".join(chance.choices(WORDS, k=chance.randrange(20, 120))) for _ in range(300)]
    train += train[:40]  # documents that are twice there count once
    held_out = []
    for number in range(120):
        if number % 2:
            held_out.append(" ".join(chance.choices(WORDS, k=60)))
        else:
            held_out.append(edited(train[number], chance.choice([0, 0.01, 0.02, 0.05]), chance))
    # Of one document many parts are in many others, which no single one is near to.
    held_out.append(" ".join(word for text in train[200:210] for word in text.split()[:12]))
    return train, held_out


@pytest.mark.parametrize("threshold", [0.5, 0.8, 1.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_planted_documents_are_counted_as_by_all_pairs(
    threshold: float, seed: int, tmp_path: Path
) -> None:
    train, held_out = planted(seed)
    expected = by_all_pairs(train, held_out, threshold)
    assert 10 < expected < 61
    forms = [(json_lines(train), plain(held_out)), (gzip.compress(plain(train)),
             parquet_by_pyarrow(held_out, row_group_size=7))]  # fmt: skip
    for number, (first, second) in enumerate(forms):
        paths = [tmp_path / f"{number}{name}" for name in ("train", "valid")]
        for path, data in zip(paths, (first, second), strict=True):
            path.write_bytes(data)
        found = count_near_duplicates(Text.of(paths[0]), Text.of(paths[1]), threshold)
        assert found == expected


def test_case_and_punctuation_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "train").write_bytes(json_lines(["One, two: three -- four (five) SIX!", "...", ""]))
    (tmp_path / "valid").write_bytes(json_lines(["one two three four five six", "---", "seven"]))
    texts = [Text.of(tmp_path / name) for name in ("train", "valid")]
    assert count_near_duplicates(*texts, 1.0) == 1


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5, 0.8, 0.95, 1.0])
def test_few_documents_at_the_threshold_are_missed(threshold: float) -> None:
    bands, rows = bands_of(threshold)
    assert bands * rows <= 128
    chance = random.Random(0)
    equal = [[chance.random() < threshold for _ in range(bands * rows)] for _ in range(3000)]
    missed = sum(
        not any(all(one[n * rows : (n + 1) * rows]) for n in range(bands)) for one in equal
    )
    assert missed / len(equal) < 0.02


def source(folder: Path, **options: object) -> TextFiles:
    options = {"train": str(folder / "train"), "valid": str(folder / "valid"), **options}
    return TextFiles(folder / "cache", **options)  # type: ignore[arg-type]


def test_the_number_is_told_and_nothing_else_changes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    train, held_out = planted(0)
    (tmp_path / "train").write_bytes(json_lines(train))
    (tmp_path / "valid").write_bytes(json_lines(held_out))
    plainly = source(tmp_path).prepare()
    told = source(tmp_path, near_duplicates=0.8).prepare()
    assert (told.train_hash, told.valid_hash) == (plainly.train_hash, plainly.valid_hash)
    expected = by_all_pairs(train, held_out, 0.8)
    assert f"data.near_duplicates=0.8: {expected} of 121 held-out documents" in caplog.text
    (tmp_path / "one").write_bytes(json_lines(train + [edited(t, 0.01, random.Random(0))
                                                       for t in train]))  # fmt: skip
    caplog.clear()
    source(
        tmp_path, train=str(tmp_path / "one"), valid=None, valid_fraction=0.1, near_duplicates=0.5
    ).prepare()
    assert "held-out documents" in caplog.text and " 0 of" not in caplog.text


def test_it_is_counted_once_for_each_state_of_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("train", "valid"):
        (tmp_path / name).write_bytes(json_lines(["a b c d e f g", name]))
    texts = [Text.of(tmp_path / name) for name in ("train", "valid")]
    monkeypatch.setattr(file_memo, "is_settled", lambda state, now: True)
    counted: list[float] = []

    def count(train: Text, valid: Text, threshold: float) -> int:
        counted.append(threshold)
        return count_near_duplicates(train, valid, threshold)

    monkeypatch.setattr(near_duplicates, "count_near_duplicates", count)
    for threshold in (0.8, 0.8, 0.9, 0.8):
        assert remembered_near_duplicates(*texts, threshold, tmp_path) == 1
    assert counted == [0.8, 0.9]
    (tmp_path / "train").write_bytes(json_lines(["other text"]))
    assert remembered_near_duplicates(*texts, 0.8, tmp_path) == 0


def test_text_without_boundaries_is_not_searched(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "train").write_text("a line of text\n" * 300)
    source(tmp_path, valid=None, near_duplicates=0.8).prepare()
    assert "not searched, as no boundary of a document is known in data.train" in caplog.text


def test_what_cannot_be_searched_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("train", "valid"):
        (tmp_path / name).write_bytes(json_lines([f"some words in {name}"]))
    for threshold in (0.0, 1.5):
        with pytest.raises(ConfigError, match=rf"near_duplicates={threshold}: expected a simil"):
            source(tmp_path, near_duplicates=threshold).check()
    monkeypatch.setattr(near_duplicates, "MOST_HELD_OUT_BYTES", 5)
    with pytest.raises(ConfigError, match=r"expected at most 5 B of held-out text, found 19 B"):
        source(tmp_path, near_duplicates=0.8).prepare()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"datasketch is not installed\n.*lmlab\[near-dup"):
        source(tmp_path, near_duplicates=0.8).check()
