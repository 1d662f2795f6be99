"""The code of the moment of submission, kept for jobs that wait."""

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

_LARGEST_BYTES = 200 << 20  # of a trusted package; more is data


def take_snapshot(output_root: Path) -> Path:
    """Copy lmlab and the trusted packages below ``output_root``; the folder for ``PYTHONPATH``.

    Equal code is copied once. Packages that are installed are not copied: they are not edited.

    Raises:
        ConfigError: a trusted package is too large to be code alone.
    """
    package = Path(lmlab.__file__).parent
    sources = {"lmlab": package}
    for name in trusted_packages():
        place = _editable(name)
        if place is not None:
            sources[place.name] = place
    digest = hashlib.sha256()
    for name, source in sorted(sources.items()):
        for path in _files(source):
            digest.update(f"{name}/{path.relative_to(source.parent)}\0".encode())
            digest.update(path.read_bytes())
    for path in _files(conf_folder()):
        digest.update(f"{path.relative_to(conf_folder())}\0".encode() + path.read_bytes())
    target = output_root.resolve() / "cache" / "code" / digest.hexdigest()[:16]
    if target.exists():
        return target
    whole = make_folder(target.parent / f".{uuid.uuid4().hex}")
    for name, source in sources.items():
        _copy(source, whole / name)
    if not (whole / "lmlab" / "conf").exists():
        _copy(conf_folder(), whole / "lmlab" / "conf")
    write_json(whole / SNAPSHOT_FILE, code_version(package))
    try:
        os.rename(whole, target)
    except OSError:  # another launch was first
        shutil.rmtree(whole, ignore_errors=True)
    return target


def _editable(name: str) -> Path | None:
    """The file or folder of a package that is not among the installed ones."""
    found = importlib.util.find_spec(name)
    if found is None or found.origin in (None, "built-in", "frozen"):
        return None
    assert found.origin is not None
    path = Path(found.origin).resolve()
    installed = [Path(sysconfig.get_path(key)).resolve() for key in ("purelib", "platlib")]
    if any(path.is_relative_to(folder) for folder in installed):
        return None
    return path.parent if found.submodule_search_locations else path


def _files(source: Path) -> Iterator[Path]:
    if source.is_file():
        yield source
        return
    size = 0
    for path in sorted(source.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            size += path.stat().st_size
            if size > _LARGEST_BYTES:
                raise ConfigError(
                    f"{source}: a snapshot of this trusted package would be larger than "
                    f"{_LARGEST_BYTES >> 20} MB; keep data out of a package's folder"
                )
            yield path


def _copy(source: Path, target: Path) -> None:
    if source.is_file():
        shutil.copy2(source, target)
    else:  # with compiled files, which stay valid: the sources keep their times
        shutil.copytree(source, target)
