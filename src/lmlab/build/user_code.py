"""The code of one's own that a configuration names: its modules, and what they import.

Counted are the modules that targets are found in, with everything that they import from packages
which are edited in place, and from trusted ones: conditional and late imports, and the
``__init__`` files on the way. Each module is hashed by its meaning, so that comments, docstrings
and formatting do not count; sources in other languages are hashed by their content. Installed
packages count by their version, those too that an optimizer of lmlab comes from. What lmlab itself
computes is in :mod:`lmlab.build.numerics`.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lmlab.build.module_imports import (
    ModuleFile,
    edited_in_place,
    find_module,
    modules_of,
    package_file,
    package_folders,
    read_imports,
)
from lmlab.build.optimizer_packages import packages_of
from lmlab.build.source_hash import hash_bytes, hash_source
from lmlab.config.user_settings import trusted_packages

# lmlab records its own changes; the versions of torch and NumPy are in the environment of a run.
_KNOWN = frozenset({"lmlab", "torch", "numpy"})
# What compilers read. Data beside the code do not count.
_NATIVE = frozenset({".pyx", ".pxd", ".pxi", ".c", ".cc", ".cpp", ".cxx", ".cu", ".cuh", ".h",
                     ".hh", ".hpp", ".hxx", ".inl", ".inc", ".m", ".mm", ".metal", ".rs", ".f",
                     ".f90", ".ptx", ".cl"})  # fmt: skip
_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


def user_code(settings: Any) -> dict[str, str]:
    """Return a hash of each module of one's own that settings name, directly or by imports.

    Args:
        settings: nested plain values; every ``_target_`` counts, and every text that is the path
            of something in a trusted package.

    Returns:
        Hashes by the names of modules, and by paths of files in other languages, such as
        ``mine/kernel.cu``. An installed package that these modules import has its version, and so
        does one that an optimizer of lmlab comes from.
    """
    packages = {f"version of {name}": _version(name) for name in sorted(_of_optimizers(settings))}
    return _code_of(_named(settings)) | {k: v for k, v in packages.items() if v is not None}


def _of_optimizers(settings: Any) -> set[str]:
    """Return the packages that optimizers of lmlab in nested plain values come from."""
    inner = settings.values() if isinstance(settings, Mapping) else settings
    if isinstance(settings, str) or not isinstance(settings, Mapping | list | tuple):
        return set()
    found = set().union(*map(_of_optimizers, inner))
    target = settings.get("_target_") if isinstance(settings, Mapping) else None
    return found | packages_of(target) if isinstance(target, str) else found


@functools.cache
def _code_of(targets: tuple[str, ...]) -> dict[str, str]:
    """Read the code once per process: it is that which the process runs."""
    modules, installed = _collect(targets)
    found = {
        module.name: hash_source(module.path.name, module.path.read_bytes()) for module in modules
    }
    for package in sorted({module.name.partition(".")[0] for module in modules}):
        of_package = [one for one in modules if one.name.partition(".")[0] == package]
        found |= {name: hash_bytes(path.read_bytes()) for name, path in _native(of_package)}
        if any(module.is_compiled for module in of_package):
            installed.add(package)
    for package in installed:
        version = _version(package)
        if version is not None:
            found[f"version of {package}"] = version
    return dict(sorted(found.items()))


def changed_since(settings: Any) -> list[str]:
    """Return the modules that have been edited since the process first read them."""
    targets = _named(settings)
    loaded, now = _code_of(targets), _code_of.__wrapped__(targets)
    return [name for name in {**loaded, **now} if loaded.get(name) != now.get(name)]


def forget() -> None:
    """Read code again when it is asked for next, as a new process does."""
    _code_of.cache_clear()
    _hash_of_all_files.cache_clear()


def _named(settings: Any) -> tuple[str, ...]:
    return tuple(sorted(set(_targets(settings, _trusted()))))


def _trusted() -> frozenset[str]:
    """Return the top-level packages of what the user trusts, which may be parts of packages."""
    return frozenset(name.partition(".")[0] for name in trusted_packages())


def _targets(value: Any, trusted: frozenset[str]) -> Iterator[str]:
    """Yield the dotted paths that settings name, outside lmlab and torch."""
    if isinstance(value, Mapping):
        target = value.get("_target_")
        if isinstance(target, str) and target.partition(".")[0] not in _KNOWN:
            yield target
        for inner in value.values():
            yield from _targets(inner, trusted)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _targets(inner, trusted)
    elif isinstance(value, str) and value.partition(".")[0] in trusted and _DOTTED.fullmatch(value):
        yield value


def _collect(targets: Sequence[str]) -> tuple[list[ModuleFile], set[str]]:
    """Return the modules that targets lead to, and the installed packages that these import."""
    found: dict[str, ModuleFile | None] = {}
    installed: set[str] = set()
    followed = {target.partition(".")[0] for target in targets} | _trusted()
    whole: set[str] = set()
    waiting = list(targets)
    while waiting:
        name = waiting.pop()
        package = name.partition(".")[0]
        if package not in followed:
            if not _is_edited_in_place(package):
                installed |= {package} - _KNOWN - sys.stdlib_module_names
                continue
            followed.add(package)
        for part in _prefixes(name):
            if part in found:
                continue
            module = found[part] = find_module(part)
            if module is None:
                continue
            imports = read_imports(module)
            waiting += imports.names
            if imports.is_dynamic and package not in whole:
                whole.add(package)
                waiting += [one.name for one in modules_of(package)]
    modules = [module for module in found.values() if module is not None]
    return sorted(modules, key=lambda module: module.name), installed


def _prefixes(name: str) -> Iterator[str]:
    """Yield the modules that importing ``name`` imports, and ``name`` itself."""
    parts = name.split(".")
    return (".".join(parts[:number]) for number in range(1, len(parts) + 1))


@functools.cache
def _is_edited_in_place(package: str) -> bool:
    is_known = package in _KNOWN or package in sys.stdlib_module_names
    return not is_known and edited_in_place(package) is not None


def _native(modules: Sequence[ModuleFile]) -> Iterator[tuple[str, Path]]:
    """Yield the sources in other languages that belong to modules of one package.

    Those in the folder of the package; for a module that is a single file, those beside it that it
    names.
    """
    package = modules[0].name.partition(".")[0]
    for folder in package_folders(package):
        for path in sorted(folder.rglob("*")):
            if path.suffix in _NATIVE and path.is_file():
                yield f"{package}/{path.relative_to(folder).as_posix()}", path
    top = package_file(package)
    if top is None or package_folders(package) or top.suffix != ".py":
        return
    text = top.read_text("utf-8", errors="replace")
    for path in sorted(top.parent.iterdir()):
        if path.suffix in _NATIVE and path.name in text:
            yield path.name, path


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        distributions = _distributions().get(name, [])
    versions = sorted({importlib.metadata.version(one) for one in distributions})
    return ", ".join(versions) or None


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


# What identities of earlier versions held instead: the version of each package that a target names,
# and a hash of all its files.
_EARLIER_KNOWN = frozenset({"lmlab", "lmlab_studies", "torch"})
_EARLIER_SUFFIXES = frozenset({".py", ".pyx", ".c", ".cc", ".cpp", ".cu", ".cuh", ".h", ".hpp"})


def earlier_user_code(settings: Any) -> dict[str, dict[str, str | None]]:
    """Return what earlier versions recorded of the packages that targets name.

    It is equal to the record of an earlier run if none of the files of the package has changed.
    """
    packages = {
        target.partition(".")[0] for target in _targets(settings, frozenset())
    } - _EARLIER_KNOWN
    return {
        name: {"version": _version(name), "source": _hash_of_all_files(name)}
        for name in sorted(packages)
    }


@functools.cache
def _hash_of_all_files(name: str) -> str:
    digest = hashlib.sha256()
    for relative, path in _all_files(name):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{relative}\n{content}\n".encode())
    return digest.hexdigest()[:16]


def _all_files(name: str) -> list[tuple[str, Path]]:
    folders, single = package_folders(name), package_file(name)
    if not folders:
        return [] if single is None else [(name, single)]
    return sorted(
        (path.relative_to(folder).as_posix(), path)
        for folder in folders
        for path in folder.rglob("*")
        if path.suffix in _EARLIER_SUFFIXES and path.is_file()
    )


def newest_change(settings: Any) -> float:
    """Return when a module of one's own was last modified, in seconds since the epoch."""
    modules, _ = _collect(_named(settings))
    return max((module.path.stat().st_mtime for module in modules), default=0.0)
