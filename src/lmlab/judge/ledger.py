"""The ledger of a stream of ideas: rows that are only appended, and that show if one was edited.

``ledger.jsonl`` has one row per event. Each row carries the hash of its content and of the row
before it. ``head.json``, which is written after each row, has the number of rows and the hash of
the last one, so that rows removed from the end are noticed, too. A killed process leaves at most a
partial last line, or a row that ``head.json`` does not count yet; both are put right by the next
one. Who edits both files consistently is not noticed: keep a copy of ``head.json`` elsewhere, for
example in Git, if others may write the folder.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from lmlab.errors import DataError
from lmlab.run_folder import utc_now
from lmlab.storage.io import (
    fsync_folder,
    hash_json,
    make_folder,
    translate_read_errors,
    translate_write_errors,
)
from lmlab.storage.json_text import dump_json, load_json
from lmlab.storage.lock import Lock
from lmlab.storage.ownership import writing
from lmlab.storage.sealed import read_sealed, write_sealed

FORMAT_VERSION = 1
LEDGER_FILE, HEAD_FILE = "ledger.jsonl", "head.json"
_RESTORE = "restore the file from a copy; without one, start a new ledger"
Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Ledger:
    """The files of one ledger.

    Attributes:
        folder: its folder, which may not exist yet.
    """

    folder: Path

    @property
    def path(self) -> Path:
        """The file of rows."""
        return self.folder / LEDGER_FILE

    @property
    def exists(self) -> bool:
        """Whether a ledger was started here."""
        return self.path.is_file()

    def lock(self) -> Lock:
        """The lock of the process that tries an idea; entering it raises if another one does."""
        return Lock(self.folder / "judge.lock", wait=False, protects=self.folder)

    def rows(self) -> list[Row]:
        """Read all rows, and check that none was edited, inserted or removed.

        Raises:
            DataError: there is no ledger, or it was changed after it was written.
        """
        if not self.exists:
            raise DataError(
                f"{self.folder}: no ledger", "start one with python -m lmlab.judge start"
            )
        rows = [_parse(self.path, number, line) for number, line in enumerate(self._lines(), 1)]
        previous = ""
        for number, row in enumerate(rows, 1):
            content = {key: value for key, value in row.items() if key != "hash"}
            if row.get("hash") != hash_json(content) or row.get("previous") != previous:
                raise DataError(
                    f"{self.path}: row {number} was changed after it was written, or a row before "
                    "it was",
                    _RESTORE,
                )
            previous = row["hash"]
        self._check_head(rows)
        return rows

    def append(self, kind: str, content: Row) -> Row:
        """Append a row durably, and return it. The caller holds the lock.

        Args:
            kind: what happened.
            content: plain values.

        Raises:
            DataError: the ledger was changed after it was written.
            DiskError: the disk is full or not writable; no row is added then.
            LostLockError: another process has taken the lock.
        """
        make_folder(self.folder)
        rows = self.rows() if self.exists else []
        plain = load_json(dump_json(content))
        row = {"kind": kind, "time": utc_now(), **plain}
        row["previous"] = rows[-1]["hash"] if rows else ""
        row["hash"] = hash_json(row)
        with (
            translate_write_errors(self.path),
            writing(self.path),
            open(self.path, "ab") as file,
        ):
            file.truncate(self._length_of_rows())
            file.write(dump_json(row).encode("utf-8") + b"\n")
            file.flush()
            os.fsync(file.fileno())
            fsync_folder(self.folder)
        write_sealed(self.folder / HEAD_FILE, {"rows": len(rows) + 1, "hash": row["hash"]}, "head")
        return row

    def _lines(self) -> list[bytes]:
        """The complete lines; a last one without its end was not written to its end."""
        with translate_read_errors(self.path):
            return self.path.read_bytes().split(b"\n")[:-1]

    def _length_of_rows(self) -> int:
        return sum(len(line) + 1 for line in self._lines())

    def _check_head(self, rows: list[Row]) -> None:
        path = self.folder / HEAD_FILE
        try:
            head = read_sealed(path, "head")
        except FileNotFoundError:
            if len(rows) <= 1:
                return  # killed between the first row and its head
            raise DataError(f"{path}: missing", _RESTORE) from None
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be read: {error}", _RESTORE) from error
        number = head["rows"]
        if len(rows) not in (number, number + 1) or rows[number - 1]["hash"] != head["hash"]:
            raise DataError(
                f"{self.path}: expected {number} rows or one more, as {HEAD_FILE} says, found "
                f"{len(rows)}: rows were removed or replaced",
                _RESTORE,
            )


def _parse(path: Path, number: int, line: bytes) -> Row:
    try:
        row = load_json(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise DataError(f"{path}: row {number} cannot be read", _RESTORE)
    return row
