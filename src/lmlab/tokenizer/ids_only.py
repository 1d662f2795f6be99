"""A vocabulary of which only the size is known: its ids stand for no text."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

from lmlab.errors import ConfigError, DataError
from lmlab.storage.io import hash_json, write_json
from lmlab.storage.json_text import parse_json
from lmlab.tokenizer.text_markers import TextMarkers
from lmlab.tokenizer.tokenizer import Tokenizer

NAME = "ids.json"
FORMAT_VERSION = 1
_SMALL = 1 << 16  # ids of 16 bits


class IdsOnly(Tokenizer):
    """Stands for the tokenizer of a run on ids whose text nobody needs.

    What reads or writes text raises :class:`ConfigError`.

    Args:
        vocab_size: number of ids, V.
    """

    has_text = False

    def __init__(self, vocab_size: int) -> None:
        self._vocab_size = vocab_size
        self.special_tokens: list[str] = []

    def __getattr__(self, name: str) -> NoReturn:
        """Raise :class:`ConfigError` for what the methods of a tokenizer read."""
        if name in ("ids", "encoder", "pattern", "_source"):
            _refuse()
        raise AttributeError(name)

    @property
    def hash(self) -> str:
        """Hash of the number of ids."""
        return hash_json({"ids_only": self._vocab_size})

    @property
    def vocab_size(self) -> int:
        """Number of ids, V."""
        return self._vocab_size

    @property
    def id_bytes(self) -> int:
        """Bytes per id in a token file."""
        return 2 if self._vocab_size <= _SMALL else 4

    @property
    def markers(self) -> TextMarkers:
        """No id is known to end or start a text."""
        return TextMarkers()

    def save(self, folder: str | Path) -> None:
        """Write the number of ids to ``ids.json`` in ``folder``."""
        record = {"format_version": FORMAT_VERSION, "vocab_size": self._vocab_size}
        write_json(Path(folder) / NAME, record)


def _refuse() -> NoReturn:
    raise ConfigError(
        "tokenizer=ids: expected a tokenizer that reads and writes text; only the size of the "
        "vocabulary is known",
        "train with tokenizer=saved tokenizer.path=FOLDER",
    )


def load_tokenizer(folder: Path) -> Tokenizer:
    """Read what the ``save`` of a tokenizer or of :class:`IdsOnly` wrote.

    Raises:
        DataError: a file is missing, damaged or of another version.
    """
    path = folder / NAME
    if not path.is_file():
        return Tokenizer.load(folder)
    try:
        record: dict[str, Any] = parse_json(path.read_text("utf-8"))
        if record["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format version {record['format_version']}")
        return IdsOnly(int(record["vocab_size"]))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(f"{path}: cannot be read ({error})", "restore the file") from error
