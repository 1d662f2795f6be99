"""Token files from paths, lists, patterns and folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lmlab.data.token_formats.chunks import chunks_of, read_index
from lmlab.data.token_formats.datatrove import BESIDE
from lmlab.data.token_formats.megatron import find_pair
from lmlab.errors import DataError
from lmlab.records.paths import find_files, natural_order, split_name

_NOT_IDS = (*BESIDE, ".idx", ".json", ".csv.gz", ".pkl", ".md", ".txt", ".checked", ".lock")


def find_token_files(key: str, value: str | Sequence[str], split: str) -> list[Path]:
    """Return the token files that a setting names, in order.

    A file stands for itself, a pattern for the files that it matches, and a folder for those in it
    in natural order (2 before 10), without indexes and descriptions. Of a folder of litdata or MDS,
    these are the chunks that its index lists. Of Megatron's pairs, either
    file or their common name stands for both.

    Args:
        key: the setting, for messages, such as ``data.train``.
        value: a path, a pattern, or a list of these.
        split: ``train`` or ``valid``.

    Raises:
        DataError: there is no such file, or a folder holds several splits or other formats.
    """
    values = [value] if isinstance(value, str) else list(value)
    found: list[Path] = []
    for one in values:
        path = Path(one)
        if path.is_dir():
            found += _in_folder(key, path, split)
        elif not path.exists() and find_pair(path):
            found.append(path)
        else:
            several = find_files(key, one, split=split)
            found += several if path.exists() else [p for p in several if _may_hold_ids(p)]
    if not found:
        raise DataError(f"{key}={value}: expected a token file, or a list of token files")
    return found


def _may_hold_ids(path: Path) -> bool:
    return not path.name.endswith(_NOT_IDS) and not path.name.startswith(".")


def _in_folder(key: str, folder: Path, split: str) -> list[Path]:
    if (index := read_index(folder)) is not None:
        return chunks_of(key, folder, index)
    files = [
        path
        for path in sorted(folder.rglob("*"), key=natural_order)
        if path.is_file() and _may_hold_ids(path)
    ]
    if not files:
        raise DataError(f"{key}={folder}: the folder holds no token files", "give a file")
    names = {name for path in files if (name := split_name(folder, path))}
    if len(names) > 1:
        wanted = next((n for n in sorted(names) if n.startswith(split[:3])), min(names))
        raise DataError(
            f"{key}={folder}: expected one split, found {', '.join(sorted(names))}",
            f"choose its files with a pattern: {key}='{folder}/*{wanted}*'",
        )
    return files
