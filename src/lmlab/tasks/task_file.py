"""Files of tasks: JSON lines with one item each, or one plain text."""

from __future__ import annotations

import codecs
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lmlab.config.task_settings import TaskEntry
from lmlab.errors import DataError
from lmlab.storage.io import hash_json, translate_read_errors
from lmlab.storage.json_text import parse_json
from lmlab.tasks.choice_task import ChoiceTask
from lmlab.tasks.cloze_task import ClozeTask
from lmlab.tasks.items import Document, Item, ItemError, item_of, kind_of
from lmlab.tasks.task import Task
from lmlab.tasks.text_task import TextTask
from lmlab.tokenizer import Tokenizer
from lmlab.tokenizer.utf8 import read_utf8

_VERSION = 1  # of the scores; raise it when those of the same items change
_LOADERS: Mapping[str, Callable[..., Task]] = {
    "pairs": ChoiceTask.load,
    "choice": ChoiceTask.load,
    "cloze": ClozeTask.load,
    "text": TextTask.load,
}


@dataclasses.dataclass(frozen=True)
class TaskFile:
    """The source of a task (:class:`lmlab.tasks.task.TaskSource`) that is a file.

    Attributes:
        entry: name, path, and how to read it.
    """

    entry: TaskEntry

    @property
    def name(self) -> str:
        """Name of the task."""
        return self.entry.name

    def check(self) -> None:
        """Read the file, and check each item. Raises :class:`DataError`."""
        self.read()

    def load(self, tokenizer: Tokenizer, context_length: int) -> Task:
        """Return the task; see :meth:`lmlab.tasks.task.TaskSource.load`."""
        kind, items = self.read()
        entry = self.entry
        # Paths and names of fields do not count, nor do lines, which messages alone need.
        plain = [dataclasses.asdict(item) | {"line": 0} for item in items]
        content = hash_json({"version": _VERSION, "kind": kind, "items": plain})
        return _LOADERS[kind](entry.name, content, entry.path, items, tokenizer, context_length)

    def read(self) -> tuple[str, Sequence[Any]]:
        """Return the kind and the items of the file, at least one.

        Raises:
            DataError: the file cannot be read, is not UTF-8, or a line is no item.
        """
        path, entry = self.entry.path, self.entry
        if not path.is_file():
            reason = "is a folder" if path.is_dir() else "no such file"
            raise DataError(f"{path}: {reason}", f"pass the file of the task {entry.name}")
        if entry.is_plain_text:
            text = "".join(read_utf8(path))
            if not text:
                raise DataError(f"{path}: expected a text, found an empty file")
            return "text", [Document("1", 1, text)]
        kind, items = _read_items(path, entry.kind, entry.delimiter)
        if entry.max_items is not None and entry.max_items < len(items):
            count = entry.max_items
            items = [items[index * len(items) // count] for index in range(count)]
        return kind, items


def _read_items(path: Path, kind: str | None, delimiter: str) -> tuple[str, list[Item | Document]]:
    items: list[Item | Document] = []
    line_of_id: dict[str, int] = {}
    for line, record in _records(path):
        try:
            kind = kind_of(record) if kind is None else kind
            item = item_of(record, kind, line, delimiter)
        except ItemError as error:
            raise DataError(f"{path}: line {line}: {error.message}", error.help) from error
        other = line_of_id.setdefault(item.id, line)
        if other != line:
            raise DataError(
                f"{path}: line {line}: expected an id of its own, found {item.id}, that of line "
                f"{other}",
                "remove the field id from all lines to number them, or make ids unique",
            )
        items.append(item)
    if kind is None or not items:
        raise DataError(f"{path}: expected one item or more, found an empty file")
    return kind, items


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number, from 1, and the object of each line that is not blank."""
    with translate_read_errors(path):
        content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    # Only b"\n" ends a line: str.splitlines would also cut at U+2028 inside a text.
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        place = f"{path}: line {number}"
        try:
            record = parse_json(line)
        except ValueError as error:
            raise DataError(
                f"{place}: expected a JSON object in UTF-8 ({error})",
                "write one object per line; for a plain text, write {name: {text: FILE}}",
            ) from error
        if not isinstance(record, dict):
            found = type(record).__name__
            raise DataError(
                f"{place}: expected a JSON object, found {found}", "write one object per line"
            )
        yield number, record
