"""Convert tokenizers to and from the files of other libraries, with the same ids.

=========== ==============================================================================
format      files
=========== ==============================================================================
lmlab       ``tokenizer.json`` in lmlab's own format
hf          ``tokenizer.json`` of Hugging Face's tokenizers; see :func:`write_config`
gpt2        ``vocab.json`` and ``merges.txt``, and ``special_tokens_map.json``
tiktoken    ``tokenizer.tiktoken`` (ranks) and ``tokenizer.tiktoken.json`` (pattern, specials)
=========== ==============================================================================
"""

from __future__ import annotations

from pathlib import Path

from lmlab.errors import DataError, suggestion
from lmlab.storage.fields import COUNTS_BY_NAME, TEXT, check_fields
from lmlab.storage.io import atomic_write_text, make_folder, write_json
from lmlab.storage.json_text import parse_json
from lmlab.tokenizer import serialization
from lmlab.tokenizer.formats import gpt2
from lmlab.tokenizer.formats.huggingface import to_hf, tokenizer_config
from lmlab.tokenizer.formats.tiktoken import from_tiktoken, ranks_text, read_ranks, to_tiktoken
from lmlab.tokenizer.text_markers import TOKENIZER_CONFIG
from lmlab.tokenizer.tokenizer import Tokenizer
from lmlab.tokenizer.vocabulary import BPEVocabulary

FORMATS = ("hf", "gpt2", "tiktoken", "lmlab")
RANKS = "tokenizer.tiktoken"


def write(tokenizer: Tokenizer, folder: Path, format: str) -> list[Path]:
    """Write a tokenizer to ``folder`` in one of the :data:`FORMATS`.

    Returns:
        The files.

    Raises:
        DataError: the format is unknown, or cannot hold this tokenizer exactly.
    """
    if format not in FORMATS:
        raise DataError(
            f"format={format}: expected one of {', '.join(FORMATS)}", suggestion(format, FORMATS)
        )
    writers = {
        "hf": _write_hf,
        "gpt2": _write_gpt2,
        "tiktoken": _write_tiktoken,
        "lmlab": _write_lmlab,
    }
    make_folder(folder)
    return writers[format](tokenizer.vocabulary, folder)


def write_config(
    tokenizer: Tokenizer,
    folder: Path,
    *,
    context_length: int | None = None,
    padding_side: str = "left",
) -> Path:
    """Write ``tokenizer_config.json``, which transformers reads beside the format ``hf``.

    Args:
        tokenizer: the one in the folder.
        folder: where ``tokenizer.json`` is.
        context_length: T of the model; None without a model.
        padding_side: ``left``, as generation requires, or ``right``.
    """
    path = folder / TOKENIZER_CONFIG
    content = tokenizer_config(tokenizer.ids, tokenizer.markers, context_length, padding_side)
    write_json(path, content)
    return path


def read(path: Path) -> Tokenizer:
    """Read a tokenizer in any of the :data:`FORMATS` from a folder or a file of tiktoken ranks.

    Raises:
        DataError: there is no tokenizer, it is damaged, or lmlab cannot reproduce it exactly.
    """
    ranks = path if path.suffix == ".tiktoken" else path / RANKS
    has_other = (path / serialization.NAME).is_file() or (path / gpt2.VOCAB).is_file()
    if not ranks.is_file() or has_other:
        return Tokenizer.load(path)
    sidecar = ranks.with_name(f"{ranks.name}.json")
    try:
        settings = parse_json(sidecar.read_text("utf-8"))
        check_fields(sidecar, settings, {"pat_str": TEXT, "special_tokens": COUNTS_BY_NAME})
        pattern, specials = settings["pat_str"], settings["special_tokens"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{sidecar}: expected the pattern and special tokens that belong to {ranks.name}",
            'write them as {"pat_str": "...", "special_tokens": {"<|endoftext|>": 50256}}',
        ) from error
    try:
        vocabulary = from_tiktoken(read_ranks(ranks.read_text("ascii")), pattern, specials)
    except DataError as error:
        raise DataError(f"{ranks} with {sidecar.name}: {error.message}", error.help) from error
    except (OSError, *serialization.DAMAGE) as error:
        message = f"{ranks} with {sidecar.name}: damaged: {error}"
        raise DataError(message, "restore the files") from error
    return Tokenizer.from_vocabulary(vocabulary)


def _write_lmlab(vocabulary: BPEVocabulary, folder: Path) -> list[Path]:
    serialization.save(folder, vocabulary)
    return [folder / serialization.NAME]


def _write_hf(vocabulary: BPEVocabulary, folder: Path) -> list[Path]:
    write_json(folder / serialization.NAME, to_hf(vocabulary))
    return [folder / serialization.NAME]


def _write_gpt2(vocabulary: BPEVocabulary, folder: Path) -> list[Path]:
    ids, merges, specials = gpt2.to_gpt2(vocabulary)
    paths = [folder / name for name in (gpt2.VOCAB, gpt2.MERGES, gpt2.SPECIALS)]
    write_json(paths[0], ids)
    atomic_write_text(paths[1], merges)
    write_json(paths[2], specials)
    return paths


def _write_tiktoken(vocabulary: BPEVocabulary, folder: Path) -> list[Path]:
    encoding = to_tiktoken(vocabulary)
    ranks, sidecar = folder / RANKS, folder / f"{RANKS}.json"
    atomic_write_text(ranks, ranks_text(encoding.pop("mergeable_ranks")))
    write_json(sidecar, encoding)
    return [ranks, sidecar]
