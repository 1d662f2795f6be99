"""The weight files of a Hugging Face folder. No torch: composing a configuration hashes them."""

from __future__ import annotations

import json
from pathlib import Path

from lmlab.errors import DataError
from lmlab.storage.io import hash_file, hash_json

WEIGHTS = "model.safetensors"


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a folder: a single one, or those that an index lists.

    Raises:
        DataError: a file is missing, or the index is damaged.
    """
    index = folder / f"{WEIGHTS}.index.json"
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, AttributeError) as error:
            raise DataError(f"{index}: is damaged: {error}") from error
    else:
        names = [WEIGHTS]
    paths = [folder / name for name in names]
    for path in paths:
        if not path.is_file():
            raise DataError(f"{path}: no such file", "save the weights in safetensors format")
    return paths


def hash_weights(folder: Path) -> str:
    """Return the SHA-256 of the weights in a folder. Raises :class:`DataError`."""
    return hash_json({path.name: hash_file(path) for path in weight_files(folder)})
