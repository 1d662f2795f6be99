"""One sequence of ids in every form; those of Megatron and datatrove by their own packages.

``python tests/support/token_forms.py`` writes the files in ``token_files/`` again. It needs
megatron-core 0.16.1 and datatrove 0.10.1.
"""

from __future__ import annotations

import csv
import gzip
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Ids = np.ndarray[Any, np.dtype[Any]]
FILES = Path(__file__).with_name("token_files")
VOCAB_SIZE, END = 1000, 999


def documents() -> list[Ids]:
    """Documents of ids, each with the end of text after it; ids follow each other by a rule."""
    random = np.random.default_rng(7)
    found = []
    for _ in range(40):
        steps = random.integers(1, 4, random.integers(5, 90))
        found.append(np.append((random.integers(998) + np.cumsum(steps)) % END, END))
    return found


def sequence() -> Ids:
    """All ids in order."""
    return np.concatenate(documents())


def llmc_header(magic: int, version: int, count: int) -> bytes:
    """A header by llm.c's ``write_datafile``."""
    header = np.zeros(256, dtype=np.int32)
    header[0], header[1], header[2] = magic, version, count
    return header.tobytes()


def nanogpt(folder: Path) -> Path:
    """As ``data/*/prepare.py`` of nanoGPT writes it."""
    sequence().astype(np.uint16).tofile(folder / "train.bin")
    return folder / "train.bin"


def wide(folder: Path) -> Path:
    """Raw ids of 4 bytes."""
    sequence().astype(np.uint32).tofile(folder / "wide.bin")
    return folder / "wide.bin"


def llmc(folder: Path) -> Path:
    """Two shards of llm.c, cut inside a document."""
    (folder / "llmc").mkdir()
    for number, part in enumerate(np.split(sequence(), [1001])):
        with open(folder / "llmc" / f"mine_train_{number:06d}.bin", "wb") as file:
            file.write(llmc_header(20240520, 1, len(part)))
            file.write(part.astype(np.uint16).tobytes())
    return folder / "llmc"


def llama(folder: Path) -> Path:
    """llm.c's form for Llama 3."""
    ids = sequence()
    path = folder / "llama.bin"
    path.write_bytes(llmc_header(20240801, 7, len(ids)) + ids.astype(np.uint32).tobytes())
    return path


def olmo(folder: Path) -> Path:
    """A raw memory map, and its table."""
    path, start = folder / "part-0.npy", 0
    sequence().astype(np.uint16).tofile(path)
    with gzip.open(folder / "part-0.csv.gz", "wt") as file:
        for number, ids in enumerate(documents()):
            csv.writer(file).writerow([start, start + len(ids), f"id{number}", "a.jsonl", number])
            start += len(ids)
    return path


def array(folder: Path) -> Path:
    """An array of NumPy, of 64-bit integers."""
    np.save(folder / "ids.npy", sequence().astype(np.int64))
    return folder / "ids.npy"


def copied(name: str) -> Callable[[Path], Path]:
    """A form whose files were written by their own package."""

    def copy(folder: Path) -> Path:
        for path in FILES.glob(f"{name.partition('.')[0]}.*"):
            shutil.copy(path, folder)
        return folder / name

    return copy


FORMS: dict[str, Callable[[Path], Path]] = {
    "nanogpt": nanogpt, "llmc": llmc, "llama": llama, "olmo": olmo, "array": array,
    "megatron": copied("mine_text_document.bin"), "megatron32": copied("wide_text_document"),
    "datatrove": copied("00000_mine.ds"),
}  # fmt: skip


def write_megatron(folder: Path) -> None:
    """Write with megatron-core."""
    import torch
    from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder

    for name, dtype in (("mine", np.uint16), ("wide", np.int32)):
        prefix = folder / f"{name}_text_document"
        builder = IndexedDatasetBuilder(f"{prefix}.bin", dtype=dtype)
        for ids in documents():
            builder.add_item(torch.from_numpy(ids))
            builder.end_document()
        builder.finalize(f"{prefix}.idx")


def write_datatrove(folder: Path) -> None:
    """Write with datatrove."""
    from datatrove.pipeline.tokens.tokenizer import TokenizedFile

    file = TokenizedFile(str(folder), "00000_mine.ds", save_final_metadata=True, token_size=2)
    for ids in documents():
        file.write(ids.tolist(), None)
    file.close()


if __name__ == "__main__":
    FILES.mkdir(exist_ok=True)
    write_megatron(FILES)
    write_datatrove(FILES)
