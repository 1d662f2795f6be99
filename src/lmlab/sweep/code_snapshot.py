"""A copy of the code at submission, for jobs that wait in a queue."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

import lmlab
from lmlab.build.module_imports import edited_in_place
from lmlab.config.paths import conf_folder
from lmlab.config.user_settings import trusted_packages
from lmlab.errors import ConfigError
from lmlab.runtime.provenance import SNAPSHOT_FILE, code_version
from lmlab.storage.io import fsync_folder, make_folder, write_json

_MAX_PACKAGE_BYTES = 200 << 20  # a larger trusted package contains data
_ATTEMPTS = 3

log = logging.getLogger(__name__)


def take_snapshot(output_root: Path) -> Path:
    """Copy lmlab, its demos and the trusted packages; return the ``PYTHONPATH`` entry.

    Identical code is copied once. Installed packages are not copied, because nobody edits them.

    The copy is compared with the code, after copying and where it is used again.

    Raises:
        ConfigError: a trusted package is too large to contain only code, or the code keeps
            changing.
    """
    package = Path(lmlab.__file__).parent
    sources = {name: package.parent / name for name in ("lmlab", "lmlab_studies")}
    for name in trusted_packages():
        path = edited_in_place(name.partition(".")[0])
        if path is not None:
            sources[path.name] = path
    for _ in range(_ATTEMPTS):
        digest = _digest(_contents(sources))
        target = output_root.resolve() / "cache" / "code" / digest[:16]
        if target.exists():
            if _digest_of_copy(sources, target) == digest:
                return target
            log.warning("%s: not the code that was copied; copying it again", target)
        if _copy_all(sources, target, digest):
            return target
    raise ConfigError(
        f"{package.parent}: the code changed while it was copied for jobs",
        "rerun once nothing changes it",
    )


def _copy_all(sources: dict[str, Path], target: Path, digest: str) -> bool:
    """Copy the code to ``target``; return False if it changed meanwhile."""
    partial = make_folder(target.parent / f".{uuid.uuid4().hex}")
    try:
        for name, source in sources.items():
            _copy(source, partial / name)
        if not (partial / "lmlab" / "conf").exists():
            _copy(conf_folder(), partial / "lmlab" / "conf")
        write_json(partial / SNAPSHOT_FILE, code_version(sources["lmlab"]))
        if _digest_of_copy(sources, partial) != digest:
            return False
        if target.exists() and _digest_of_copy(sources, target) != digest:
            os.rename(target, partial.with_name(f"{partial.name}-damaged"))
        with contextlib.suppress(OSError):  # another launch has made the same snapshot
            os.rename(partial, target)
            fsync_folder(target.parent)
        return True
    finally:
        for rest in (partial, partial.with_name(f"{partial.name}-damaged")):
            shutil.rmtree(rest, ignore_errors=True)


def _contents(sources: dict[str, Path]) -> Iterator[tuple[str, Path]]:
    """Yield the path of each file of the code in a copy, and the file."""
    for name in sorted(sources):
        for path in _files(sources[name]):
            yield str(path.relative_to(sources[name].parent)), path
    for path in _files(conf_folder()):
        yield f"lmlab/conf/{path.relative_to(conf_folder())}", path


def _digest(contents: Iterable[tuple[str, Path]]) -> str:
    digest = hashlib.sha256()
    for place, path in contents:
        digest.update(f"{place}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _digest_of_copy(sources: dict[str, Path], copy: Path) -> str | None:
    """Return the digest of the same files in a copy; None if any is missing."""
    try:
        return _digest((place, copy / place) for place, _ in _contents(sources))
    except OSError:
        return None


def _files(source: Path) -> Iterator[Path]:
    if source.is_file():
        yield source
        return
    size = 0
    for path in sorted(source.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            size += path.stat().st_size
            if size > _MAX_PACKAGE_BYTES:
                raise ConfigError(
                    f"{source}: expected a trusted package of at most "
                    f"{_MAX_PACKAGE_BYTES >> 20} MB, because jobs run a snapshot of it",
                    "move data out of the folder of the package",
                )
            yield path


def _copy(source: Path, target: Path) -> None:
    if source.is_file():
        shutil.copy2(source, target)
    else:  # includes compiled files: they stay valid, because copies keep modification times
        shutil.copytree(source, target)
