"""Content that a program could have written: after it, another result needs no word."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from fuzz_mutations import VALID, Mutation


class Silent(NamedTuple):
    """Content after which another result needs no word, since a program writes such content.

    Attributes:
        file: name of the file.
        kinds: of mutations.
        field: a regular expression of the whole field; empty for the file as a whole.
        reason: what the content means.
        reader: part of the names of the readers; empty: all.
    """

    file: str
    kinds: tuple[str, ...]
    field: str
    reason: str
    reader: str = ""


SILENT = [
    Silent("ledger.jsonl", ("cut after a row", "empty"), "", "the ledger of a sweep that goes on"),
    Silent("metrics.jsonl", ("cut after a row",), "", "the rows of a run that goes on"),
    Silent("adopted.jsonl", ("cut after a row", "empty"), "", "nothing more was adopted"),
    Silent("adopted.jsonl", ("null",), "job.lr", "the configured rate"),
    Silent("submission.json", ("null",), r"runs\[\].job.lr", "the configured rate"),
    Silent("submission.json", ("length",), r"runs(\[\])?", "an array of other runs"),
    Silent("metrics.jsonl", ("negative", "null", "nan"), "loss|bits_per_byte|perplexity",
           "a null is a number that is not finite, and a loss may be negative"),
    Silent("records.jsonl", ("negative",),
           r"(validation|train)\[\]\.(loss|bits_per_byte|perplexity)", "the same"),
    Silent("end-0.json", ("missing", "root"), "(0.yaml)?", "a run that did not end by itself"),
    Silent("state.json", ("nan",), "progress.*", "earlier versions wrote no checksum"),
    Silent("launch.json", ("huge",), ".*", "a request that Slurm refuses"),
    Silent("launch.json", ("type",), r".*\.(partition|constraint|account|qos)",
           "a number is a name, as on the command line"),
    Silent("exhibit.json", ("length",), r"files(\[\])?", "a demo of other files"),
    Silent("tokenizer.tiktoken.json", ("missing",), "special_tokens.*", "there is no such token"),
    Silent("special_tokens_map.json", ("missing", "root", "length"), ".*", "no such token"),
    Silent("tokenizer.json", ("length",), r"model.merges(\[\])?|added_tokens(\[\])?",
           "a vocabulary of other tokens; Hugging Face's files have no checksum"),
    Silent("tokenizer.json", ("null", "missing"), "added_tokens", "no such tokens"),
    Silent("tokenizer.json", ("missing",), "model.vocab.*", "other tokens", "vocabulary hf"),
]  # fmt: skip
# Fields that name files: one that leads elsewhere is never followed silently.
PATHS = {
    "ledger.jsonl": "run|failure.log",
    "adopted.jsonl": "submission",
    "submission.json": r"runs\[\].frozen",
    "stacks.jsonl": r"files\[\]",
    "model.safetensors.index.json": "weight_map.*",
    "exhibit.json": r"files\[\]",
    "id0.json": "submission",
    "state.json": "files.*",
}


def may_be_silent(reader: str, file: str, mutation: Mutation) -> bool:
    """Whether a program could have written such content, so that a reader need not tell it."""
    name = Path(file).name
    if mutation.kind in VALID:
        is_path = mutation.kind in ("path", "odd text", "long text")
        return not (is_path and re.fullmatch(PATHS.get(name, "(?!)"), mutation.field))
    return any(
        name == one.file
        and mutation.kind in one.kinds
        and one.reader in reader
        and re.fullmatch(one.field, mutation.field)
        for one in SILENT
    )
