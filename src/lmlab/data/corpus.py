"""The splits of a corpus, and the entropy of the text where it is known."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lmlab.data.capped_split import CappedSplit
from lmlab.data.split import Split, TextSplit
from lmlab.records.text import Text
from lmlab.storage.io import hash_file


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

    Attributes:
        origin: where the text was downloaded from, for the record of a run; None for other text.
    """

    origin: Mapping[str, Any] | None = None

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
        self.name, self.floor = name, floor
        self.splits: dict[str, Split] = {
            "train": TextSplit(Text.of(train), train_hash, hash_of),
            "valid": TextSplit(Text.of(valid), valid_hash, hash_of),
        }

    def capped(self, tokens: float | None) -> Corpus:
        """Let runs read at most the first ``tokens`` training tokens; None for all of them."""
        if tokens is not None:
            self.splits["train"] = CappedSplit(self.splits["train"], int(tokens))
        return self

    @classmethod
    def of_splits(cls, name: str, train: Split, valid: Split, floor: Floor | None = None) -> Corpus:
        """Return the corpus of two splits, which need not be text."""
        corpus = cls(name, (), (), floor)
        corpus.splits = {"train": train, "valid": valid}
        return corpus

    @property
    def train(self) -> Text:
        """Training text; without files where there are only ids."""
        return self.splits["train"].text

    @property
    def valid(self) -> Text:
        """Validation text; without files where there are only ids."""
        return self.splits["valid"].text

    @property
    def train_hash(self) -> str:
        """Hash of the content of the training split, independent of its path."""
        return self.splits["train"].hash

    @property
    def train_text_hash(self) -> str:
        """Hash of :attr:`train`, of which a run may read a part; see :mod:`lmlab.data.split`."""
        return self.splits["train"].text_hash

    @property
    def valid_hash(self) -> str:
        """Hash of the content of the validation split, independent of its path."""
        return self.splits["valid"].hash
