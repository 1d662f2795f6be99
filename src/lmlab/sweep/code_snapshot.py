"""A copy of the code at submission, for jobs that wait in a queue."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import sysconfig
import uuid
from collections.abc import Iterator
from pathlib import Path

import lmlab
from lmlab.config.paths import conf_folder
from lmlab.config.user_settings import trusted_packages
from lmlab.errors import ConfigError
from lmlab.runtime.provenance import SNAPSHOT_FILE, code_version
from lmlab.storage.io import make_folder, write_json

_MAX_PACKAGE_BYTES = 200 << 20  # a larger trusted package contains data


def take_snapshot(output_root: Path) -> Path:
    """Copy lmlab, its demos and the trusted packages; return the ``PYTHONPATH`` entry.

    Identical code is copied once. Installed packages are not copied, because nobody edits them.

    Raises:
        ConfigError: a trusted package is too large to contain only code.
    """
    package = Path(lmlab.__file__).parent
    sources = {name: package.parent / name for name in ("lmlab", "lmlab_studies")}
    for name in trusted_packages():
        path = _editable_package(name)
        if path is not None:
            sources[path.name] = path
    target = output_root.resolve() / "cache" / "code" / _digest(sources)[:16]
    if target.exists():
        return target
    partial = make_folder(target.parent / f".{uuid.uuid4().hex}")
    for name, source in sources.items():
        _copy(source, partial / name)
    if not (partial / "lmlab" / "conf").exists():
        _copy(conf_folder(), partial / "lmlab" / "conf")
    write_json(partial / SNAPSHOT_FILE, code_version(package))
    try:
        os.rename(partial, target)
    except OSError:  # another launch has made the same snapshot
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _digest(sources: dict[str, Path]) -> str:
    digest = hashlib.sha256()
    for name, source in sorted(sources.items()):
        for path in _files(source):
            digest.update(f"{name}/{path.relative_to(source.parent)}\0".encode())
            digest.update(path.read_bytes())
    for path in _files(conf_folder()):
        digest.update(f"{path.relative_to(conf_folder())}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _editable_package(name: str) -> Path | None:
    """Return the file or folder of a package that is edited in place; None if installed."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin in (None, "built-in", "frozen"):
        return None
    assert spec.origin is not None
    path = Path(spec.origin).resolve()
    installed = [Path(sysconfig.get_path(key)).resolve() for key in ("purelib", "platlib")]
    if any(path.is_relative_to(folder) for folder in installed):
        return None
    return path.parent if spec.submodule_search_locations else path


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
