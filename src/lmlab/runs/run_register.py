"""The register of runs: the folder of each, by its identity, for studies that need the same run.

``outputs/cache/runs/<hash of the identity>`` holds the path of the folder below ``outputs``.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lmlab.run_folder import IsSame, RunFolder, has_identity
from lmlab.storage.fields import PATH, warn_once
from lmlab.storage.io import atomic_write_text, hash_json, translate_read_errors
from lmlab.storage.litter import remove_litter
from lmlab.storage.path_below import is_in_outputs


def register(
    output_root: Path, run: RunFolder, identity: dict[str, Any], *further: dict[str, Any]
) -> None:
    """Record the folder of the run with ``identity``, so that other studies find it.

    Args:
        output_root: the folder of all studies.
        run: the folder.
        identity: of the run.
        further: identities under which it may be looked for, too.
    """
    relative = os.path.relpath(run.path.resolve(), output_root.resolve())
    for one in (identity, *further):
        atomic_write_text(_index(output_root, one), relative)
    remove_litter(_index(output_root, identity).parent)


def find_registered(
    output_root: Path,
    identity: dict[str, Any],
    is_same: IsSame = has_identity,
    forms: Iterable[dict[str, Any]] = (),
) -> RunFolder | None:
    """Find the run with ``identity`` in any study below ``output_root``; None if it is gone.

    Args:
        output_root: the folder of all studies.
        identity: of the run.
        is_same: whether the ``meta.json`` of a folder is that of the run.
        forms: further identities under which it may be registered.
    """
    for form in itertools.chain([identity], forms):
        place = _index(output_root, form)
        run = _named_in(output_root, place)
        if run is not None and is_same(run.meta(), identity):
            return run
        if run is not None:
            warn_once(f"{place}: {run.path}/meta.json is not that of the run; it counts as missing")
    return None


def registered_runs(output_root: Path) -> list[RunFolder]:
    """Return all runs that the register names, sorted by path."""
    index = output_root / "cache" / "runs"
    if not index.is_dir():
        return []
    found = (_named_in(output_root, path) for path in index.iterdir() if path.is_file())
    return [RunFolder(path) for path in sorted({run.path for run in found if run is not None})]


def _named_in(output_root: Path, place: Path) -> RunFolder | None:
    """Return the run that a file of the register names; None if there is none.

    A file that is damaged, or leads out of the output folder, counts as missing, with a warning.
    """
    with translate_read_errors(place):
        try:
            relative = place.read_text("utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except UnicodeDecodeError as error:
            warn_once(f"{place}: cannot be read ({error}); it counts as missing")
            return None
    is_path = bool(relative) and PATH.accepts(relative) and relative.isprintable()
    if not is_path or not is_in_outputs(output_root / relative, output_root):
        warn_once(
            f"{place}: {relative[:60]!r}: expected a run in {output_root}; it counts as missing"
        )
        return None
    return RunFolder(Path(os.path.normpath(output_root / relative)))


def _index(output_root: Path, identity: dict[str, Any]) -> Path:
    return output_root / "cache" / "runs" / hash_json(identity)[:32]
