"""A mixture prepares its sources, names them in messages, and finds texts that leak."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from lmlab.data.mixed_corpus import MixedCorpus
from lmlab.data.mixture import Mixture
from lmlab.data.text_survey import survey
from lmlab.errors import ConfigError, DataError
from lmlab.tokenizer.factories import bpe, ids_only

TEXT, STORIES = "lmlab.data.sources.TextFiles", "lmlab.data.sources.ToyStories"
IDS = "lmlab.data.token_sources.TokenFiles"
END = "<|endoftext|>"


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, dict[str, Any]]:
    for name in ("books", "news"):
        documents = (f"{name} {number} say hello." for number in range(60))
        (tmp_path / f"{name}.txt").write_text("".join(one + END for one in documents))
    lines = (json.dumps({"body": f"def f{number}(): pass"}) + "\n" for number in range(40))
    (tmp_path / "code.jsonl").write_text("".join(lines))
    return {
        "news": {"_target_": TEXT, "train": str(tmp_path / "news.txt"), "valid_fraction": 0.2},
        "books": {"_target_": TEXT, "train": str(tmp_path / "books.txt"), "valid_fraction": 0.2},
        "code": {
            "_target_": TEXT, "train": str(tmp_path / "code.jsonl"), "column": "body",
            "valid_fraction": 0.3,
        },
    }  # fmt: skip


def prepare(tmp_path: Path, sources: Any, weights: Any = None, **more: Any) -> MixedCorpus:
    weights = weights or dict.fromkeys(sources, 1)
    return Mixture(tmp_path / "cache", sources=sources, weights=weights, **more).prepare()


def test_each_split_is_that_of_the_source_alone(tmp_path: Path, sources: Any) -> None:
    corpus = prepare(tmp_path, sources, {"news": 1, "books": 2, "code": 0.5})
    assert corpus.name == "books+code+news" and list(corpus.sources) == ["books", "code", "news"]
    tokenizer = bpe(corpus.train, tmp_path, corpus.train_text_hash, vocab_size=280,
                    special_tokens=[END])  # fmt: skip
    for split in ("train", "valid"):
        ids = corpus.splits[split].encode(tokenizer, tmp_path, name=split)
        start = 0
        for part in ids.parts:  # type: ignore[attr-defined]
            alone = corpus.sources[part.name].splits[split]
            expected = alone.encode(tokenizer, tmp_path, name=split).tokens
            assert ids.tokens[start : start + len(expected)].tolist() == expected.tolist()
            start += len(expected)
        assert start == ids.num_tokens
    shares = {part.name: float(part.share) for part in ids.parts}  # type: ignore[attr-defined]
    assert shares == dict.fromkeys(["books", "code", "news"], 1 / 3), "the losses count equally"


def test_the_identity_is_that_of_texts_names_and_shares(tmp_path: Path, sources: Any) -> None:
    weights = {"news": 1, "books": 2, "code": 1}
    first = prepare(tmp_path, sources, weights)
    same = prepare(
        tmp_path, dict(reversed(sources.items())), {"code": 0.1, "books": 0.2, "news": 0.1}
    )
    assert (first.train_hash, first.valid_hash) == (same.train_hash, same.valid_hash)
    other = prepare(tmp_path, sources, weights | {"books": 3})
    assert other.train_hash != first.train_hash
    assert other.valid_hash == first.valid_hash, "runs with other weights are measured alike"
    assert other.train_text_hash == first.train_text_hash, "and have the same tokenizer"
    assert prepare(tmp_path, sources, weights, valid_weights=weights).valid_hash != first.valid_hash
    renamed = prepare(tmp_path, {"n" if k == "news" else k: v for k, v in sources.items()})
    assert renamed.train_hash != prepare(tmp_path, sources).train_hash


def test_a_tokenizer_is_trained_on_the_text_of_all(tmp_path: Path, sources: Any) -> None:
    corpus = prepare(tmp_path, sources)
    assert survey(corpus.train).text_hash == corpus.train_text_hash
    tokenizer = bpe(corpus.train, tmp_path, corpus.train_text_hash, vocab_size=300,
                    special_tokens=[END])  # fmt: skip
    vocabulary = {tokenizer.token_bytes(id) for id in range(300)}
    assert {b" say", b"def", b"books"} <= vocabulary


def test_errors_name_the_source(tmp_path: Path, sources: Any) -> None:
    sources["news"]["train"] = str(tmp_path / "data.txt")
    with pytest.raises(DataError) as refused:
        Mixture(tmp_path, sources=sources, weights=dict.fromkeys(sources, 1)).check()
    assert refused.value.message.startswith(
        f"data.sources.news.train={tmp_path / 'data.txt'}: no such file"
    )
    sources["news"] |= {"train": sources["books"]["train"], "valid_fraction": 2}
    with pytest.raises(ConfigError, match=r"^data\.sources\.news\.valid_fraction=2: expected"):
        prepare(tmp_path, sources)
    with pytest.raises(ConfigError, match=r"data\.weights\.code: expected a weight"):
        Mixture(tmp_path, sources=sources, weights={"news": 1, "books": 1})


def test_a_text_that_is_named_twice_is_refused(tmp_path: Path, sources: Any) -> None:
    copy = tmp_path / "copy.txt"
    copy.write_text((tmp_path / "books.txt").read_text())
    twice = {"a": sources["books"], "b": sources["books"] | {"train": str(copy)}}
    with pytest.raises(DataError, match=r"sources\.b: expected a text of its own") as refused:
        prepare(tmp_path, twice)
    assert "its weight says how often" in str(refused.value.help)


def test_documents_that_another_source_holds_out_are_counted(
    tmp_path: Path, sources: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    prepare(tmp_path, sources)
    assert "hold out" not in caplog.text
    held_out = tmp_path / "held.txt"
    held_out.write_text("".join(f"books {n} say hello.{END}" for n in range(5)) + f"new.{END}")
    leaking = sources | {"news": sources["news"] | {"valid": str(held_out)}}
    sources["books"]["valid"] = sources["code"]["valid"] = str(tmp_path / "own.txt")
    (tmp_path / "own.txt").write_text(f"own{END}")
    leaking["books"] = {**sources["books"]}
    for _ in range(2):  # the second time, what was found is remembered
        caplog.clear()
        prepare(tmp_path, {"news": leaking["news"], "books": leaking["books"]})
        assert (
            "data.sources.books: its training text has 5 documents that news hold out"
            in caplog.text
        )


def test_ids_and_stories_are_sources_too(tmp_path: Path, sources: Any) -> None:
    ids = tmp_path / "ids.bin"
    ids.write_bytes(bytes(range(250)) * 8)
    stories = {"_target_": STORIES, "num_train_documents": 9, "num_valid_documents": 3, "seed": 0}
    tales = prepare(tmp_path, {"tales": stories, "books": sources["books"]})
    assert tales.probe_items(2) and tales.floor is None
    assert prepare(tmp_path, sources).probe_items(2) == {}
    of_ids = {"_target_": IDS, "train": str(ids), "vocab_size": 70_000, "dtype": "uint16"}
    mixture = Mixture(
        tmp_path, sources={"ids": of_ids, "books": sources["books"]}, weights={"ids": 1, "books": 1}
    )
    assert not mixture.has_text
    with pytest.raises(ConfigError, match="expected ids, but the data are text"):
        ids_only(mixture.prepare().train, tmp_path, "", vocab_size=70_000)
