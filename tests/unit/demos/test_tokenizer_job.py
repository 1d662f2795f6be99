"""Measurement of one tokenizer in a separate process."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmlab.demos.tokenizer_job import measure, run
from lmlab.errors import DataError
from lmlab.tokenizer import Tokenizer, train_bpe

TEXT = "low lower lowest<|endoftext|>newest widest\n" * 200


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "t.txt"
    path.write_text(TEXT)
    return path


def test_a_job_saves_the_tokenizer_and_measures_its_phases(text: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer").mkdir()
    result = measure(text, 265, tmp_path / "tokenizer")
    expected = train_bpe(text, 265, ["<|endoftext|>"])
    assert Tokenizer.load(tmp_path / "tokenizer").hash == expected.hash
    names = ["counting words", "learning merges", "saving", "encoding the text to a file"]
    assert [phase.name for phase in result.phases] == names
    assert all(phase.seconds > 0 and phase.peak_mb > 5 for phase in result.phases)
    assert result.text_bytes == len(TEXT)
    assert len(result.encoding_mb_per_s) == 3
    # "low", " lower", " lowest", "newest", " widest"; the newline is one byte.
    assert (result.distinct_words, result.word_bytes) == (5, 3 + 6 + 7 + 6 + 7)
    middle = sorted(result.encoding_mb_per_s)[1]
    assert result.phases[-1].seconds == pytest.approx(len(TEXT) / 1e6 / middle)


def test_a_vocabulary_without_merges_has_no_least_count(text: Path, tmp_path: Path) -> None:
    assert run(text, 257, tmp_path)["floor"] == 0


def test_a_failed_job_reports_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"training a tokenizer on .*absent.txt failed: .*absent"):
        measure(tmp_path / "absent.txt", 265, tmp_path)
