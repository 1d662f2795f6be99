"""What is written is read by the readers of nanoGPT, llm.c and Megatron."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from token_forms import END, FILES, documents, sequence

from lmlab import tokenize
from lmlab.data.token_formats.recognize import recognize
from lmlab.data.token_formats.write import FORMS, check_form, write_form
from lmlab.errors import ConfigError
from lmlab.records.text import Text
from lmlab.tokenizer.factories import byte_level


def test_nanogpt_maps_16_bits(tmp_path: Path) -> None:
    path = tmp_path / "train.bin"
    write_form("nanogpt", sequence(), path, vocab_size=1000, end_id=END)
    assert np.array_equal(np.memmap(path, dtype=np.uint16, mode="r"), sequence())


@pytest.mark.parametrize(
    ("size", "dtype", "start"), [(1000, "<u2", [20240520, 1]), (70_000, "<u4", [20240801, 7])]
)
def test_llmc_reads_a_header_and_ends_before_documents(
    size: int, dtype: str, start: list[int], tmp_path: Path
) -> None:
    path = tmp_path / "train.bin"
    write_form("llmc", sequence(), path, vocab_size=size, end_id=END)
    header = np.fromfile(path, "<i4", 256)
    ids = np.fromfile(path, dtype, offset=1024)
    assert header[:2].tolist() == start and header[2] == len(ids) and not header[3:].any()
    expected = np.concatenate([np.append(END, one[:-1]) for one in documents()])
    assert np.array_equal(ids, expected)
    assert recognize("x", path, dtype=None, vocab_size=size).shard.num_tokens == len(ids)


@pytest.mark.parametrize(("name", "size"), [("mine", 1000), ("wide", 65_500)])
def test_megatron_is_written_as_by_its_package(name: str, size: int, tmp_path: Path) -> None:
    path = tmp_path / f"{name}_text_document.bin"
    write_form("megatron", sequence(), path, vocab_size=size, end_id=END)
    for file in (path, path.with_suffix(".idx")):
        assert file.read_bytes() == (FILES / file.name).read_bytes()


def test_a_last_document_without_an_end_is_kept(tmp_path: Path) -> None:
    ids = sequence()[:-1]
    for form in FORMS:
        write_form(form, ids, tmp_path / f"{form}.bin", vocab_size=1000, end_id=END)
    assert recognize("x", tmp_path / "megatron.bin", dtype=None, vocab_size=1000).read_ends
    assert np.fromfile(tmp_path / "llmc.bin", "<u2", offset=1024)[-1] == ids[-1]


def test_what_a_form_cannot_hold_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"format=nanogpt: expected .* at most 65,536"):
        check_form("nanogpt", 65_537, 0)
    for form in ("llmc", "megatron"):
        with pytest.raises(ConfigError, match=f"format={form}: expected a tokenizer with an end"):
            check_form(form, 300, None)


@pytest.mark.parametrize("form", FORMS)
def test_the_command_writes_a_form_and_nothing_beside_it(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer = byte_level(Text(()), tmp_path, "", special_tokens=["<|endoftext|>"])
    tokenizer.save(tmp_path / "tokenizer")
    (tmp_path / "a.txt").write_text("A cat.<|endoftext|>A dog.<|endoftext|>")
    out = tmp_path / "out"
    words = ["encode", str(tmp_path / "tokenizer"), str(tmp_path / "a.txt"), "--to",
             str(out / "a.bin"), "--format", form]  # fmt: skip
    assert tokenize.main(words) == 0
    names = {path.name for path in out.iterdir() if path.suffix != ".lock"}
    assert names == {"a.bin"} | ({"a.idx"} if form == "megatron" else set())
    ids = recognize("x", out / "a.bin", dtype=None, vocab_size=257).shard.ids()
    assert tokenizer.decode(ids).replace("<|endoftext|>", "") == "A cat.A dog."
    assert tokenize.main(words) == 2
    assert "would overwrite" in capsys.readouterr().err
    assert tokenize.main([*words, "--force"]) == 0
