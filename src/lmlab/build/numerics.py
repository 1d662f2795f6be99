"""Changes of lmlab's own code that computes numbers, compared with the record of the release.

``numerics_record.json`` holds a hash of every file that can change the result of a run;
:mod:`lmlab.build.record_numerics` writes it. A checkout whose files differ computes other numbers,
so its runs have another identity. Bytes are compared first. Only where they differ is the file
parsed, and hashed by its meaning: comments, docstrings and formatting change nothing.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lmlab.build.added_code import IMPORTS, find_additions, hash_added
from lmlab.build.module_imports import ModuleFile, read_imports
from lmlab.build.numeric_files import (
    PACKAGE,
    RECORD,
    FileRecord,
    numeric_files,
    read_record,
)
from lmlab.build.source_hash import hash_bytes, hash_source
from lmlab.config.source_lookup import NotInSource, find_definition


@dataclasses.dataclass(frozen=True)
class NumericChanges:
    """How the files of lmlab differ from the record.

    Attributes:
        files: hash of each file that computes other numbers, by its path below src/lmlab;
            ``removed`` for one that is gone.
        added: what was added to recorded files that are otherwise as they were, by path; see
            :func:`lmlab.build.added_code.find_additions`.
        recorded: the paths of the record.
    """

    files: Mapping[str, str]
    added: Mapping[str, Mapping[str, str]]
    recorded: frozenset[str]


def numeric_code(settings: Any) -> dict[str, str]:
    """Return the unrecorded code of lmlab that a run with ``settings`` computes with.

    That is every changed file; and what was added, if the settings name it or changed files import
    it.

    Returns:
        Hashes by the path of files below src/lmlab; empty for the code of the record.
    """
    changes = unrecorded_changes()
    if not changes.recorded:
        return {RECORD.name: "removed"}
    used = dict(changes.files)
    waiting: list[tuple[str, str]] = []
    for path in used:
        waiting += _imports(path)
    for target in _targets(settings):
        is_recorded = _file_of(target.rpartition(".")[0]) in changes.recorded
        if not is_recorded or changes.files or changes.added:
            waiting.append(_place_of(target))
    seen: set[tuple[str, str]] = set()
    names: dict[str, set[str]] = {}
    while waiting:
        path, name = waiting.pop()
        is_new = path not in changes.recorded
        if (path, name) in seen or path in changes.files or not (PACKAGE / path).is_file():
            continue
        seen.add((path, name))
        if is_new or path in changes.added:
            names.setdefault(path, set()).add(name)
            waiting += _imports(path)
    for path, found in names.items():
        content = (PACKAGE / path).read_bytes()
        if path not in changes.added:
            used[path] = hash_source(path, content)
            continue
        added = changes.added[path]
        wanted = {IMPORTS, *added} if "*" in found else found
        if wanted & (added.keys() - {IMPORTS}):
            used[path] = hash_added(content, added, wanted)
    return dict(sorted(used.items()))


@functools.cache
def unrecorded_changes() -> NumericChanges:
    """Compare the files with the record, once per process: it runs the code that it found."""
    return compare(read_record(), numeric_files())


def compare(record: Mapping[str, FileRecord], files: Mapping[str, Path]) -> NumericChanges:
    """Compare files with a record of them.

    Args:
        record: by path below src/lmlab.
        files: their places, by the same paths.
    """
    changed = dict.fromkeys(sorted(record.keys() - files.keys()), "removed")
    added: dict[str, Mapping[str, str]] = {}
    for path in sorted(record.keys() & files.keys()):
        content = files[path].read_bytes()
        if hash_bytes(content) == record[path].content:
            continue
        additions = find_additions(record[path], content) if path.endswith(".py") else None
        if additions is None:
            changed[path] = hash_source(path, content)
        elif additions:
            added[path] = additions
    return NumericChanges(changed, added, frozenset(record))


def _targets(settings: Any) -> Iterator[str]:
    """Yield the targets of lmlab in nested plain values."""
    if isinstance(settings, Mapping):
        target = settings.get("_target_")
        if isinstance(target, str) and target.startswith("lmlab."):
            yield target
    if isinstance(settings, Mapping | list | tuple):
        for inner in settings.values() if isinstance(settings, Mapping) else settings:
            yield from _targets(inner)


def _place_of(target: str) -> tuple[str, str]:
    """Return the file that defines a target, below src/lmlab, and its name there."""
    module, _, name = target.rpartition(".")
    try:
        definition = find_definition(module, name)
    except (LookupError, NotInSource):
        return _file_of(module), "*"
    return _file_of(definition.module.name), definition.node.name


def _file_of(module: str) -> str:
    below = "/".join(module.split(".")[1:])
    return f"{below}.py" if (PACKAGE / f"{below}.py").is_file() else f"{below}/__init__.py"


def _imports(path: str) -> Iterator[tuple[str, str]]:
    """Yield the files of lmlab that a file imports, each with a name, or a star for all names."""
    if not path.endswith(".py") or not (PACKAGE / path).is_file():
        return
    parts = Path(path).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    for name in read_imports(ModuleFile(".".join(["lmlab", *parts]), PACKAGE / path)).names:
        if name.startswith("lmlab."):
            yield _file_of(name), "*"
            module, _, last = name.rpartition(".")
            if module.startswith("lmlab."):
                yield _file_of(module), last
