"""Entries of a cache are made once, again if they are damaged, and elsewhere on a blocked disk."""

from __future__ import annotations

import concurrent.futures
import dataclasses
from pathlib import Path

import pytest

from lmlab.errors import DataError, DiskError, LostLockError
from lmlab.storage.cache_entry import open_or_make
from lmlab.storage.io import atomic_write_text
from lmlab.storage.json_text import dump_json
from lmlab.storage.lock_file import Owner

CONTENT = "as it was made"


@dataclasses.dataclass
class TextEntry:
    """An entry of one text; records where it was made."""

    folder: Path
    made: list[Path] = dataclasses.field(default_factory=list)

    def get(self, num_bytes: int = 0) -> str:
        return open_or_make(
            self.folder,
            self.open_in,
            self.make_in,
            lock="writing.lock",
            files=("text.txt", "index.txt"),
            doing="writing the text",
            num_bytes=num_bytes,
        )

    def open_in(self, folder: Path) -> str | None:
        path = folder / "text.txt"
        if not path.exists():
            return None
        if path.read_text() != CONTENT:
            raise DataError(f"{path}: damaged")
        return CONTENT

    def make_in(self, folder: Path) -> str:
        self.made.append(folder)
        atomic_write_text(folder / "text.txt", CONTENT)
        return CONTENT


def test_an_entry_is_made_once(tmp_path: Path) -> None:
    entry = TextEntry(tmp_path / "entry")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: entry.get(), range(8))) == [CONTENT] * 8
    assert entry.made == [entry.folder]
    assert [path.name for path in entry.folder.iterdir()] == ["text.txt"], "no lock is left"


def test_a_damaged_entry_is_made_again_without_its_other_files(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    entry = TextEntry(tmp_path)
    for name in ("text.txt", "index.txt", "of_another_entry.txt"):
        (tmp_path / name).write_text("something else")
    assert entry.get() == CONTENT
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / 'text.txt'}: damaged; writing the text again"
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["of_another_entry.txt", "text.txt"]


def test_a_temporary_folder_serves_while_the_cache_cannot_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    entry = TextEntry(tmp_path / "file" / tmp_path.name)
    with pytest.raises(DiskError, match="a parent of this path is a file"):
        entry.get(num_bytes=1 << 60)
    assert entry.get() == entry.get() == CONTENT
    (place,) = entry.made
    assert tmp_path not in place.parents
    assert "using a temporary folder for this process" in caplog.text


def test_a_process_that_lost_the_lock_writes_nothing(tmp_path: Path) -> None:
    class TakenOver(TextEntry):
        def make_in(self, folder: Path) -> str:
            other = dump_json(dataclasses.asdict(Owner.of_this_process("another token")))
            (folder / "writing.lock").write_text(other)
            return super().make_in(folder)

    with pytest.raises(LostLockError, match="taken over"):
        TakenOver(tmp_path).get()
    assert not (tmp_path / "text.txt").exists()
