"""The text of the last word: apart from what runs read, and used by one ledger."""

from __future__ import annotations

from pathlib import Path

import pytest
from judged_ideas import started

from lmlab.errors import ConfigError, DataError
from lmlab.judge.held_out import check_unused, read_final_text
from lmlab.judge.ledger import Ledger

Texts = tuple[Path, Path]


@pytest.fixture
def apart(tmp_path: Path) -> Path:
    file = tmp_path / "apart.txt"
    file.write_text("".join(f"Fable {n}. A bird sang.\n<|endoftext|>\n" for n in range(9)))
    return file


def test_a_text_is_known_by_its_documents(apart: Path, tmp_path: Path) -> None:
    _, digest, documents = read_final_text(str(apart))
    assert len(documents) == 9
    copy = tmp_path / "copy.txt"
    copy.write_bytes(apart.read_bytes())
    assert read_final_text(str(copy))[1] == digest
    copy.write_bytes(apart.read_bytes().replace(b"bird", b"frog"))
    assert read_final_text(str(copy))[1] != digest
    with pytest.raises(DataError, match="final_text=absent"):
        read_final_text("absent.txt")


@pytest.mark.parametrize("split", [0, 1])
def test_a_text_that_runs_read_is_refused(tmp_path: Path, texts: Texts, split: int) -> None:
    with pytest.raises(ConfigError, match="documents are in the") as caught:
        started(tmp_path, texts, final_text=str(texts[split]))
    assert ("training", "validation")[split] in caught.value.message
    assert not (tmp_path / "outputs" / "judge").exists()


def test_one_document_in_common_is_refused(tmp_path: Path, texts: Texts, apart: Path) -> None:
    first = texts[0].read_text().partition("<|endoftext|>")[0]
    apart.write_text(f"{apart.read_text()}{first}<|endoftext|>\n")
    with pytest.raises(ConfigError, match="1 of its 10 documents are in the training text"):
        started(tmp_path, texts, final_text=str(apart))


def test_a_text_that_another_ledger_has_used_is_refused(
    tmp_path: Path, texts: Texts, apart: Path
) -> None:
    ledger, stream = started(tmp_path, texts, final_text=str(apart))
    digest = stream.terms.pins["final text"]
    beside = Ledger(ledger.folder.parent / "other")
    check_unused(digest, beside, str(apart))
    ledger.append("closed", {"seeds": []})
    check_unused(digest, ledger, str(apart))
    with pytest.raises(ConfigError, match="has used this text"):
        check_unused(digest, beside, str(apart))
    check_unused("another text", beside, str(apart))
