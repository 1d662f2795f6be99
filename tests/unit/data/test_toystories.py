from __future__ import annotations

import math
from pathlib import Path

import pytest

from lmlab.data import toystories
from lmlab.data.toystories import SEPARATOR, documents, log_prob, write_corpus


def corpus(folder: Path, seed: int = 0):
    return write_corpus(folder, num_train=300, num_valid=100, seed=seed)


def test_splits_are_disjoint_and_the_floor_is_their_sum(tmp_path: Path) -> None:
    found = corpus(tmp_path)
    train, valid = (paths[0].read_text() for paths in (found.train.paths, found.valid.paths))
    assert len(documents(train)) == 300
    held_out = documents(valid)
    assert len(set(held_out)) == 100
    assert not set(held_out) & set(documents(train))
    assert found.floor is not None
    assert found.floor.nats == pytest.approx(-sum(log_prob(story) for story in held_out))
    assert found.floor.text_bytes == len(valid.replace("<|endoftext|>", "").encode())
    bits = found.floor.nats / math.log(2)
    assert found.floor.bits_per_byte == pytest.approx(bits / found.floor.text_bytes)
    assert valid.endswith(SEPARATOR)


def test_a_training_story_is_never_held_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Real stories rarely repeat by chance; of these forty, half are in the training text.
    monkeypatch.setattr(toystories, "generate", lambda chance: f"story {chance.randrange(40)}")
    monkeypatch.setattr(toystories, "log_prob", lambda story: -1.0)
    found = write_corpus(tmp_path, num_train=30, num_valid=10, seed=0)
    train, valid = (documents(p[0].read_text()) for p in (found.train.paths, found.valid.paths))
    assert len(set(train)) < len(train) == 30
    assert len(set(valid)) == len(valid) == 10
    assert not set(train) & set(valid)


def test_the_same_seed_writes_the_same_text(tmp_path: Path) -> None:
    first, again = corpus(tmp_path / "a"), corpus(tmp_path / "b")
    assert (first.train_hash, first.valid_hash) == (again.train_hash, again.valid_hash)
    written = first.train.paths[0].stat().st_mtime_ns
    assert corpus(tmp_path / "a").train.paths[0].stat().st_mtime_ns == written
    other = corpus(tmp_path / "a", seed=1)
    assert other.train_hash != first.train_hash
    assert other.valid_hash != first.valid_hash


def test_questions_are_about_held_out_stories(tmp_path: Path) -> None:
    items = corpus(tmp_path).probe_items(5)
    (path,) = tmp_path.glob("toystories/*/valid.txt")
    text = path.read_text()
    for of_probe in items.values():
        assert len(of_probe) == 5
        for item in of_probe:
            assert item.context.startswith("<|endoftext|>\n")
            # The first story has no separator before it.
            assert item.context + item.right in f"<|endoftext|>\n{text}"
