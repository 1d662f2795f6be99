"""One sequence of ids in every form; those of Megatron and datatrove by their own packages.

``python tests/support/token_forms.py`` writes the files in ``token_files/`` again. It needs
megatron-core 0.16.1, datatrove 0.10.1, litdata 0.2.76 and mosaicml-streaming 0.13.0. Not all of
them can be installed at once: name those that are, as in ``token_forms.py litdata``.
"""

from __future__ import annotations

import csv
import gzip
import shutil
import sys
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


def copied_folder(name: str) -> Callable[[Path], Path]:
    """A folder whose chunks were written by their own package."""

    def copy(folder: Path) -> Path:
        return Path(shutil.copytree(FILES / name, folder / name))

    return copy


LITDATA = ("litdata", "litdata_tensor", "litdata_tree")
MDS = {  # columns, type of an id, compression
    "mds": ({"tokens": "ndarray"}, np.uint16, None),
    "mds_fixed": ({"tokens": "ndarray:uint16:1033"}, np.uint16, None),
    "mds_bytes": ({"tokens": "bytes"}, np.int64, "gz"),
    "mds_columns": ({"id": "int", "tokens": "ndarray:int32", "source": "str"}, np.int32, "zstd:3"),
}
CHUNKED = (*LITDATA, *MDS)
FORMS: dict[str, Callable[[Path], Path]] = {
    "nanogpt": nanogpt, "llmc": llmc, "llama": llama, "olmo": olmo, "array": array,
    "megatron": copied("mine_text_document.bin"), "megatron32": copied("wide_text_document"),
    "datatrove": copied("00000_mine.ds"),
    **{name: copied_folder(name) for name in CHUNKED},
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


def ids_of(number: int) -> Ids:
    """A document for litdata, whose processes get this function."""
    return documents()[number].astype(np.uint16)


def tensor_of(number: int) -> Any:
    """The same as a tensor."""
    import torch

    return torch.from_numpy(ids_of(number))


def write_litdata(folder: Path) -> None:
    """Write with litdata: ids alone, as arrays and as tensors, and with its default loader."""
    from litdata import optimize
    from litdata.streaming.item_loader import TokensLoader

    ways = {
        "litdata": (ids_of, TokensLoader()), "litdata_tensor": (tensor_of, TokensLoader()),
        "litdata_tree": (ids_of, None),
    }  # fmt: skip
    for name, (of, loader) in ways.items():
        shutil.rmtree(folder / name, ignore_errors=True)
        optimize(
            fn=of, inputs=list(range(len(documents()))), output_dir=str(folder / name),
            chunk_bytes=1500, num_workers=1, item_loader=loader,
        )  # fmt: skip


def write_mds(folder: Path) -> None:
    """Write with mosaicml-streaming, in samples of 60 ids or two halves."""
    from streaming import MDSWriter

    for name, (columns, dtype, compression) in MDS.items():
        shutil.rmtree(folder / name, ignore_errors=True)
        size = 1033 if "fixed" in name else 60
        with MDSWriter(
            out=str(folder / name), columns=columns, compression=compression, size_limit=3000
        ) as writer:
            for start in range(0, len(sequence()), size):
                ids = sequence()[start : start + size].astype(dtype)
                tokens = ids.tobytes() if columns["tokens"] == "bytes" else ids
                writer.write({"id": start, "source": "a" * (start % 7), "tokens": tokens})


if __name__ == "__main__":
    FILES.mkdir(exist_ok=True)
    wanted = sys.argv[1:] or ["megatron", "datatrove", "litdata", "mds"]
    for name in wanted:
        globals()[f"write_{name}"](FILES)
