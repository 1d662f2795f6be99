from __future__ import annotations

from pathlib import Path

from lmlab.build.numeric_files import (
    NOT_NUMERIC,
    PACKAGE,
    FileRecord,
    numeric_files,
    record_of,
)
from lmlab.build.source_hash import hash_bytes


def test_what_computes_counts_and_what_shows_does_not() -> None:
    files = numeric_files()
    assert all(path == PACKAGE / name for name, path in files.items())
    counted = {"nn/ffn.py", "nn/kernels/lanes.h", "nn/kernels/causal_attention.cpp",
               "optim/muon.py", "training/trainer.py", "data/batches.py", "distributed/fsdp.py",
               "tokenizer/kernels/pairs.py", "runtime/precision.py", "runtime/random_streams.py",
               "runs/stacked/stacked_gradients.py", "hf/weights.py"}  # fmt: skip
    assert counted <= files.keys()
    assert {"study/page/__init__.py", "train.py", "nn/ffn_counts.py"}.isdisjoint(files)
    assert any(name.startswith("tokenizer/kernels/ir/") for name in files)


def test_a_new_module_counts_from_the_beginning(tmp_path: Path) -> None:
    for name in ("nn/mine.py", "mine/part.cu", "study/mine.py", "nn/__pycache__/a.py", "a.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert numeric_files(tmp_path).keys() == {"nn/mine.py", "mine/part.cu"}


def test_the_list_of_what_is_left_out_names_what_there_is() -> None:
    assert [name for name in NOT_NUMERIC if not (PACKAGE / name).exists()] == []
    assert len(set(NOT_NUMERIC)) == len(NOT_NUMERIC)


def test_a_record_is_read_as_it_was_written() -> None:
    record = record_of("a.py", b"import a\nclass B: ...\ndef c(): ...\nd = 1\n")
    assert [name for name, _ in record.parts] == ["", "B", "c", ""]
    assert FileRecord.parse(record.write()) == record
    native = record_of("a.cpp", b"int a;\r\n")
    assert native == FileRecord(hash_bytes(b"int a;\n")) == FileRecord.parse(native.write())
