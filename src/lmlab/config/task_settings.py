"""The tasks of ``validation.tasks`` and of ``lmlab.evaluate``: names, files and how to read them.

A task is given by its file, and named after it, or by a mapping of names to files::

    tasks: [agreement.jsonl, {name: wiki, text: wiki.txt}]
    tasks: {agreement: agreement.jsonl, wiki: {text: wiki.txt}}
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from os.path import expanduser
from pathlib import Path
from typing import Any

from lmlab.config.paths import conf_folder
from lmlab.config.value_types import format_value
from lmlab.errors import ConfigError, suggestion

KINDS = ("pairs", "choice", "cloze", "text")
_KEYS = ("name", "file", "text", "kind", "delimiter", "max_items")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_HELP = (
    "write {name: items.jsonl}, {name: {file: items.jsonl, kind: cloze}} or {name: {text: a.txt}}"
)


@dataclasses.dataclass(frozen=True)
class TaskEntry:
    """A task as settings give it.

    Attributes:
        name: names its scores.
        path: of its file.
        kind: one of :data:`KINDS`; None to tell it from the fields of the items.
        is_plain_text: whether the file is one text, and not JSON lines.
        delimiter: what stands between the context and each continuation.
        max_items: number of items, spread evenly over the file; None for all.
    """

    name: str
    path: Path
    kind: str | None = None
    is_plain_text: bool = False
    delimiter: str = " "
    max_items: int | None = None


def parse_tasks(value: Any, key: str = "validation.tasks") -> tuple[TaskEntry, ...]:
    """Return the tasks that a setting gives, in its order; no file is read.

    Args:
        value: None, a path, a list of paths and mappings, or a mapping of names to these.
        key: of the setting, for messages.

    Raises:
        ConfigError: the value has another form, or a name occurs twice.
    """
    entries = [_entry(name, node, where) for name, node, where in _nodes(value, key)]
    check_names(entries, key)
    return tuple(entries)


def check_names(entries: Sequence[TaskEntry], key: str) -> None:
    """Check that tasks have different names. Raises :class:`ConfigError`.

    Args:
        entries: the tasks.
        key: of the setting, for the message.
    """
    first: dict[str, TaskEntry] = {}
    for entry in entries:
        other = first.setdefault(entry.name, entry)
        if other is not entry:
            raise ConfigError(
                f"{key}: expected different names, found {entry.name} for {other.path} and for "
                f"{entry.path}",
                f"name them: {key}={{{entry.name}: {other.path}, {entry.name}2: {entry.path}}}",
            )


def _nodes(value: Any, key: str) -> Iterator[tuple[str | None, Any, str]]:
    """Yield the name, if one is given, the node, and the dotted key of each task."""
    if value is None:
        return
    if isinstance(value, str):
        yield None, value, key
    elif isinstance(value, Mapping):
        for name, node in value.items():
            yield str(name), node, f"{key}.{name}"
    elif isinstance(value, list | tuple):
        for index, node in enumerate(value):
            yield None, node, f"{key}[{index}]"
    else:
        raise ConfigError(
            f"{key}={format_value(value)}: expected a list of files, or names with their files",
            _HELP,
        )


def _entry(name: str | None, node: Any, where: str) -> TaskEntry:
    if isinstance(node, str):
        node = {"file": node}
    if not isinstance(node, Mapping):
        raise ConfigError(f"{where}={format_value(node)}: expected the path of a file", _HELP)
    for key in node:
        if key not in _KEYS:
            help = suggestion(str(key), _KEYS) or f"its keys are {', '.join(_KEYS)}"
            raise ConfigError(f"{where}.{key}: no such setting of a task", help)
    given = [key for key in ("file", "text") if node.get(key) is not None]
    if len(given) != 1 or not isinstance(node[given[0]], str) or not node[given[0]]:
        raise ConfigError(f"{where}: expected the path of one file, as file or as text", _HELP)
    path = _found(Path(expanduser(node[given[0]])))
    _check_values(node, where, is_text=given == ["text"])
    if name is not None and "name" in node:
        raise ConfigError(f"{where}.name: the task is named {name} already", "remove name")
    name = name if name is not None else node.get("name")
    if name is None:
        name = _NOT_IN_NAMES.sub("-", path.stem).strip("-.")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(
            f"{where}: expected a name of letters, digits and . _ -, found {name!r}", _HELP
        )
    kind = "text" if given == ["text"] else node.get("kind")
    return TaskEntry(
        name=name,
        path=path,
        kind=kind,
        is_plain_text=given == ["text"],
        delimiter=node.get("delimiter", " "),
        max_items=node.get("max_items"),
    )


def _found(path: Path) -> Path:
    """Return the path, or that of the shipped file ``conf/...`` where the folder has none such."""
    shipped = conf_folder().parent / path
    is_shipped = path.parts[:1] == ("conf",) and not path.exists() and shipped.is_file()
    return shipped if is_shipped else path


def _check_values(node: Mapping[str, Any], where: str, *, is_text: bool) -> None:
    kind, most = node.get("kind"), node.get("max_items")
    if kind is not None and kind not in KINDS:
        raise ConfigError(
            f"{where}.kind={format_value(kind)}: expected one of {', '.join(KINDS)}",
            suggestion(str(kind), KINDS),
        )
    if is_text:
        for key, allowed in (("kind", (None, "text")), ("max_items", (None,))):
            if node.get(key) not in allowed:
                raise ConfigError(f"{where}.{key}: expected null for a plain text", f"remove {key}")
    if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 1):
        raise ConfigError(
            f"{where}.max_items={format_value(most)}: expected 1 or more, or null for all items"
        )
    delimiter = node.get("delimiter", " ")
    if not isinstance(delimiter, str):
        raise ConfigError(
            f"{where}.delimiter={format_value(delimiter)}: expected a text, such as ' ' or ''"
        )
