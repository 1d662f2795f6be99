"""The weight files of a Hugging Face folder. No torch: the configuration asks for their hash."""

from __future__ import annotations

import json
from pathlib import Path

from lmlab.errors import DataError
from lmlab.storage.io import hash_file, hash_json

WEIGHTS = "model.safetensors"


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder, one or the parts that an index names.

    Raises:
        DataError: there are none.
    """
    index = folder / f"{WEIGHTS}.index.json"
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, AttributeError) as error:
            raise DataError(f"{index} is damaged: {error}") from error
    else:
        names = [WEIGHTS]
    paths = [folder / name for name in names]
    for path in paths:
        if not path.is_file():
            raise DataError(f"{path} is missing; weights are read from safetensors files only")
    return paths


def hash_weights(folder: Path) -> str:
    """SHA-256 of a folder's weights. Raises :class:`DataError` where there are none."""
    return hash_json({path.name: hash_file(path) for path in weight_files(folder)})
