"""Versions of the trusted packages that a configuration names, by their source code."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

# Packages whose changes lmlab itself records: as numerics versions, and as commits in meta.json.
_KNOWN = frozenset({"lmlab", "lmlab_studies", "torch"})
# What Python and compilers read. Data beside the code do not count.
_SUFFIXES = frozenset({".py", ".pyx", ".c", ".cc", ".cpp", ".cu", ".cuh", ".h", ".hpp"})
_HASH_DIGITS = 16


def user_packages(settings: Any) -> list[str]:
    """Return the packages outside lmlab and torch that targets in ``settings`` belong to."""
    return sorted({target.partition(".")[0] for target in _targets(settings)} - _KNOWN)


def user_code(settings: Mapping[str, Any]) -> dict[str, dict[str, str | None]]:
    """Return the version and a hash of the source of each such package, by name.

    Args:
        settings: nested plain values; every ``_target_`` counts.
    """
    return {name: package_code(name) for name in user_packages(settings)}


@functools.cache
def package_code(name: str) -> dict[str, str | None]:
    """Return the version of a package, None without one, and a hash of its source files."""
    return {"version": _version(name), "source": _source_hash(name)}


def _targets(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        target = value.get("_target_")
        if isinstance(target, str):
            yield target
        for inner in value.values():
            yield from _targets(inner)


def _version(name: str) -> str | None:
    distributions = _distributions().get(name, [])
    versions = sorted({importlib.metadata.version(one) for one in distributions})
    return ", ".join(versions) or None


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


def _source_hash(name: str) -> str:
    digest = hashlib.sha256()
    for relative, path in _source_files(name):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{relative}\n{content}\n".encode())
    return digest.hexdigest()[:_HASH_DIGITS]


def _source_files(name: str) -> list[tuple[str, Path]]:
    """Return the source files of a module or package folder, with their paths inside it."""
    spec = importlib.util.find_spec(name)
    if spec is None:
        return []
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    if not folders:
        return [(name, Path(spec.origin))] if spec.origin and Path(spec.origin).is_file() else []
    found = [
        (path.relative_to(folder).as_posix(), path)
        for folder in folders
        for path in folder.rglob("*")
        if path.suffix in _SUFFIXES and path.is_file()
    ]
    return sorted(found)
