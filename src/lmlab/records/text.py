"""Text as its readers see it: files of any kind, and what a document is in them."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from lmlab.errors import DataError, TextChangedError
from lmlab.records import arrow, plain_documents
from lmlab.records.byte_stream import STANDARD_INPUT, ByteStream
from lmlab.records.document_hash import HeldOut, document_hash
from lmlab.records.documents import Documents, Rows, joined
from lmlab.records.file_kind import FileKind
from lmlab.records.json_lines import read_json_lines
from lmlab.storage.io import file_state, translate_read_errors

MARKER, BLANK_LINE, LINE, FILE = "marker", "blank_line", "line", "file"
_NOT_IN_PIPES = ("parquet", "arrow")
DOCUMENT_RULES = (MARKER, BLANK_LINE, LINE, FILE)
_SPLITTERS = {
    MARKER: plain_documents.by_marker,
    BLANK_LINE: plain_documents.by_blank_line,
    LINE: plain_documents.by_line,
}


class TextFile(NamedTuple):
    """A file of text, or a part of it.

    Attributes:
        path: the file, a pipe, or ``-`` for standard input.
        kind: what its first bytes say.
        start: first byte of the part, of plain text after decompression.
        stop: its end; None for that of the file.
    """

    path: Path
    kind: FileKind
    start: int = 0
    stop: int | None = None


@dataclasses.dataclass(frozen=True)
class Text:
    """The text of files in a row.

    Of records (JSON lines, Parquet, Arrow) each is a document. Of plain text ``documents`` says
    what one is. The text of a document ends with the end of text of the tokenizer that reads it,
    and special tokens inside it are text; with the rule ``marker``, plain text is read as it
    stands, with all special tokens in it.

    Attributes:
        files: where it is.
        column: the column of records that holds it, with dots between nested names.
        documents: one of :data:`DOCUMENT_RULES`.
        held_out: the side of a split to which documents must belong, apart from files that are one
            document; None for all.
        key: the setting that names the text, for messages; may be empty.
    """

    files: tuple[TextFile, ...]
    column: str = "text"
    documents: str = MARKER
    held_out: HeldOut | None = None
    key: str = ""

    @classmethod
    def of(cls, paths: Sequence[str | Path] | str | Path | Text, key: str = "") -> Text:
        """Return the text of files, whose kinds are recognized now.

        Raises:
            DataError: a file cannot be read, or is recognized and not text.
        """
        if isinstance(paths, Text):
            return paths
        if isinstance(paths, str | Path):
            paths = [paths]
        return cls((), key=key).with_files([Path(path) for path in paths])

    def with_files(self, paths: Sequence[Path]) -> Text:
        """Return the text of other files by the same rules.

        Raises:
            DataError: a file cannot be read, or is recognized and not text.
        """
        files = (self.recognize(TextFile(path, FileKind("", ""))) for path in paths)
        return dataclasses.replace(self, files=tuple(files))

    def recognize(self, file: TextFile) -> TextFile:
        """Return a file with its kind. Pipes are opened once, and stay open to be read."""
        stream = ByteStream(file.path, self.named(file))
        if not is_pipe(file.path):
            stream.close()
        elif stream.kind.layout in _NOT_IN_PIPES:
            raise DataError(
                f"{self.named(file)}: expected a file, found {stream.kind.layout} in a pipe, which "
                "cannot be read in order",
                "write it to a file",
            )
        else:
            _pipes[file.path] = stream
        return file._replace(kind=stream.kind)

    def named(self, file: TextFile) -> str:
        """The beginning of a message about a file."""
        return f"{self.key}={file.path}" if self.key else str(file.path)

    @property
    def paths(self) -> list[Path]:
        """Its files."""
        return [file.path for file in self.files]

    def begins_text(self, index: int) -> bool:
        """Whether another text begins with a file; see :mod:`lmlab.records.mixed_text`."""
        del index
        return False

    def has_pipe(self) -> bool:
        """Whether a file can be read only once, and has no size."""
        return any(is_pipe(file.path) for file in self.files)

    def size(self) -> int:
        """Bytes of its files without pipes. Raises :class:`DataError` if one cannot be read."""
        size = 0
        for file in self.files:
            if not is_pipe(file.path):
                with translate_read_errors(self.named(file)):
                    size += (file.stop or file.path.stat().st_size) - file.start
        return size

    def is_as_it_stands(self, file: TextFile) -> bool:
        """Whether a file is read with the special tokens that stand in it, in any parts."""
        return file.kind.layout == "plain" and self.documents == MARKER and self.held_out is None

    def has_documents(self) -> bool:
        """Whether ends of texts are put after documents, in place of those that stand in them."""
        return not all(map(self.is_as_it_stands, self.files))

    def is_one_document(self, file: TextFile) -> bool:
        """Whether a file is one document, which is read in any parts."""
        return file.kind.layout == "plain" and self.documents == FILE

    def stream(self, file: TextFile) -> ByteStream:
        """Open a plain file at the start of its part."""
        stream = _pipes.pop(file.path, None) or ByteStream(file.path, self.named(file))
        stream.skip(file.start)
        return stream

    def state(self, file: TextFile) -> tuple[int, ...] | None:
        """What changes when a file is written; None for a pipe."""
        return None if is_pipe(file.path) else file_state(file.path)

    def check_unchanged(self, file: TextFile, state: tuple[int, ...] | None) -> None:
        """Raise :class:`TextChangedError` if a file no longer has ``state``."""
        if state is not None and self.state(file) != state:
            raise TextChangedError([file.path])

    def read_documents(self, file: TextFile, marker: bytes) -> Iterator[Rows]:
        """Yield the documents of a file, those of its side of a split.

        Args:
            file: one that is neither read as it stands nor one document.
            marker: what follows each document.
        """
        found = self._all_documents(file, marker)
        return found if self.held_out is None else map(self._on_one_side(marker), found)

    def _all_documents(self, file: TextFile, marker: bytes) -> Iterator[Rows]:
        if file.kind.layout == "parquet":
            return arrow.read_parquet(file.path, self.column, marker, self.named(file))
        if file.kind.layout == "arrow":
            return arrow.read_arrow(file.path, self.column, marker, self.named(file))
        stream = self.stream(file)
        if file.kind.layout == "json lines":
            return read_json_lines(stream, self.column, marker)
        return _SPLITTERS[self.documents](stream, marker)

    def _on_one_side(self, marker: bytes) -> Callable[[Rows], Rows]:
        side = self.held_out
        assert side is not None

        def select(found: Documents) -> Documents:
            pieces = found.pieces(marker)
            texts = [bytes(text) for text in pieces if side.has(document_hash(text))]
            kept = joined(texts, marker, found.rows, found.num_empty, found.num_null)
            return kept._replace(is_marked=found.is_marked)

        return lambda rows: rows._replace(read=lambda: select(rows.read()), raw=None)


_pipes: dict[Path, ByteStream] = {}


def is_pipe(path: Path) -> bool:
    """Whether a path is standard input or a pipe, which can be read only once."""
    if path == STANDARD_INPUT:
        return True
    with contextlib.suppress(OSError):
        return path.is_fifo() or path.is_char_device()
    return False
