"""The files of a corpus, their hashes, and the entropy of the text where it is known."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from pathlib import Path

from lmlab.storage.io import hash_file, hash_json, translate_read_errors


@dataclasses.dataclass(frozen=True)
class Floor:
    """The loss that no model can beat on average, for a full validation text.

    Attributes:
        nats: -log p of the text under the process that generated it.
        text_bytes: UTF-8 bytes of the text, as :func:`lmlab.data.text_bytes.text_bytes` counts.
        note: what the floor means.
    """

    nats: float
    text_bytes: int
    note: str

    @property
    def bits_per_byte(self) -> float:
        """The floor in bits per byte."""
        return self.nats / math.log(2) / self.text_bytes


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Training and validation text on disk.

    Attributes:
        name: name to display.
        train_paths: training files, read in order.
        valid_paths: validation files, read in order.
        floor: floor of the validation text; None where it is unknown.
        hash_of: the SHA-256 of one of the files. For files in a cache folder,
            :func:`lmlab.storage.content_hash.remembered_hash` reads each of them only once.
    """

    name: str
    train_paths: list[Path]
    valid_paths: list[Path]
    floor: Floor | None = None
    hash_of: Callable[[Path], str] = dataclasses.field(default=hash_file, repr=False, compare=False)

    @functools.cached_property
    def train_hash(self) -> str:
        """Hash of the content of the training text, independent of its path."""
        return self._hash(self.train_paths)

    @functools.cached_property
    def valid_hash(self) -> str:
        """Hash of the content of the validation text, independent of its path."""
        return self._hash(self.valid_paths)

    def _hash(self, paths: list[Path]) -> str:
        hashes = []
        for path in paths:
            with translate_read_errors(path):
                hashes.append(self.hash_of(path))
        return hash_json(hashes)
