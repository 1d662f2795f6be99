"""Tokenizers to and from the files of other libraries, with the same ids.

=========== ==============================================================================
form        files
=========== ==============================================================================
lmlab       ``tokenizer.json`` of lmlab's own
hf          ``tokenizer.json`` of Hugging Face's tokenizers
gpt2        ``vocab.json`` and ``merges.txt``, and ``special_tokens_map.json``
tiktoken    ``tokenizer.tiktoken`` (ranks) and ``tokenizer.tiktoken.json`` (pattern, specials)
=========== ==============================================================================
"""

from __future__ import annotations

import json
from pathlib import Path

from lmlab.errors import DataError, did_you_mean
from lmlab.storage.io import atomic_write_text, make_folder, write_json
from lmlab.tokenizer import serialization
from lmlab.tokenizer.formats.huggingface import entries, merge_lines, to_hf
from lmlab.tokenizer.formats.tiktoken import from_tiktoken, ranks_text, read_ranks, to_tiktoken
from lmlab.tokenizer.kernels.kinds import GPT2_PATTERN
from lmlab.tokenizer.tokenizer import Tokenizer

FORMS = ("hf", "gpt2", "tiktoken", "lmlab")
RANKS = "tokenizer.tiktoken"


def write(tokenizer: Tokenizer, folder: Path, form: str) -> list[Path]:
    """Write a tokenizer to ``folder`` in one of the :data:`FORMS`.

    Returns:
        The files.

    Raises:
        DataError: the form cannot hold this tokenizer exactly, or there is no such form.
    """
    if form not in FORMS:
        raise DataError(
            f"format={form}: accepted are {', '.join(FORMS)}{did_you_mean(form, FORMS)}"
        )
    writers = {"hf": _write_hf, "gpt2": _write_gpt2, "tiktoken": _write_tiktoken}
    make_folder(folder)
    if form == "lmlab":
        tokenizer.save(folder)
        return [folder / serialization.NAME]
    return writers[form](tokenizer, folder)


def read(path: Path) -> Tokenizer:
    """Read a tokenizer of any of the :data:`FORMS`: a folder, or a file of ranks.

    Raises:
        DataError: there is none, it is damaged, or lmlab cannot do exactly what it does.
    """
    ranks = path if path.suffix == ".tiktoken" else path / RANKS
    has_other = (path / serialization.NAME).is_file() or (path / "vocab.json").is_file()
    if not ranks.is_file() or has_other:
        return Tokenizer.load(path)
    sidecar = ranks.with_name(f"{ranks.name}.json")
    try:
        beside = json.loads(sidecar.read_text("utf-8"))
        pattern, specials = beside["pat_str"], beside["special_tokens"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{ranks} holds ranks only; {sidecar.name} beside it must give the rest, as "
            '{"pat_str": "...", "special_tokens": {"<|endoftext|>": 50256}}'
        ) from error
    return Tokenizer(**from_tiktoken(read_ranks(ranks.read_text("ascii")), pattern, specials))


def _write_hf(tokenizer: Tokenizer, folder: Path) -> list[Path]:
    write_json(folder / serialization.NAME, to_hf(tokenizer))
    return [folder / serialization.NAME]


def _write_gpt2(tokenizer: Tokenizer, folder: Path) -> list[Path]:
    if tokenizer.pattern != GPT2_PATTERN:
        raise DataError(
            "format=gpt2 holds no pattern and stands for GPT-2's, but this tokenizer has another; "
            "use format=hf"
        )
    write_json(folder / "vocab.json", entries(tokenizer))
    lines = ["#version: 0.2", *merge_lines(tokenizer), ""]
    atomic_write_text(folder / "merges.txt", "\n".join(lines))
    specials = folder / "special_tokens_map.json"
    write_json(specials, {"additional_special_tokens": tokenizer.special_tokens})
    return [folder / "vocab.json", folder / "merges.txt", specials]


def _write_tiktoken(tokenizer: Tokenizer, folder: Path) -> list[Path]:
    made = to_tiktoken(tokenizer)
    ranks, sidecar = folder / RANKS, folder / f"{RANKS}.json"
    atomic_write_text(ranks, ranks_text(made.pop("mergeable_ranks")))
    write_json(sidecar, made)
    return [ranks, sidecar]
