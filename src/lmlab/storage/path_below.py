"""Paths in files from elsewhere, which must not lead out of a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lmlab.errors import DataError
from lmlab.storage.fields import PATH

# Folders of the Hugging Face cache: files of a snapshot are links to blobs beside it.
_SNAPSHOTS, _BLOBS = "snapshots", "blobs"


def path_below(folder: Path, name: Any, named: str) -> Path:
    """Return the path of a file that another file names.

    Args:
        folder: which must contain the file.
        name: as the other file has it, relative to ``folder``.
        named: the other file and its field, for the message.

    Raises:
        DataError: the name is no relative path, or leads out of the folder by ``..`` or by a
            symbolic link.
    """
    if not PATH.accepts(name) or not name or not name.isprintable():
        raise DataError(f"{named}={name!r}: expected the name of a file in {folder}")
    path = folder / name
    lexical = os.path.normpath(name)
    if os.path.isabs(name) or lexical == ".." or lexical.startswith(f"..{os.sep}"):
        raise _leads_out(folder, name, named)
    try:
        real, home = path.resolve(), folder.resolve()
    except (OSError, RuntimeError) as error:
        raise DataError(f"{named}={name}: cannot be followed: {error}") from error
    homes = [home]
    if home.parent.name == _SNAPSHOTS:
        homes.append(home.parents[1] / _BLOBS)
    if not any(real.is_relative_to(one) for one in homes):
        raise _leads_out(folder, name, named)
    return path


def is_in_outputs(path: Path, root: Path) -> bool:
    """Return whether a path of a record is in an output folder.

    Args:
        path: may have ``..`` and be behind links.
        root: the output folder. Its studies, arms and runs may be links to other places.
    """
    real, home = os.path.realpath(path), os.path.realpath(root)
    lexical = os.path.abspath(path)
    if _is_below(lexical, os.path.abspath(root)) or _is_below(real, home):
        return True
    links = (one for depth in ("*", "*/*", "*/*/*") for one in root.glob(depth) if one.is_symlink())
    targets = map(os.path.realpath, links)
    return any(real == target or _is_below(real, target) for target in targets)


def _is_below(path: str, root: str) -> bool:
    return path.startswith(root.rstrip(os.sep) + os.sep)


def _leads_out(folder: Path, name: str, named: str) -> DataError:
    return DataError(
        f"{named}={name}: leads out of {folder}",
        "copy the file into the folder, or correct the name",
    )
