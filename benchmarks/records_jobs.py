"""The ways that ``records.py`` measures: WAY FILE GPT2_FOLDER OUT."""

from __future__ import annotations

import sys
from pathlib import Path

END = "<|endoftext|>"
END_ID = 50256
BATCH = 1000


def lmlab(file: Path, gpt2: Path, out: Path) -> None:
    """``lmlab.tokenize encode`` with two threads."""
    from lmlab.tokenize import main

    code = main(["encode", str(gpt2), str(file), "--to", str(out)])
    if code:
        raise SystemExit(code)


def _tokenizers(gpt2: Path):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    found = Tokenizer(models.BPE.from_file(str(gpt2 / "vocab.json"), str(gpt2 / "merges.txt")))
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.decoder = decoders.ByteLevel()
    return found


def datasets(file: Path, gpt2: Path, out: Path) -> None:
    """``datasets.map`` with the tokenizers library in two processes, as nanoGPT does it."""
    import numpy as np
    from datasets import load_dataset

    tokenizer = _tokenizers(gpt2)
    kind = "parquet" if file.suffix == ".parquet" else "json"
    rows = load_dataset(kind, data_files=str(file), split="train")

    def encode(batch):
        return {"ids": [[*one.ids, END_ID] for one in tokenizer.encode_batch(batch["text"])]}

    encoded = rows.map(encode, batched=True, num_proc=2, remove_columns=rows.column_names)
    with open(out, "wb") as target:
        for batch in encoded.with_format("numpy").iter(BATCH):
            np.concatenate(list(batch["ids"])).astype("<u2").tofile(target)


def datatrove(file: Path, gpt2: Path, out: Path) -> None:
    """datatrove's tokenization pipeline."""
    import shutil
    import tempfile

    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.readers import JsonlReader, ParquetReader
    from datatrove.pipeline.tokens import DocumentTokenizer

    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "tokenizer.json"
        tokenizer = _tokenizers(gpt2)
        tokenizer.add_special_tokens([END])
        tokenizer.save(str(saved))
        reader = ParquetReader if file.suffix == ".parquet" else JsonlReader
        pipeline = [
            reader(str(file.parent), glob_pattern=file.name),
            DocumentTokenizer(
                f"{folder}/ids", tokenizer_name_or_path=str(saved), eos_token=END,
                shuffle_documents=False, local_working_dir=f"{folder}/work",
            ),
        ]  # fmt: skip
        LocalPipelineExecutor(pipeline, tasks=1, workers=1, logging_dir=f"{folder}/logs").run()
        (written,) = Path(folder, "ids").glob("*.ds")
        shutil.copyfile(written, out)


def bytes_of_characters() -> dict[str, int]:
    """The byte that each character of GPT-2's files stands for."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in shown]
    codes = [*shown, *range(256, 256 + len(others))]
    return {chr(code): byte for code, byte in zip(codes, [*shown, *others], strict=True)}


def polars(file: Path, gpt2: Path, out: Path) -> None:
    """polars and tiktoken with two threads."""
    import json

    import numpy as np
    import polars as pl
    import tiktoken

    vocabulary = json.loads((gpt2 / "vocab.json").read_text("utf-8"))
    decode = bytes_of_characters()
    ranks = {
        bytes(decode[character] for character in token): rank
        for token, rank in vocabulary.items()
        if token != END
    }
    pattern = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
    encoding = tiktoken.Encoding("gpt2", pat_str=pattern, mergeable_ranks=ranks,
                                 special_tokens={END: END_ID})  # fmt: skip
    if file.suffix == ".parquet":
        texts = pl.read_parquet(file, columns=["text"])["text"]
    else:
        texts = pl.read_ndjson(file)["text"]
    with open(out, "wb") as target:
        for start in range(0, len(texts), BATCH):
            batch = texts[start : start + BATCH].to_list()
            for ids in encoding.encode_ordinary_batch(batch, num_threads=2):
                np.array([*ids, END_ID], dtype="<u2").tofile(target)


if __name__ == "__main__":
    way, file, gpt2, out = sys.argv[1:]
    globals()[way](Path(file), Path(gpt2), Path(out))
