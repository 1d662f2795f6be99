"""Texts in a row are read by the rules of each, and hashed so that each keeps its hash."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lmlab.data.text_survey import survey
from lmlab.records.mixed_text import MixedText
from lmlab.records.text import Text
from lmlab.storage.io import hash_json
from lmlab.tokenizer import bpe_training
from lmlab.tokenizer.bpe_training import count_words

END = "<|endoftext|>"


@pytest.fixture
def texts(tmp_path: Path) -> list[Text]:
    plain, lines, records = (tmp_path / name for name in ("a.txt", "b.txt", "c.jsonl"))
    plain.write_text(f"the cat sat{END}the dog ran, no marker follows")
    lines.write_text("one line\nanother line\n")
    records.write_text("".join(json.dumps({"body": f"the cat {n}"}) + "\n" for n in range(5)))
    return [
        Text.of([plain, plain], "data.train"),
        Text((), documents="line", key="data.train").with_files([lines]),
        Text((), column="body", key="data.train").with_files([records]),
        Text((), documents="file", key="data.train").with_files([lines]),
    ]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (0, 2), (1, 0), (3, 2), (2, 3, 0)])
def test_the_hash_is_that_of_the_hashes(texts: list[Text], order: tuple[int, ...]) -> None:
    chosen = [texts[index] for index in order]
    found = survey(MixedText.of_texts(chosen))
    alone = [survey(text) for text in chosen]
    assert found.text_hash == hash_json([one.text_hash for one in alone])
    assert found.num_documents == sum(one.num_documents for one in alone)
    assert found.num_bytes == sum(one.num_bytes for one in alone)


@pytest.mark.parametrize("compiled", [True, False])
def test_words_are_those_of_each_text(
    texts: list[Text], compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not compiled:
        monkeypatch.setattr(bpe_training.pretoken_counting, "count_words", lambda *_, **__: None)
    monkeypatch.setattr(bpe_training, "is_cached", lambda _: True)
    expected: dict[bytes, int] = {}
    for text in texts[:3]:
        for word, count in count_words(text, [END]):
            expected[word] = expected.get(word, 0) + count
    assert dict(count_words(MixedText.of_texts(texts[:3]), [END])) == expected
    assert expected[b" cat"] == 7


def test_one_text_stays_itself_and_empty_ones_are_left_out(texts: list[Text]) -> None:
    assert MixedText.of_texts([Text(()), texts[1]]) is texts[1]
    mixed = MixedText.of_texts([texts[0], Text(()), texts[2]])
    assert mixed.paths == texts[0].paths + texts[2].paths
    assert mixed.size() == texts[0].size() + texts[2].size()
    assert [mixed.begins_text(index) for index in range(4)] == [False, False, True, False]
    assert mixed.has_documents() and mixed.named(mixed.files[2]).startswith("data.train=")
    assert not MixedText.of_texts([]).files
