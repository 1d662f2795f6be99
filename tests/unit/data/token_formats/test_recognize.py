"""Every form of one sequence of ids is recognized by its content, and read as the same ids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import token_forms
from token_forms import CHUNKED, END, FORMS, VOCAB_SIZE, documents, sequence

from lmlab.data.id_documents import IdDocuments
from lmlab.data.id_shards import open_ids
from lmlab.data.token_file import write_token_file
from lmlab.data.token_formats.paths import find_token_files
from lmlab.data.token_formats.recognize import recognize
from lmlab.data.token_formats.stored_ids import StoredIds
from lmlab.errors import DataError
from lmlab.records.text import Text
from lmlab.tokenizer.factories import byte_level


def opened(path: Path, dtype: str | None = None, size: int = VOCAB_SIZE) -> list[StoredIds]:
    paths = find_token_files("data.train", str(path), "train")
    return [recognize("data.train", one, dtype=dtype, vocab_size=size) for one in paths]


def refused_own(path: Path) -> str:
    with pytest.raises(DataError) as refused:
        opened(path)
    return refused.value.message


def refusal(path: Path, dtype: str | None = None, size: int = VOCAB_SIZE) -> DataError:
    with pytest.raises(DataError) as refused:
        opened(path, dtype, size)
    assert refused.value.message.startswith("data.train=") and refused.value.help
    return refused.value


@pytest.mark.parametrize("form", sorted({*FORMS} - {*CHUNKED}))
def test_the_ids_are_equal(form: str, tmp_path: Path) -> None:
    found = opened(FORMS[form](tmp_path))
    ids = open_ids([file.shard for file in found])
    assert np.array_equal(ids[:], sequence())
    names = {"llmc": "llm.c", "llama": "llm.c for Llama 3", "nanogpt": "raw", "array": "NumPy",
             "olmo": "OLMo", "megatron32": "Megatron"}  # fmt: skip
    assert {file.form for file in found} == {names.get(form, form.capitalize())} or (
        form == "datatrove" and {file.form for file in found} == {"datatrove"}
    )


@pytest.mark.parametrize("form", ["megatron", "megatron32", "datatrove", "olmo"])
def test_an_index_says_where_documents_end(form: str, tmp_path: Path) -> None:
    ends = IdDocuments(opened(FORMS[form](tmp_path))).ends
    assert ends is not None
    assert ends.tolist() == np.cumsum([len(ids) for ids in documents()]).tolist()


def test_a_token_file_of_lmlab_is_checked_against_its_description(tmp_path: Path) -> None:
    tokenizer = byte_level(Text(()), tmp_path, "", special_tokens=["<|endoftext|>"])
    (tmp_path / "a.txt").write_text("Once upon a time.<|endoftext|>")
    written = write_token_file([tmp_path / "a.txt"], tokenizer, tmp_path / "a.bin")
    (found,) = opened(written.path)
    assert (found.form, found.tokenizer_hash) == ("lmlab", tokenizer.hash)
    assert tokenizer.decode(found.shard.ids()) == "Once upon a time.<|endoftext|>"
    written.path.write_bytes(bytes(written.path.stat().st_size))
    assert "not the content that a.json describes" in refused_own(written.path)


def test_ids_of_characters_do_not_pass_for_text(tmp_path: Path) -> None:
    path = tmp_path / "train.bin"
    (sequence() % 65).astype(np.uint16).tofile(path)
    path.read_bytes().decode("utf-8")  # as nanoGPT's character set of Shakespeare is
    assert opened(path, size=65)[0].form == "raw"


def test_wrong_widths_are_refused_with_the_right_one(tmp_path: Path) -> None:
    wide = token_forms.wide(tmp_path)
    found = refusal(wide)
    assert "every second id is 0" in found.message and found.help == "set data.dtype=uint32"
    assert opened(wide, "uint32")[0].shard.num_tokens == len(sequence())
    found = refusal(token_forms.nanogpt(tmp_path), "uint32")
    assert "as uint16 they are below it" in found.message and found.help == "set data.dtype=uint16"
    assert (
        "every second id is 0" not in refusal(token_forms.nanogpt(tmp_path), size=100_000).message
    )


def test_an_odd_size_is_refused(tmp_path: Path) -> None:
    path = token_forms.nanogpt(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    assert "expected a multiple of 2 bytes" in refusal(path).message


@pytest.mark.parametrize(
    ("content", "found"),
    [(b"Once upon a time\n" * 9, "text"), (b'{"text": "a"}\n' * 9, "text"),
     (b"PAR1" + bytes(96), "Parquet"), (b"\x1f\x8b\x08" + bytes(97), "gzip")],
)  # fmt: skip
def test_other_files_are_named(content: bytes, found: str, tmp_path: Path) -> None:
    path = tmp_path / "train.bin"
    path.write_bytes(content)
    assert f"expected token ids, found {found}" in refusal(path).message


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.bin").touch()
    assert "the file is empty" in refusal(tmp_path / "train.bin").message


def test_an_end_of_text_before_each_document_is_told_from_one_after(tmp_path: Path) -> None:
    after = IdDocuments(opened(token_forms.nanogpt(tmp_path)), END)
    assert not after.is_before
    path = tmp_path / "before.bin"
    np.roll(sequence(), 1).astype(np.uint16).tofile(path)
    assert IdDocuments(opened(path), END).is_before
    assert IdDocuments(opened(token_forms.llmc(tmp_path))).is_before  # by its format
