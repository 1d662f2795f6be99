"""What a source of text gives: files, their hashes, and their entropy where it is known."""

from __future__ import annotations

import dataclasses
import functools
import math
from pathlib import Path

from lmlab.storage.io import hash_file, hash_json


@dataclasses.dataclass(frozen=True)
class Floor:
    """The loss that no model can beat on average, for a whole validation text.

    Attributes:
        nats: -log p of the text under the process that made it.
        text_bytes: UTF-8 bytes of the text, special tokens not counted.
        note: who could reach it.
    """

    nats: float
    text_bytes: int
    note: str

    @property
    def bits_per_byte(self) -> float:
        """The floor in bits a byte."""
        return self.nats / math.log(2) / self.text_bytes


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Training and validation text on disk.

    Attributes:
        name: for people.
        train_paths: read one after the other.
        valid_paths: read one after the other.
        floor: of the validation text, where its maker knows it.
    """

    name: str
    train_paths: list[Path]
    valid_paths: list[Path]
    floor: Floor | None = None

    @functools.cached_property
    def train_hash(self) -> str:
        """Hash of the training text's content, wherever it lies."""
        return hash_json([hash_file(path) for path in self.train_paths])

    @functools.cached_property
    def valid_hash(self) -> str:
        """Hash of the validation text's content, wherever it lies."""
        return hash_json([hash_file(path) for path in self.valid_paths])
