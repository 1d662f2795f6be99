"""The files of a corpus, their hashes, and the entropy of the text where it is known."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from lmlab.data.text_survey import survey
from lmlab.records.file_kind import PLAIN
from lmlab.records.text import Text
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


class Corpus:
    """Training and validation text.

    Args:
        name: name to display.
        train: training text, or its files in order.
        valid: validation text, or its files in order.
        floor: floor of the validation text; None where it is unknown.
        hash_of: the SHA-256 of one of the files. For files in a cache folder,
            :func:`lmlab.storage.content_hash.remembered_hash` reads each of them only once.
        train_hash: hash of the content of the training text; None computes it when it is needed.
        valid_hash: that of the validation text.
    """

    def __init__(
        self,
        name: str,
        train: Text | Sequence[Path],
        valid: Text | Sequence[Path],
        floor: Floor | None = None,
        hash_of: Callable[[Path], str] = hash_file,
        *,
        train_hash: str | None = None,
        valid_hash: str | None = None,
    ) -> None:
        self.name, self.floor, self._hash_of = name, floor, hash_of
        self.train, self.valid = Text.of(train), Text.of(valid)
        self._train_hash, self._valid_hash = train_hash, valid_hash

    @functools.cached_property
    def train_hash(self) -> str:
        """Hash of the content of the training text, independent of its path."""
        return self._train_hash or self._hash(self.train)

    @functools.cached_property
    def valid_hash(self) -> str:
        """Hash of the content of the validation text, independent of its path."""
        return self._valid_hash or self._hash(self.valid)

    def _hash(self, text: Text) -> str:
        (first, *others) = text.files
        if others or first.kind != PLAIN or text.has_documents():
            return survey(text).text_hash
        with translate_read_errors(first.path):
            return hash_json([self._hash_of(first.path)])
