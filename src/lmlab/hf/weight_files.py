"""The weight files of a Hugging Face folder. No torch: composing a configuration hashes them."""

from __future__ import annotations

from pathlib import Path

from lmlab.errors import DataError
from lmlab.storage.fields import TEXTS_BY_NAME, check_fields
from lmlab.storage.io import hash_file, hash_json
from lmlab.storage.json_text import parse_json
from lmlab.storage.path_below import path_below

WEIGHTS = "model.safetensors"


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a folder: a single one, or those that an index lists.

    Raises:
        DataError: a file is missing, or the index is damaged.
    """
    index = folder / f"{WEIGHTS}.index.json"
    if index.is_file():
        try:
            content = parse_json(index.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{index}: is damaged: {error}") from error
        check_fields(index, content, {"weight_map": TEXTS_BY_NAME}, ("weight_map",))
        names = sorted(set(content["weight_map"].values()))
        paths = [path_below(folder, name, f"{index}: weight_map") for name in names]
    else:
        paths = [folder / WEIGHTS]
    source = f", which {index.name} names" if index.is_file() else ""
    for path in paths:
        if not path.is_file():
            raise DataError(
                f"{path}{source}: no such file", "save the weights in safetensors format"
            )
    return paths


def hash_weights(folder: Path) -> str:
    """Return the SHA-256 of the weights in a folder. Raises :class:`DataError`."""
    return hash_json({path.name: hash_file(path) for path in weight_files(folder)})
